//! Where an entry came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MemoryId;
use crate::name::{AgentId, Name, TaskId};
use crate::trace::TraceContext;

/// What an entry was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MemorySource {
    /// Its author says so.
    #[default]
    Agent,
    /// It came from outside of the fleet: a page, a file, a tool. It is untrusted until verified.
    External {
        /// Where from.
        uri: String,
    },
    /// The service made it from what happened.
    Learned {
        /// The event that it was made from.
        event: String,
    },
}

/// Where an entry came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Who wrote it: the caller, never what a request says of itself.
    pub author: AgentId,
    /// The task that it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The hold on that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The session that it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Name>,
    /// The trace that it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// Entries of the same namespace that it rests on: when one is taken back, so is this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<MemoryId>,
    /// What it was made from.
    #[serde(default)]
    pub source: MemorySource,
}
