//! Reads the four layers and merges them into a service's own type.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ::config::{Config, File, FileFormat, Value};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use super::{
    error::ConfigError,
    layer::{Layer, Leaf, shown, written},
};

const PREFIX: &str = "TROUPE_";
const NESTING: &str = "__";
const OTEL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Variables that begin with `TROUPE_` and are not configuration: they belong to the fetching of
/// parts, to the choice of the file, to the command line, to the programs that an agent runs, and
/// to tests.
pub const RESERVED_ENVIRONMENT: &[&str] = &[
    "TROUPE_AGENT",
    "TROUPE_ATTEMPT",
    "TROUPE_CACHE_DIR",
    "TROUPE_CONFIG",
    "TROUPE_EMBEDDING_MODEL",
    "TROUPE_EMBEDDING_TOKENIZER",
    "TROUPE_EPOCH",
    "TROUPE_FULL",
    "TROUPE_LOG_FORMAT",
    "TROUPE_LOG_LEVEL",
    "TROUPE_MESSAGE_ID",
    "TROUPE_NAME",
    "TROUPE_NATS_CREDS",
    "TROUPE_NATS_PASSWORD",
    "TROUPE_NATS_SERVER",
    "TROUPE_NATS_URL",
    "TROUPE_NATS_USER",
    "TROUPE_ONNX_RUNTIME",
    "TROUPE_SEAWEEDFS",
    "TROUPE_SIM_SEED",
    "TROUPE_SIM_SEEDS",
    "TROUPE_TASK_ID",
    "TROUPE_TIMEOUT_MS",
    "TROUPE_VALKEY_SERVER",
];

/// Where variables come from.
#[derive(Clone, Debug, Default)]
pub enum Environment {
    /// This process.
    #[default]
    Process,
    /// These and no others.
    Given(BTreeMap<String, String>),
}

impl Environment {
    fn variables(self) -> Result<BTreeMap<String, String>, ConfigError> {
        match self {
            Self::Given(variables) => Ok(variables),
            Self::Process => std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .filter(|(name, _)| name.starts_with(PREFIX) || name == OTEL_ENDPOINT)
                .map(|(name, value)| match value.into_string() {
                    Ok(value) => Ok((name, value)),
                    Err(raw) => Err(ConfigError::BadValue {
                        key: name.clone(),
                        value: shown(&name.to_lowercase(), &raw.to_string_lossy()),
                        source_name: format!("environment variable {name}"),
                        expected: "expected UTF-8 text".to_owned(),
                    }),
                })
                .collect(),
        }
    }
}

/// What to load.
#[derive(Clone, Debug)]
pub struct LoadOptions<T> {
    /// Who is configured, for messages.
    pub service: String,
    /// The first layer. It names every key that exists; an empty map stays open.
    pub defaults: T,
    /// The file; none takes the one that `TROUPE_CONFIG` names, if any.
    pub file: Option<PathBuf>,
    /// The last layer: key and value, later ones win.
    pub flags: Vec<(String, String)>,
    /// The third layer.
    pub environment: Environment,
}

impl<T: Default> LoadOptions<T> {
    /// The type's defaults, this process's environment, no file and no flags.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            defaults: T::default(),
            file: None,
            flags: Vec::new(),
            environment: Environment::Process,
        }
    }
}

/// Merges the layers. The first thing that is wrong is the error.
pub fn load<T: Serialize + DeserializeOwned>(options: LoadOptions<T>) -> Result<T, ConfigError> {
    let LoadOptions { service, defaults, file, flags, environment } = options;
    let shape = serde_json::to_value(&defaults).map_err(|why| ConfigError::Defaults {
        service: service.clone(),
        reason: why.to_string(),
    })?;
    let variables = environment.variables()?;
    let file = file.or_else(|| variables.get("TROUPE_CONFIG").map(PathBuf::from));

    let mut layer = Layer::default();
    layer.add_defaults(&shape)?;
    if let Some(path) = file {
        let tree = read_file(&path)?;
        layer.add_tree(&shape, tree, &format!("file {}", path.display()))?;
    }
    add_environment(&mut layer, &shape, &variables)?;
    for (key, value) in flags {
        layer.add(&shape, &key, &value, &format!("flag for {key}"))?;
    }
    let leaves = layer.0.clone();
    let merged = Config::builder().add_source(layer).build();
    merged.and_then(Config::try_deserialize).map_err(|why| refusal(&service, &leaves, why))
}

fn read_file(path: &Path) -> Result<Value, ConfigError> {
    let refuse = |reason: String| ConfigError::File { path: path.to_owned(), reason };
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => FileFormat::Toml,
        Some("yaml" | "yml") => FileFormat::Yaml,
        _ => return Err(refuse("expected a name that ends in .toml, .yaml or .yml".to_owned())),
    };
    let text = std::fs::read_to_string(path).map_err(|why| refuse(why.to_string()))?;
    let file = Config::builder().add_source(File::from_str(&text, format)).build();
    Ok(file.map_err(|why| refuse(why.to_string()))?.cache)
}

fn add_environment(
    layer: &mut Layer,
    shape: &Json,
    variables: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    let has_otlp = [shape, &shape["common"]].iter().any(|at| at["otlp"].get("endpoint").is_some());
    if let Some(endpoint) = variables.get(OTEL_ENDPOINT).filter(|text| !text.is_empty())
        && has_otlp
    {
        layer.add(shape, "otlp.endpoint", endpoint, &variable(OTEL_ENDPOINT))?;
    }
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !RESERVED_ENVIRONMENT.contains(&name.as_str()) {
            let key = rest.to_lowercase().replace(NESTING, ".");
            layer.add(shape, &key, value, &variable(name))?;
        }
    }
    Ok(())
}

fn variable(name: &str) -> String {
    format!("environment variable {name}")
}

/// The merge forgets who set what; the leaves still know.
fn refusal(service: &str, leaves: &[Leaf], why: ::config::ConfigError) -> ConfigError {
    let (path, expected) = match why {
        ::config::ConfigError::Type { key: Some(key), expected, .. } => {
            (key, format!("expected {expected}"))
        }
        ::config::ConfigError::At { key: Some(key), error, .. } => (key, error.to_string()),
        other => {
            return ConfigError::Defaults { service: service.into(), reason: other.to_string() };
        }
    };
    let path: Vec<&str> = path.split('.').collect();
    // The error may point below a leaf (an item of a list) or above it (a section's own check).
    let names = |leaf: &&Leaf| {
        leaf.path.iter().zip(&path).all(|(ours, theirs)| {
            theirs == ours || theirs.strip_prefix(ours.as_str()).is_some_and(|t| t.starts_with('['))
        })
    };
    let leaf = leaves.iter().rev().find(names);
    ConfigError::BadValue {
        key: written(&path.join(".")),
        value: leaf.map_or_else(|| "nothing".to_owned(), Leaf::shown),
        source_name: leaf.map_or_else(|| "no layer".to_owned(), |leaf| leaf.source_name.clone()),
        expected,
    }
}
