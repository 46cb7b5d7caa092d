//! A task: one piece of work that exactly one agent holds at a time.
//!
//! [`spec`] says what is asked for, [`rules`] decide what may happen, [`change`] is what happened;
//! a task is the fold of its changes. The epoch is the fencing token: every claim increments it, and
//! what carries another epoch writes nothing.

pub mod change;
pub mod rules;
pub mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::RequiredCapability;
use crate::evidence::{Evidence, Verification};
use crate::json::Json;
use crate::name::{AgentId, Name, Role, TaskId};
use crate::priority::Priority;
use crate::retry::Backoff;
use crate::time::Timestamp;
use crate::trace::TraceContext;

/// Where a task is in its life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Waits for its dependencies.
    #[serde(alias = "BLOCKED")]
    Blocked,
    /// Can be claimed (after `retry_at`, where there is one).
    #[serde(alias = "AVAILABLE")]
    Available,
    /// Held by an agent that has not started.
    #[serde(alias = "CLAIMED")]
    Claimed,
    /// Held by an agent at work.
    #[serde(alias = "IN_PROGRESS")]
    InProgress,
    /// Done, says its agent; waits for verification.
    #[serde(alias = "REPORTED")]
    Reported,
    /// Done.
    #[serde(alias = "COMPLETED")]
    Completed,
    /// Failed in a way that a retry would not change.
    #[serde(alias = "FAILED")]
    Failed,
    /// Called off, by somebody or because a dependency did not succeed.
    #[serde(alias = "CANCELLED")]
    Cancelled,
    /// Out of retries. Can be revived.
    #[serde(alias = "DEAD")]
    Dead,
}

impl TaskStatus {
    /// Every status, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Blocked,
        Self::Available,
        Self::Claimed,
        Self::InProgress,
        Self::Reported,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Dead,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Available => "available",
            Self::Claimed => "claimed",
            Self::InProgress => "in_progress",
            Self::Reported => "reported",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// Whether an agent holds the task.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Claimed | Self::InProgress)
    }

    /// Whether nothing more happens to it by itself.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Dead)
    }

    /// What a dependent learns of a task in this status.
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Completed => Some(Outcome::Succeeded),
            Self::Failed | Self::Cancelled | Self::Dead => Some(Outcome::DidNotSucceed),
            _ => None,
        }
    }
}

/// How a dependency ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Completed.
    Succeeded,
    /// Failed, cancelled or dead.
    DidNotSucceed,
}

/// What a dependency that did not succeed does to its dependent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The dependent is cancelled, with the reason recorded.
    #[default]
    Cancel,
    /// The dependent stays blocked until the dependency is revived and completes.
    Block,
    /// The dependent goes on without it.
    Continue,
}

/// An edge of the graph, seen from the dependent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// The task that must end first.
    pub task_id: TaskId,
    /// What its failure does here.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How it ended, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Its result, where it lives in another shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
}

/// What a task may spend. Only the time is enforced here; the rest travels to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// From start to end of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
    /// Tokens of a language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Money, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
}

/// Why a task moved somewhere its creator did not hope for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: ReasonKind,
    /// In words.
    pub message: String,
    /// Who did it, or whose attempt it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// The epoch of the attempt it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The dependency that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
}

/// What a [`Reason`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// The agent said it failed.
    Failed,
    /// The lease ran out.
    LeaseExpired,
    /// The agent gave it back.
    Released,
    /// The verifier refused the report.
    Rejected,
    /// Somebody called it off.
    Cancelled,
    /// A dependency did not succeed.
    DependencyFailed,
    /// Retries or lease expiries are exhausted.
    Exhausted,
    /// Somebody brought it back.
    Revived,
}

/// A task, as stored and as seen by every client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its id, for ever.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a language model is asked, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Input for the agent's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// How urgent it is.
    pub priority: Priority,
    /// The agent must have this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_role: Option<Role>,
    /// The agent must have these capabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_capabilities: Vec<RequiredCapability>,
    /// What must end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// Its holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<AgentId>,
    /// When the holder got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Timestamp>,
    /// The idempotency id of the command that claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<String>,
    /// The fencing token: how often it was claimed. Writes with another epoch are refused.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// How long one lease lasts.
    pub lease_ms: u64,
    /// When the hold ends unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<Timestamp>,
    /// Not to be claimed before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: Name,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the current or last attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The creator's guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_minutes: Option<f64>,
    /// From the start of the last attempt to its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_minutes: Option<f64>,
    /// What the holder last said, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_percent: Option<f64>,
    /// When the holder last showed progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_at: Option<Timestamp>,
    /// The creator's own facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// What came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// What shows that it came out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Who believed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<AgentId>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What went wrong, oldest first, at most [`crate::limits::MAX_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The task that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// The parts of this task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subtask_ids: Vec<TaskId>,
    /// The graph it was created in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<Name>,
    /// Its key in that graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// Retries after the first failure.
    pub max_retries: u32,
    /// The wait between retries, where it is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Box<Backoff>>,
    /// Attempts that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Attempts that ended because nobody renewed the lease. They use up no retry.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease_expiries: u32,
    /// What it may spend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<Budget>>,
    /// What must happen between a report and the completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Box<Verification>>,
    /// The key under which its creation is idempotent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The trace that its life belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a task learns from one of its dependencies when it is claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// The dependency.
    pub task_id: TaskId,
    /// How it ended.
    pub status: TaskStatus,
    /// Its result; absent if it had none or if it did not fit (see `truncated`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// The result is larger than what still fitted in the message: read it with `work.get`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A task in its holder's hands: the task, its epoch, and what its dependencies found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimedTask {
    /// The task, with the epoch that every write about it must carry.
    pub task: Arc<Task>,
    /// Results of its dependencies, by key in the graph, or by id.
    #[serde(default)]
    pub inputs: BTreeMap<Name, Input>,
    /// The trace that the work on it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}
