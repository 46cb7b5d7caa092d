//! What a task of a run looks like: the same for us, the baseline and the peers.

use anyhow::Result;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{Json, Name, Priority, RequiredCapability};

use crate::agents::{CAPABILITY, ROLE};

/// Bytes of a creation's body, of a raw write, and of a peer's job.
pub(crate) const BODY_BYTES: usize = 512;
/// Bytes of a task in the graph: ten thousand of them must fit into one message.
pub(super) const GRAPH_BODY_BYTES: usize = 256;
/// Bytes of a result.
pub(crate) const RESULT_BYTES: usize = 64;
/// The least proficiency that tasks ask for.
const MIN_PROFICIENCY: f64 = 0.5;
/// Priorities, in turn.
const PRIORITIES: [Priority; 4] =
    [Priority::Low, Priority::Medium, Priority::High, Priority::Critical];

/// Makes tasks whose creation has a body of [`BODY_BYTES`], with role, capability and priority.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    template: TaskSpec,
}

impl Shape {
    /// Tasks that ask for the capability that every agent of a run has.
    pub(super) fn new() -> Result<Self> {
        Self::asking(vec![Name::parse(CAPABILITY)?], BODY_BYTES)
    }

    /// The same, with bodies for a large graph.
    pub(super) fn in_graph() -> Result<Self> {
        Self::asking(vec![Name::parse(CAPABILITY)?], GRAPH_BODY_BYTES)
    }

    /// Tasks that ask for `capabilities`.
    pub(super) fn asking(capabilities: Vec<Name>, body_bytes: usize) -> Result<Self> {
        let required = capabilities.into_iter();
        let mut template = TaskSpec {
            title: "benchmark".to_owned(),
            priority: Priority::Critical,
            required_role: Some(Name::parse(ROLE)?),
            required_capabilities: required
                .map(|name| RequiredCapability { name, min_proficiency: MIN_PROFICIENCY })
                .collect(),
            payload: Some(Json::text("")),
            ..TaskSpec::default()
        };
        let bare = serde_json::to_vec(&template)?.len();
        template.payload = Some(Json::text(&"x".repeat(body_bytes.saturating_sub(bare))));
        Ok(Self { template })
    }

    /// The task number `number`.
    pub(super) fn task(&self, number: usize) -> TaskSpec {
        TaskSpec { priority: PRIORITIES[number % PRIORITIES.len()], ..self.template.clone() }
    }
}

/// A result of [`RESULT_BYTES`].
pub(crate) fn result() -> Json {
    Json::text(&"y".repeat(RESULT_BYTES - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_size_that_is_stated() {
        let task = Shape::new().unwrap().task(3);
        assert_eq!(task.priority, Priority::Critical);
        assert_eq!(serde_json::to_vec(&task).unwrap().len(), BODY_BYTES);
        assert_eq!(result().len(), RESULT_BYTES);
        task.check().unwrap();
    }
}
