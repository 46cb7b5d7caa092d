//! What the log keeps, and what a snapshot does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::event::MilestoneEventKind;
use troupe_domain::progress::{Milestone, MilestoneId, MilestoneStatus, ProgressEntry};
use troupe_domain::{AgentId, Name, TaskId, Timestamp};

use super::accounts::Tally;
use super::durations::Durations;
use super::facts::Fact;
use super::task::TaskState;

/// How far the stream of events was taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the stream was made: one that was made anew is another.
    pub stream_made_at: Timestamp,
    /// Everything up to here.
    pub sequence: u64,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How many events follow from it.
    #[serde(default, skip_serializing_if = "is_zero", rename = "n")]
    pub notices: usize,
    /// What happened.
    #[serde(rename = "w")]
    pub what: What,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Something was learned of a task.
    Fact(Box<Fact>),
    /// The stream of events was taken in up to here.
    Heard(Place),
    /// Everything that was there before the stream was listened to is known.
    Complete(bool),
    /// A holder reported.
    Report(Arc<ProgressEntry>),
    /// Nothing was heard of a task for long.
    Stalled {
        /// The task.
        task: TaskId,
        /// Under which hold.
        epoch: u64,
        /// When that was found.
        at: Timestamp,
    },
    /// A milestone was created or changed by somebody.
    Milestone {
        /// As it is now.
        milestone: Box<Milestone>,
        /// By whom.
        by: Name,
        /// Created, or changed.
        event: MilestoneEventKind,
    },
    /// A milestone moved on by itself.
    Moved {
        /// Which.
        milestone: MilestoneId,
        /// Where it is now.
        status: MilestoneStatus,
        /// When.
        at: Timestamp,
    },
    /// The oldest reports of a task became a sum.
    RolledUp {
        /// The task.
        task: TaskId,
        /// How many.
        reports: usize,
    },
    /// Ended tasks were let go of.
    Forgotten(Vec<TaskId>),
    /// Agents were let go of.
    Left(Vec<AgentId>),
}

/// One line of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotLine {
    /// A task.
    Task(Arc<TaskState>),
    /// A milestone.
    Milestone(Arc<Milestone>),
    /// What an agent did.
    Agent(AgentId, Tally),
    /// What completed tasks took.
    Durations(Box<Durations>),
    /// How far the stream of events was taken in, whether what was before is known, and how many
    /// tasks are not followed.
    Heard(Option<Place>, bool, u64),
}
