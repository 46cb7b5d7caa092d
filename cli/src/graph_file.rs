//! A graph of tasks as people write it: YAML or JSON, with defaults for every task.
//!
//! A file is `{defaults?, tasks, idempotency_key?}`, or only the list of tasks. What a task does not
//! say is taken from `defaults`; nothing is merged deeper than that.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use troupe_contract::work::GraphSpec;

use crate::document;
use crate::exit::Usage;

/// Names that mean the same field.
const ALIASES: [(&str, &str); 3] = [
    ("role", "required_role"),
    ("capabilities", "required_capabilities"),
    ("dependencies", "depends_on"),
];
/// What belongs to one task and to no other.
const NEVER_A_DEFAULT: [&str; 4] = ["key", "id", "depends_on", "idempotency_key"];

/// Reads a graph from a file, or from standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<GraphSpec> {
    parse(&document::text(path)?).with_context(|| path.display().to_string())
}

/// Parses a graph. A fault names the field.
pub(crate) fn parse(text: &str) -> Result<GraphSpec> {
    let mut graph = match document::parse(text)? {
        Value::Object(graph) => graph,
        tasks @ Value::Array(_) => Map::from_iter([("tasks".to_owned(), tasks)]),
        _ => return Err(Usage::error("must be {defaults, tasks} or a list of tasks")),
    };
    let defaults = take_defaults(&mut graph)?;
    if let Some(Value::Array(tasks)) = graph.get_mut("tasks") {
        for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
            rename_aliases(task);
            for (field, value) in &defaults {
                task.entry(field.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    let body = serde_json::to_vec(&graph)?;
    Ok(troupe_bus::wire::decode(&body)?)
}

fn take_defaults(graph: &mut Map<String, Value>) -> Result<Map<String, Value>> {
    let mut defaults = match graph.remove("defaults") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(defaults)) => defaults,
        Some(_) => return Err(Usage::error("defaults: must be an object")),
    };
    rename_aliases(&mut defaults);
    match NEVER_A_DEFAULT.iter().find(|field| defaults.contains_key(**field)) {
        Some(field) => Err(Usage::error(format!("defaults.{field}: belongs to one task each"))),
        None => Ok(defaults),
    }
}

fn rename_aliases(task: &mut Map<String, Value>) {
    for (alias, field) in ALIASES {
        // Where both are given, the parser refuses the pair by name.
        if !task.contains_key(field)
            && let Some(value) = task.remove(alias)
        {
            task.insert(field.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_domain::{Fault, Priority};

    const GRAPH: &str = "
defaults: {role: implementer, priority: high, max_retries: 1}
tasks:
  - {key: a, title: First, payload: {n: 1.50}}
  - {key: b, title: Second, role: auditor, depends_on: [a, {task: a, on_failure: continue}]}
";

    #[test]
    fn defaults_fill_what_a_task_does_not_say() {
        let graph = parse(GRAPH).unwrap();
        let [a, b] = &graph.tasks[..] else { panic!("{graph:?}") };
        assert_eq!(a.required_role.as_ref().unwrap().as_str(), "implementer");
        assert_eq!((a.priority, a.max_retries), (Priority::High, Some(1)));
        assert_eq!(b.required_role.as_ref().unwrap().as_str(), "auditor");
        assert_eq!(b.depends_on.len(), 2);
    }

    #[test]
    fn json_and_a_bare_list_are_graphs_too() {
        assert_eq!(parse(r#"{"tasks":[{"key":"a","title":"A"}]}"#).unwrap().tasks.len(), 1);
        assert_eq!(parse("- {key: a, title: A}").unwrap().tasks.len(), 1);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let error = parse("tasks: [{key: a, title: A, priority: soon}]").unwrap_err();
        let fault = error.downcast_ref::<Fault>().unwrap();
        assert_eq!(fault.details["field"], "tasks[0].priority", "{fault}");
        for (text, expected) in [
            ("defaults: {key: a}\ntasks: []", "defaults.key"),
            ("defaults: 3", "defaults"),
            ("just a text", "must be"),
            ("{not json", "not JSON"),
            ("a: [", "not YAML"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
