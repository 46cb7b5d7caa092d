//! The restricted level of Pod Security, a read-only root, bounds, and our own probes, for every pod.

use serde_norway::Value;

use super::document::{Document, at, list, pairs, pod_template, text};

/// Kinds of volumes that the restricted level allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// Images that this repository builds.
const OWN_IMAGE: &str = "troupe";

/// Everything that is wrong with the pods, and namespaces that would admit worse ones.
pub(super) fn violations(documents: &[Document]) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in documents {
        let title = document.title();
        if document.kind() == "Namespace" {
            wrong.extend(namespace(document).map(|why| format!("{title}: {why}")));
        }
        if let Some(template) = pod_template(document) {
            wrong.extend(pod(template).into_iter().map(|why| format!("{title}: {why}")));
        }
    }
    wrong
}

fn namespace(document: &Document) -> Option<String> {
    let label = "pod-security.kubernetes.io/enforce";
    let level = text(&document.value, &["metadata", "labels", label]);
    (level != Some("restricted")).then(|| format!("{label} must be restricted"))
}

fn pod(template: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, why: &str| {
        if !holds {
            wrong.push(why.to_owned());
        }
    };
    let Some(spec) = template.get("spec") else { return vec!["has no pod spec".to_owned()] };
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        must(!is(spec, &[key], true), &format!("{key} must not be set"));
    }
    must(is(spec, &["securityContext", "runAsNonRoot"], true), "runAsNonRoot must be true");
    must(at(spec, &["securityContext", "runAsUser"]) != Some(&0.into()), "runAsUser must not be 0");
    let seccomp = text(spec, &["securityContext", "seccompProfile", "type"]);
    must(seccomp == Some("RuntimeDefault"), "seccompProfile must be RuntimeDefault");
    let token = is(spec, &["automountServiceAccountToken"], false);
    must(token, "automountServiceAccountToken must be false");
    // Service links become variables, and a service refuses `TROUPE_` ones that it does not know.
    must(is(spec, &["enableServiceLinks"], false), "enableServiceLinks must be false");
    for volume in list(spec, &["volumes"]) {
        let kind = pairs(volume, &[]).map(|(key, _)| key).find(|key| *key != "name");
        let kind = kind.unwrap_or("nothing");
        must(VOLUMES.contains(&kind), &format!("a volume must not be of the kind {kind}"));
    }
    let containers: Vec<&Value> =
        ["initContainers", "containers"].iter().flat_map(|key| list(spec, &[key])).collect();
    must(!containers.is_empty(), "has no containers");
    for container in containers {
        wrong.extend(self::container(container));
    }
    wrong
}

fn container(container: &Value) -> Vec<String> {
    let name = text(container, &["name"]).unwrap_or("?");
    let mut wrong = Vec::new();
    let mut must = |holds: bool, why: &str| {
        if !holds {
            wrong.push(format!("container {name}: {why}"));
        }
    };
    let security = |key: &str, wanted: bool| is(container, &["securityContext", key], wanted);
    must(security("allowPrivilegeEscalation", false), "allowPrivilegeEscalation must be false");
    must(security("readOnlyRootFilesystem", true), "readOnlyRootFilesystem must be true");
    must(!security("privileged", true), "must not be privileged");
    must(!security("runAsNonRoot", false), "must not run as root");
    must(
        at(container, &["securityContext", "runAsUser"]) != Some(&0.into()),
        "runAsUser must not be 0",
    );
    let profile = text(container, &["securityContext", "seccompProfile", "type"]);
    must(profile.is_none_or(|p| p == "RuntimeDefault"), "seccompProfile must be RuntimeDefault");
    let mut dropped = list(container, &["securityContext", "capabilities", "drop"]);
    must(dropped.any(|capability| capability == "ALL"), "must drop ALL capabilities");
    let mut added = list(container, &["securityContext", "capabilities", "add"]);
    must(added.next().is_none(), "must not add capabilities");
    let host_port = list(container, &["ports"]).any(|port| port.get("hostPort").is_some());
    must(!host_port, "must not use a port of the node");
    let image = text(container, &["image"]).unwrap_or_default();
    must(is_pinned(image), &format!("image {image:?} must have a version"));
    for path in [["requests", "cpu"], ["requests", "memory"], ["limits", "memory"]] {
        let stated = at(container, &["resources", path[0], path[1]]).is_some();
        must(stated, &format!("resources.{} must be stated", path.join(".")));
    }
    if image.split(':').next() == Some(OWN_IMAGE) {
        let probe = |kind: &str| text(container, &[kind, "httpGet", "path"]);
        must(probe("livenessProbe") == Some("/livez"), "livenessProbe must ask /livez");
        must(probe("readinessProbe") == Some("/readyz"), "readinessProbe must ask /readyz");
    }
    wrong
}

/// Whether an image names one version, by tag or digest.
pub(super) fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once('@') {
        Some((_, digest)) => digest.starts_with("sha256:"),
        None => last.split_once(':').is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest"),
    }
}

fn is(value: &Value, path: &[&str], wanted: bool) -> bool {
    at(value, path).and_then(Value::as_bool) == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::*;

    const GOOD: &str = "
kind: Deployment
metadata: { name: x }
spec:
  template:
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: { runAsNonRoot: true, seccompProfile: { type: RuntimeDefault } }
      containers:
        - name: main
          image: troupe:0.1.0
          livenessProbe: { httpGet: { path: /livez, port: 8080 } }
          readinessProbe: { httpGet: { path: /readyz, port: 8080 } }
          resources: { requests: { cpu: 1, memory: 1Mi }, limits: { memory: 1Mi } }
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
      volumes:
        - { name: tmp, emptyDir: {} }
";

    #[test]
    fn a_good_pod_passes() {
        assert_eq!(violations(&parse(GOOD)), Vec::<String>::new());
    }

    #[test]
    fn each_rule_can_fail() {
        for (good, bad) in [
            ("runAsNonRoot: true", "runAsNonRoot: false"),
            ("runAsNonRoot: true", "runAsNonRoot: true, runAsUser: 0"),
            ("type: RuntimeDefault", "type: Unconfined"),
            ("enableServiceLinks: false", "enableServiceLinks: true"),
            ("automountServiceAccountToken: false", "hostname: x"),
            (
                "automountServiceAccountToken: false",
                "automountServiceAccountToken: false\n      hostPID: true",
            ),
            ("emptyDir: {}", "hostPath: { path: / }"),
            ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
            ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
            (
                "readOnlyRootFilesystem: true",
                "readOnlyRootFilesystem: true\n            privileged: true",
            ),
            ("drop: [ALL]", "drop: [NET_RAW]"),
            ("drop: [ALL]", "drop: [ALL], add: [NET_ADMIN]"),
            ("troupe:0.1.0", "troupe:latest"),
            ("/livez", "/healthz"),
            ("/readyz", "/livez"),
            ("limits: { memory: 1Mi }", "limits: { cpu: 1 }"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert_ne!(text, GOOD, "{good}");
            assert_eq!(
                violations(&parse(&text)).len(),
                1,
                "{bad}: {:?}",
                violations(&parse(&text))
            );
        }
    }

    #[test]
    fn a_lax_namespace_is_found() {
        assert_eq!(violations(&parse("kind: Namespace\nmetadata: { name: x }")).len(), 1);
    }

    #[test]
    fn pinned_is_a_tag_or_a_digest() {
        assert!(is_pinned("nats:2.15.1-alpine") && is_pinned("a:1@sha256:00"));
        assert!(!is_pinned("nats") && !is_pinned("host:5000/nats") && !is_pinned("nats:latest"));
    }
}
