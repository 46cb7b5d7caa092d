//! What one object says of another is true: selectors, ports, volumes' sources, and drains.

use std::collections::BTreeMap;

use serde_norway::Value;

use super::document::{Document, at, list, pairs, pod_template, text};

const DRAIN: &str = "TROUPE_DRAIN_TIMEOUT_MS";

type Labels<'a> = BTreeMap<&'a str, &'a Value>;

/// Everything that points nowhere.
pub(super) fn violations(documents: &[Document]) -> Vec<String> {
    let pods: Vec<&Value> = documents.iter().filter_map(pod_template).collect();
    let mut wrong = Vec::new();
    for document in documents {
        let title = document.title();
        for path in selectors(document.kind()) {
            let wanted: Labels<'_> = pairs(&document.value, path).collect();
            let Some(_) = at(&document.value, path) else { continue };
            let chosen: Vec<&Value> =
                pods.iter().copied().filter(|pod| matches(pod, &wanted)).collect();
            if chosen.is_empty() {
                wrong.push(format!("{title}: {} selects no pod", path.join(".")));
            } else if document.kind() == "Service" {
                wrong.extend(ports(document, &chosen).map(|why| format!("{title}: {why}")));
            }
        }
        if let Some(template) = pod_template(document) {
            wrong.extend(sources(template, documents).map(|why| format!("{title}: {why}")));
            wrong.extend(drain(template, documents).map(|why| format!("{title}: {why}")));
        }
    }
    wrong
}

fn selectors(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "Service" => &[&["spec", "selector"]],
        "Deployment" | "StatefulSet" | "DaemonSet" | "PodDisruptionBudget" => {
            &[&["spec", "selector", "matchLabels"]]
        }
        "NetworkPolicy" => &[&["spec", "podSelector", "matchLabels"]],
        _ => &[],
    }
}

fn matches(pod: &Value, wanted: &Labels<'_>) -> bool {
    let has: Labels<'_> = pairs(pod, &["metadata", "labels"]).collect();
    wanted.iter().all(|(key, value)| has.get(key) == Some(value))
}

fn ports<'a>(service: &'a Document, pods: &'a [&'a Value]) -> impl Iterator<Item = String> + 'a {
    list(&service.value, &["spec", "ports"]).filter_map(move |port| {
        let target = port.get("targetPort").or_else(|| port.get("port"))?;
        let listens = |pod: &&&Value| {
            list(pod, &["spec", "containers"])
                .flat_map(|container| list(container, &["ports"]))
                .any(|p| p.get("name") == Some(target) || p.get("containerPort") == Some(target))
        };
        let missing = !pods.iter().all(|pod| listens(&pod));
        missing.then(|| format!("no container has the port {target:?}"))
    })
}

/// ConfigMaps that a pod reads and nobody declares.
fn sources<'a>(
    template: &'a Value,
    documents: &'a [Document],
) -> impl Iterator<Item = String> + 'a {
    let volumes =
        list(template, &["spec", "volumes"]).filter_map(|v| text(v, &["configMap", "name"]));
    let environment = list(template, &["spec", "containers"])
        .flat_map(|container| list(container, &["envFrom"]))
        .filter_map(|source| text(source, &["configMapRef", "name"]));
    volumes.chain(environment).filter_map(|name| {
        let known = config_map(documents, name).is_some();
        (!known).then(|| format!("there is no ConfigMap {name}"))
    })
}

fn config_map<'a>(documents: &'a [Document], name: &str) -> Option<&'a Document> {
    documents.iter().find(|document| {
        document.kind() == "ConfigMap" && text(&document.value, &["metadata", "name"]) == Some(name)
    })
}

/// A pod must be given longer than its drain takes.
fn drain(template: &Value, documents: &[Document]) -> Option<String> {
    let drain_ms: u64 = list(template, &["spec", "containers"])
        .flat_map(|container| list(container, &["envFrom"]))
        .filter_map(|source| config_map(documents, text(source, &["configMapRef", "name"])?))
        .find_map(|map| text(&map.value, &["data", DRAIN])?.parse().ok())?;
    let grace_s = at(template, &["spec", "terminationGracePeriodSeconds"])
        .and_then(Value::as_u64)
        .unwrap_or(30);
    (grace_s * 1000 <= drain_ms)
        .then(|| format!("terminationGracePeriodSeconds {grace_s} must be over {DRAIN} {drain_ms}"))
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::*;

    const GOOD: &str = "
kind: Service
metadata: { name: s }
spec: { selector: { app: x }, ports: [{ port: 80, targetPort: http }] }
---
kind: ConfigMap
metadata: { name: c }
data: { TROUPE_DRAIN_TIMEOUT_MS: '20000' }
---
kind: Deployment
metadata: { name: x }
spec:
  selector: { matchLabels: { app: x } }
  template:
    metadata: { labels: { app: x, more: y } }
    spec:
      terminationGracePeriodSeconds: 45
      containers:
        - name: main
          ports: [{ name: http, containerPort: 8080 }]
          envFrom: [{ configMapRef: { name: c } }]
";

    #[test]
    fn what_agrees_passes() {
        assert_eq!(violations(&parse(GOOD)), Vec::<String>::new());
    }

    #[test]
    fn what_points_nowhere_is_found() {
        for (good, bad) in [
            ("selector: { app: x }, ports", "selector: { app: z }, ports"),
            ("matchLabels: { app: x }", "matchLabels: { app: z }"),
            ("targetPort: http", "targetPort: https"),
            ("configMapRef: { name: c }", "configMapRef: { name: d }"),
            ("terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 20"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert_eq!(violations(&parse(&text)).len(), 1, "{bad}");
        }
    }
}
