//! docker-compose.yml: pinned images, and dependencies that exist and can become healthy.

use serde_norway::Value;

use super::document::{at, list, pairs, text};
use super::pods::is_pinned;

/// Everything that is wrong.
pub(super) fn violations(compose: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let services: Vec<_> = pairs(compose, &["services"]).collect();
    if services.is_empty() {
        wrong.push("docker-compose.yml: no services".to_owned());
    }
    let volumes: Vec<&str> = pairs(compose, &["volumes"]).map(|(name, _)| name).collect();
    for (name, service) in &services {
        let mut say = |why: String| wrong.push(format!("docker-compose.yml: {name}: {why}"));
        match text(service, &["image"]) {
            Some(image) if is_pinned(image) => {}
            Some(image) => say(format!("image {image:?} must have a version")),
            None => say("has no image".to_owned()),
        }
        for (other, how) in dependencies(service) {
            match services.iter().find(|(name, _)| *name == other) {
                None => say(format!("depends on {other}, which is not there")),
                Some((_, it)) if how == "service_healthy" && it.get("healthcheck").is_none() => {
                    say(format!("waits for the health of {other}, which has no healthcheck"));
                }
                Some(_) => {}
            }
        }
        let mounts = list(service, &["volumes"]).filter_map(Value::as_str);
        let named = mounts.filter_map(|mount| mount.split(':').next());
        for volume in named.filter(|source| !source.starts_with(['.', '/'])) {
            if !volumes.contains(&volume) {
                say(format!("mounts {volume}, which is not declared"));
            }
        }
    }
    wrong
}

/// Both forms: a list of names, or names with conditions.
fn dependencies(service: &Value) -> Vec<(&str, &str)> {
    let listed = list(service, &["depends_on"]).filter_map(Value::as_str);
    let conditional = pairs(service, &["depends_on"])
        .map(|(name, it)| (name, text(it, &["condition"]).unwrap_or("service_started")));
    listed.map(|name| (name, "service_started")).chain(conditional).collect()
}

/// The environment of a service, in either form.
pub(super) fn environment(service: &Value) -> Vec<String> {
    match at(service, &["environment"]) {
        Some(Value::Mapping(_)) => {
            pairs(service, &["environment"]).map(|(key, _)| key.to_owned()).collect()
        }
        _ => list(service, &["environment"])
            .filter_map(Value::as_str)
            .map(|pair| pair.split('=').next().unwrap_or(pair).to_owned())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        violations(&serde_norway::from_str(text).unwrap())
    }

    #[test]
    fn what_agrees_passes() {
        let good = "
services:
  a: { image: 'x:1', healthcheck: { test: [CMD, 'true'] }, volumes: ['data:/data', './a:/a'] }
  b: { image: 'y:1', depends_on: { a: { condition: service_healthy } } }
  c: { image: 'y:1', depends_on: [a, b] }
volumes: { data: {} }";
        assert_eq!(found(good), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_agree_is_found() {
        for bad in [
            "services: {}",
            "services: { a: { image: x } }",
            "services: { a: { build: . } }",
            "services: { a: { image: 'x:1', depends_on: [b] } }",
            "services: { a: { image: 'x:1' }, b: { image: 'x:1', depends_on: { a: { condition: service_healthy } } } }",
            "services: { a: { image: 'x:1', volumes: ['data:/data'] } }",
        ] {
            assert_eq!(found(bad).len(), 1, "{bad}");
        }
    }
}
