//! The demo's work as a graph: it fans out to one analysis a part, each is checked by another role,
//! and one synthesis joins them all.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use troupe_contract::work::GraphSpec;
use troupe_domain::task::spec::{DependencySpec, TaskSpec};
use troupe_domain::{Json, Name, Priority, RequiredCapability};

/// The role, and the capability, of each step.
pub(crate) const IMPLEMENTER: (&str, &str) = ("implementer", "analyse");
pub(crate) const AUDITOR: (&str, &str) = ("auditor", "audit");
pub(crate) const COORDINATOR: (&str, &str) = ("coordinator", "synthesise");
/// The least proficiency that is asked for.
const MIN_PROFICIENCY: f64 = 0.5;
/// Short, so that a person sees a dead agent's task come back while looking on.
const LEASE_MS: u64 = 2_000;

/// The graph for these parts.
pub(crate) fn build(root: &Path, parts: &[Vec<String>], pace_ms: u64) -> Result<GraphSpec> {
    let root = root.display().to_string();
    let mut tasks = Vec::new();
    let mut audits = Vec::new();
    for (number, files) in parts.iter().enumerate() {
        let analysis = Name::parse(&format!("analyse-{number:02}"))?;
        let audit = Name::parse(&format!("audit-{number:02}"))?;
        let title = format!("Analyse part {number:02}: {} files", files.len());
        let payload = json!({ "root": root, "files": files, "pace_ms": pace_ms });
        tasks.push(task(&analysis, title, IMPLEMENTER, payload, &[])?);
        let title = format!("Count part {number:02} again and compare");
        let payload = json!({ "root": root, "pace_ms": pace_ms });
        tasks.push(task(&audit, title, AUDITOR, payload, &[analysis])?);
        audits.push(audit);
    }
    let title = format!("Add up {} parts", parts.len());
    let payload = json!({ "root": root, "pace_ms": pace_ms });
    let mut last = task(&Name::parse("synthesis")?, title, COORDINATOR, payload, &audits)?;
    last.priority = Priority::High;
    tasks.push(last);
    Ok(GraphSpec { tasks, idempotency_key: None })
}

fn task(
    key: &Name,
    title: String,
    (role, capability): (&str, &str),
    payload: serde_json::Value,
    depends_on: &[Name],
) -> Result<TaskSpec> {
    Ok(TaskSpec {
        key: Some(key.clone()),
        title,
        payload: Some(Json::from(payload)),
        required_role: Some(Name::parse(role)?),
        required_capabilities: vec![RequiredCapability {
            name: Name::parse(capability)?,
            min_proficiency: MIN_PROFICIENCY,
        }],
        depends_on: depends_on.iter().cloned().map(DependencySpec::Plain).collect(),
        lease_ms: Some(LEASE_MS),
        ..TaskSpec::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_one_that_the_service_takes() {
        let parts = vec![vec!["a".to_owned()]; 16];
        let graph = build(Path::new("/x"), &parts, 400).unwrap();
        let checked = troupe_domain::graph::check(graph.tasks).unwrap();
        assert_eq!(checked.tasks.len(), 33);
        assert_eq!(checked.tasks.last().unwrap().depends_on.len(), 16);
    }
}
