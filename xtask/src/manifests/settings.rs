//! What is set agrees with what is read: every `TROUPE_…` variable of a deployment is one that a
//! service knows, and a nats-server takes the contract's largest message and all of its streams.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_norway::Value;
use troupe_contract::generate::limits;
use troupe_contract::stream;

use super::compose;
use super::document::{Document, list, pairs, pod_template, text};

const PREFIX: &str = "TROUPE_";

/// The variables that every service reads. A test holds them against the runtime's configuration,
/// which a lint does not have to compile.
const KNOWN: &[&str] = &[
    "TROUPE_ADMIN__LISTEN",
    "TROUPE_DRAIN_TIMEOUT_MS",
    "TROUPE_LOG__FORMAT",
    "TROUPE_LOG__LEVEL",
    "TROUPE_NATS__CREDENTIALS_FILE",
    "TROUPE_NATS__NAME",
    "TROUPE_NATS__PASSWORD",
    "TROUPE_NATS__URL",
    "TROUPE_NATS__USER",
    "TROUPE_OTLP__ENDPOINT",
    "TROUPE_REDIS__URL",
];

/// The files that configure a nats-server.
const NATS_FILES: [&str; 2] = ["deploy/nats/nats.conf", "k8s/base/nats.yaml"];

/// Shards of work distribution where a deployment says nothing.
const DEFAULT_SHARDS: u16 = 4;

/// Servers that would refuse a message or a stream of the contract.
pub(super) fn servers(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in NATS_FILES {
        let text = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
        let refusals = payload(&text).into_iter().chain(store(&text));
        wrong.extend(refusals.map(|why| format!("{file}: {why}")));
    }
    Ok(wrong)
}

fn payload(configuration: &str) -> Option<String> {
    let limit = limits::ALL.iter().find(|limit| limit.name == "MAX_MESSAGE_BYTES")?;
    let wanted = format!("max_payload: {}MB", limit.value >> 20);
    let has = configuration.lines().any(|line| line.trim() == wanted);
    (!has).then(|| format!("must say `{wanted}`"))
}

/// The server counts what a stream may grow to when it is made, not when it grows.
fn store(configuration: &str) -> Option<String> {
    let reserved: i64 = stream::all(DEFAULT_SHARDS).iter().map(|spec| spec.max_bytes).sum();
    let wanted = (reserved >> 30) + 1;
    let stated = configuration
        .lines()
        .find_map(|line| line.trim().strip_prefix("max_file_store: ")?.strip_suffix("GB"))
        .and_then(|number| number.parse::<i64>().ok());
    let enough = stated.is_some_and(|gib| gib >= wanted);
    (!enough).then(|| format!("max_file_store must be {wanted}GB or more, and stated in GB"))
}

/// Unknown variables in ConfigMaps and pods.
pub(super) fn in_kubernetes(documents: &[Document]) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in documents {
        let mut set: BTreeSet<&str> =
            pairs(&document.value, &["data"]).map(|(key, _)| key).collect();
        for container in pod_template(document)
            .into_iter()
            .flat_map(|template| list(template, &["spec", "containers"]))
        {
            set.extend(list(container, &["env"]).filter_map(|pair| text(pair, &["name"])));
        }
        wrong.extend(
            set.into_iter()
                .filter(|key| is_unknown(key))
                .map(|key| format!("{}: no service reads {key}", document.title())),
        );
    }
    wrong
}

/// Unknown variables in docker-compose.yml.
pub(super) fn in_compose(file: &Value) -> Vec<String> {
    let services = pairs(file, &["services"]);
    let set = services.flat_map(|(name, service)| {
        compose::environment(service).into_iter().map(move |key| (name, key))
    });
    set.filter(|(_, key)| is_unknown(key))
        .map(|(name, key)| format!("docker-compose.yml: {name}: no service reads {key}"))
        .collect()
}

fn is_unknown(key: &str) -> bool {
    key.starts_with(PREFIX) && !KNOWN.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::*;

    /// The variables of a configuration, by the names of its keys.
    fn variables(prefix: &str, value: &serde_json::Value) -> Vec<String> {
        match value.as_object() {
            Some(fields) => fields
                .iter()
                .flat_map(|(key, inner)| {
                    let joint = if prefix == PREFIX { "" } else { "__" };
                    variables(&format!("{prefix}{joint}{}", key.to_uppercase()), inner)
                })
                .collect(),
            None => vec![prefix.to_owned()],
        }
    }

    #[test]
    fn the_known_variables_are_those_of_the_runtime() {
        let defaults = serde_json::to_value(troupe_runtime::config::Common::default()).unwrap();
        let mut read = variables(PREFIX, &defaults);
        read.sort();
        assert_eq!(read, KNOWN);
    }

    #[test]
    fn another_largest_message_is_found() {
        assert!(payload("  max_payload: 8MB\n").is_none());
        assert!(payload("max_payload: 80MB").is_some() && payload("").is_some());
    }

    #[test]
    fn a_store_that_is_too_small_for_the_streams_is_found() {
        assert!(store("  max_file_store: 100000GB\n").is_none());
        assert!(store("max_file_store: 1GB").is_some() && store("").is_some());
    }

    #[test]
    fn a_misspelt_variable_is_found_wherever_it_is_set() {
        let map = "kind: ConfigMap\ndata: { TROUPE_NATS__URL: x, TROUPE_NATS_URL: x, OTHER: x }";
        assert_eq!(in_kubernetes(&parse(map)).len(), 1);
        let pod = "kind: Pod\nspec: { containers: [{ env: [{ name: TROUPE_X }] }] }";
        assert_eq!(in_kubernetes(&parse(pod)).len(), 1);
        for environment in ["{ TROUPE_X: 1 }", "['TROUPE_X=1']"] {
            let text = format!("services: {{ a: {{ environment: {environment} }} }}");
            assert_eq!(in_compose(&serde_norway::from_str(&text).unwrap()).len(), 1);
        }
    }
}
