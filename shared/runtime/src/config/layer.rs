//! One layer of a configuration as leaves: full key, value, and who set it.
//!
//! Every layer is checked against the shape of the defaults before layers are merged, so that a
//! refusal can still say where a key came from.

use ::config::{Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::{
    error::ConfigError,
    value_types::{REDACTED, without_userinfo},
};

/// The field that holds [`super::Common`]; its keys are written without it.
pub(crate) const COMMON: &str = "common";
const SECRET_WORDS: [&str; 4] = ["password", "secret", "token", "seed"];

/// A set value.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// The key's segments as the defaults nest them (with `common`).
    pub(crate) path: Vec<String>,
    pub(crate) value: Value,
    pub(crate) source_name: String,
}

impl Leaf {
    /// The key as a person writes it.
    pub(crate) fn key(&self) -> String {
        written(&self.path.join("."))
    }

    /// The value as it may be shown.
    pub(crate) fn shown(&self) -> String {
        shown(&self.key(), &self.value.to_string())
    }
}

/// `key` without the segment that people do not write.
pub(crate) fn written(key: &str) -> String {
    key.strip_prefix("common.").unwrap_or(key).to_owned()
}

/// `value` of `key`, without what is secret in it.
pub(crate) fn shown(key: &str, value: &str) -> String {
    let safe = without_secrets(key, value);
    if safe == REDACTED { safe } else { format!("{safe:?}") }
}

/// `value` of `key`: all of it replaced where the key names a secret, else its user part.
pub(crate) fn without_secrets(key: &str, value: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    if SECRET_WORDS.iter().any(|word| last.contains(word)) {
        return REDACTED.to_owned();
    }
    without_userinfo(value)
}

/// Leaves in the order in which they were set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer(pub(crate) Vec<Leaf>);

impl Layer {
    /// Adds what the defaults hold.
    pub(crate) fn add_defaults(&mut self, shape: &Json) -> Result<(), ConfigError> {
        self.descend(shape, Vec::new(), from_json(shape), "the defaults")
    }

    /// Adds the leaves of `value`, nested as in a file, that `shape` knows; refuses the others.
    pub(crate) fn add_tree(
        &mut self,
        shape: &Json,
        value: Value,
        source_name: &str,
    ) -> Result<(), ConfigError> {
        let ValueKind::Table(table) = value.kind else {
            return Ok(());
        };
        for (segment, value) in table {
            let path = nested(shape, vec![segment], source_name)?;
            self.descend(shape, path, value, source_name)?;
        }
        Ok(())
    }

    /// Adds one value by its written key.
    pub(crate) fn add(
        &mut self,
        shape: &Json,
        key: &str,
        text: &str,
        source_name: &str,
    ) -> Result<(), ConfigError> {
        let path = nested(shape, key.split('.').map(str::to_owned).collect(), source_name)?;
        self.descend(shape, path, parse(text), source_name)
    }

    fn descend(
        &mut self,
        shape: &Json,
        path: Vec<String>,
        value: Value,
        source_name: &str,
    ) -> Result<(), ConfigError> {
        let known = known_at(shape, &path, source_name)?;
        match (value.kind, known) {
            (ValueKind::Table(table), Some(Json::Object(fields))) if !fields.is_empty() => {
                for (segment, value) in table {
                    let mut path = path.clone();
                    path.push(segment);
                    self.descend(shape, path, value, source_name)?;
                }
            }
            (kind, known) => {
                let leaf = Leaf {
                    path,
                    value: Value::new(None, kind),
                    source_name: source_name.to_owned(),
                };
                check_kind(&leaf, known)?;
                self.0.push(leaf);
            }
        }
        Ok(())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        let mut root = Map::new();
        for leaf in &self.0 {
            put(&mut root, &leaf.path, leaf.value.clone());
        }
        Ok(root)
    }
}

fn put(table: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = table.entry(first.clone()).or_default();
            if !matches!(inner.kind, ValueKind::Table(_)) {
                inner.kind = ValueKind::Table(Map::new());
            }
            if let ValueKind::Table(inner) = &mut inner.kind {
                put(inner, rest, value);
            }
        }
    }
}

