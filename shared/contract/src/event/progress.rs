//! The events of the progress service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::progress::{MilestoneId, MilestoneStatus, ProgressStatus};
use troupe_domain::{AgentId, Name, TaskId, Timestamp};

/// The entity token of the progress of tasks.
pub const PROGRESS: &str = "progress";
/// The entity token of milestones.
pub const MILESTONE: &str = "milestone";

event_kinds! { ProgressEventKind, "The events of a task's progress.";
    ProgressReported = "progress_reported": "A task moved on by a percent or more, or its holder's status changed.";
    ProgressRegressed = "progress_regressed": "A percentage went down, with the reason.";
    ProgressStalled = "progress_stalled": "Nothing was heard of a task at work for long.";
    AgentBlocked = "agent_blocked": "A holder says that it cannot go on.";
}

event_kinds! { MilestoneEventKind, "The events of a milestone.";
    MilestoneCreated = "milestone_created": "A milestone was created.";
    MilestoneChanged = "milestone_changed": "A milestone was changed, or its work began.";
    MilestoneAchieved = "milestone_achieved": "All of a milestone is done.";
    MilestoneMissed = "milestone_missed": "The date of a milestone passed before all of it was done.";
}

/// The data of an event of a task's progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressEvent {
    /// What happened.
    pub event: ProgressEventKind,
    /// Of which task.
    pub task_id: TaskId,
    /// Under which hold.
    pub epoch: u64,
    /// Whose report it was, or who holds the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// How far it is, 0 to 100.
    pub percentage: f64,
    /// Where it was, if it went down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_percentage: Option<f64>,
    /// What the holder says of it.
    pub status: ProgressStatus,
    /// When.
    pub at: Timestamp,
    /// In words: what the holder said, or why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the holder waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
    /// The graph that the task is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<Name>,
    /// The plan that the task is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<Name>,
}

/// The data of a milestone's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MilestoneEvent {
    /// What happened.
    pub event: MilestoneEventKind,
    /// To which milestone.
    pub milestone_id: MilestoneId,
    /// Its name.
    pub name: String,
    /// Its status afterwards.
    pub status: MilestoneStatus,
    /// When.
    pub at: Timestamp,
    /// Who did it; absent where it happened by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Name>,
    /// When it should be achieved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_date: Option<Timestamp>,
    /// Whether it was achieved after its date.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}
