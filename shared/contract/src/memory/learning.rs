//! What travels to remember attempts and votes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{ConsensusVote, Iteration, MemoryId, Namespace};
use troupe_domain::{Name, TaskId};

/// Attempts at a task, and what came of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRefinementTraceRequest {
    /// The task.
    pub task_id: TaskId,
    /// The attempts, in order.
    pub iterations: Vec<Iteration>,
    /// What came of them, not empty.
    pub final_result: String,
    /// Whether it succeeded.
    pub success: bool,
    /// How long all of it took.
    pub duration_ms: u64,
    /// The hold on the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// How much it matters, 0 to 1; 0.6 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<f64>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it belongs; `default` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Entries of the same namespace that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<MemoryId>,
}

/// A question that was voted on. What most voted for, and the agreement, are counted from the votes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConsensusRequest {
    /// What was asked, not empty.
    pub question: String,
    /// The votes, at least one, at most one of each voter.
    pub votes: Vec<ConsensusVote>,
    /// The kind of task that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Name>,
    /// The task that it was asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// How much it matters, 0 to 1; 0.7 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<f64>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it belongs; `default` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Entries of the same namespace that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<MemoryId>,
}