/// The path as the defaults nest it: the keys of the common sections are written at the top, and
/// nowhere else.
fn nested(
    shape: &Json,
    mut path: Vec<String>,
    source_name: &str,
) -> Result<Vec<String>, ConfigError> {
    let first = path.first().map_or("", String::as_str);
    let own = shape.get(first).is_some();
    if own && first == COMMON {
        return Err(ConfigError::UnknownKey {
            key: path.join("."),
            source_name: source_name.to_owned(),
            known: shape.as_object().map(|all| known_names(shape, all, 0)).unwrap_or_default(),
        });
    }
    if !own && shape.get(COMMON).is_some_and(|common| common.get(first).is_some()) {
        path.insert(0, COMMON.to_owned());
    }
    Ok(path)
}

/// What the defaults hold at `path`: nothing for a place below an open map or an absent option.
fn known_at<'a>(
    shape: &'a Json,
    path: &[String],
    source_name: &str,
) -> Result<Option<&'a Json>, ConfigError> {
    let mut here = shape;
    for (depth, segment) in path.iter().enumerate() {
        let fields = match here {
            Json::Null => return Ok(None),
            Json::Object(fields) if fields.is_empty() && depth > 0 => return Ok(None),
            Json::Object(fields) => Some(fields),
            // A plain value has no keys below it.
            _ => None,
        };
        let Some(next) = fields.and_then(|fields| fields.get(segment)) else {
            return Err(ConfigError::UnknownKey {
                key: written(&path.join(".")),
                source_name: source_name.to_owned(),
                known: fields.map_or_else(|| "none".into(), |all| known_names(shape, all, depth)),
            });
        };
        here = next;
    }
    Ok(Some(here))
}

fn known_names(shape: &Json, fields: &serde_json::Map<String, Json>, depth: usize) -> String {
    let mut names: Vec<&str> = fields.keys().map(String::as_str).filter(|n| *n != COMMON).collect();
    if depth == 0
        && let Some(Json::Object(common)) = shape.get(COMMON)
    {
        names.extend(common.keys().map(String::as_str));
    }
    names.sort_unstable();
    names.join(", ")
}

/// Refuses what would otherwise be bent into shape: 1.5 or `true` for a whole number, a value for
/// a section and a section for a value.
fn check_kind(leaf: &Leaf, known: Option<&Json>) -> Result<(), ConfigError> {
    let whole = |number: &serde_json::Number| number.is_u64() || number.is_i64();
    let expected = match (known, &leaf.value.kind) {
        (Some(Json::Number(number)), ValueKind::Float(_) | ValueKind::Boolean(_))
            if whole(number) =>
        {
            "expected a whole number"
        }
        (Some(Json::Number(number)), ValueKind::String(text))
            if whole(number) && text.parse::<i128>().is_err() =>
        {
            "expected a whole number"
        }
        (Some(Json::Number(_)), ValueKind::Boolean(_)) => "expected a number",
        (Some(Json::Bool(_)), ValueKind::I64(_) | ValueKind::U64(_) | ValueKind::Float(_)) => {
            "expected true or false"
        }
        (Some(Json::Object(fields)), kind)
            if !fields.is_empty() && !matches!(kind, ValueKind::Table(_)) =>
        {
            "expected a section with keys of its own"
        }
        (Some(Json::String(_) | Json::Number(_) | Json::Bool(_)), ValueKind::Table(_)) => {
            "expected a value, not a section"
        }
        _ => return Ok(()),
    };
    Err(ConfigError::BadValue {
        key: leaf.key(),
        value: leaf.shown(),
        source_name: leaf.source_name.clone(),
        expected: expected.to_owned(),
    })
}

/// Text from the environment or a flag: JSON where it opens a list or a map, else as it stands.
fn parse(text: &str) -> Value {
    let kind = match serde_json::from_str::<Json>(text) {
        Ok(json @ (Json::Array(_) | Json::Object(_))) => return from_json(&json),
        _ => ValueKind::String(text.to_owned()),
    };
    Value::new(None, kind)
}

/// The same value in the `config` crate's terms.
pub(crate) fn from_json(json: &Json) -> Value {
    let kind = match json {
        Json::Null => ValueKind::Nil,
        Json::Bool(value) => ValueKind::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => ValueKind::I64(value),
            (None, Some(value)) => ValueKind::U64(value),
            (None, None) => ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => ValueKind::Array(items.iter().map(from_json).collect()),
        Json::Object(fields) => ValueKind::Table(
            fields.iter().map(|(name, value)| (name.clone(), from_json(value))).collect(),
        ),
    };
    Value::new(None, kind)
}
