//! What is set agrees with what is read: every `TROUPE_…` variable of a deployment is one that a
//! service knows, and the server's largest message is the contract's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_norway::Value;
use troupe_contract::generate::limits;

use super::compose;
use super::document::{Document, list, pairs, pod_template, text};

const PREFIX: &str = "TROUPE_";

/// The variables that every service reads.
const KNOWN: &[&str] = &[
    "TROUPE_NATS__URL",
    "TROUPE_REDIS__URL",
    "TROUPE_ADMIN__LISTEN",
    "TROUPE_LOG__FORMAT",
    "TROUPE_LOG__LEVEL",
    "TROUPE_OTLP__ENDPOINT",
    "TROUPE_DRAIN_TIMEOUT_MS",
];

/// The files that configure a nats-server.
const NATS_FILES: [&str; 2] = ["deploy/nats/nats.conf", "k8s/base/nats.yaml"];

/// Servers whose largest message is not the contract's.
pub(super) fn payloads(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in NATS_FILES {
        let text = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
        wrong.extend(payload(&text).map(|why| format!("{file}: {why}")));
    }
    Ok(wrong)
}

fn payload(configuration: &str) -> Option<String> {
    let limit = limits::ALL.iter().find(|limit| limit.name == "MAX_MESSAGE_BYTES")?;
    let wanted = format!("max_payload: {}MB", limit.value >> 20);
    let has = configuration.lines().any(|line| line.trim() == wanted);
    (!has).then(|| format!("must say `{wanted}`"))
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

    #[test]
    fn another_largest_message_is_found() {
        assert!(payload("  max_payload: 8MB\n").is_none());
        assert!(payload("max_payload: 80MB").is_some() && payload("").is_some());
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
