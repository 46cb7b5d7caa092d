//! Progress: what holders say of their tasks, and the milestones that a fleet works towards.
//!
//! A percentage counts in hundredths, so that sums over any number of tasks are exact: what is taken
//! out of a sum leaves nothing behind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::name::{AgentId, Name, TaskId};
use crate::time::Timestamp;

/// The id of a milestone.
pub type MilestoneId = Name;
/// The id of one report.
pub type ReportId = Name;

/// How far a task is, as its holder says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProgressStatus {
    /// Nobody began.
    #[serde(alias = "NOT_STARTED")]
    NotStarted,
    /// Somebody is at it.
    #[serde(alias = "IN_PROGRESS")]
    InProgress,
    /// Done.
    #[serde(alias = "COMPLETED")]
    Completed,
    /// The holder cannot go on; its blockers say why.
    #[serde(alias = "BLOCKED")]
    Blocked,
    /// It did not succeed, and is not tried again by itself.
    #[serde(alias = "FAILED")]
    Failed,
    /// The holder rests.
    #[serde(alias = "PAUSED")]
    Paused,
}

/// Where a milestone is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MilestoneStatus {
    /// None of its tasks began.
    #[serde(alias = "PENDING")]
    Pending,
    /// Some of it began.
    #[serde(alias = "IN_PROGRESS")]
    InProgress,
    /// All of it is done.
    #[serde(alias = "ACHIEVED")]
    Achieved,
    /// Its date passed before all of it was done. It can still be achieved.
    #[serde(alias = "MISSED")]
    Missed,
    /// Put off: nothing happens by itself.
    #[serde(alias = "DEFERRED")]
    Deferred,
}

/// A share of the whole in hundredths of a percent: 0 to [`Percent::FULL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u16);

impl Percent {
    /// All of it.
    pub const FULL: Self = Self(10_000);

    /// Rounds a percentage to hundredths; none if it is not within 0 and 100.
    pub fn of(percentage: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percentage).then(|| Self((percentage * 100.0).round() as u16))
    }

    /// Hundredths of a percent.
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// The percentage, 0 to 100.
    pub fn percentage(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(|hundredths| Self(hundredths.min(Self::FULL.0)))
    }
}

/// A percentage that went down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Regression {
    /// Where it was, 0 to 100.
    pub from: f64,
    /// Why it went down.
    pub reason: String,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressEntry {
    /// Its id: the idempotency key of the command, where there was one.
    pub id: ReportId,
    /// Of which task.
    pub task_id: TaskId,
    /// The hold under which it was made.
    pub epoch: u64,
    /// By whom.
    pub agent_id: AgentId,
    /// How far it is, 0 to 100.
    pub percentage: f64,
    /// What the holder says of it.
    pub status: ProgressStatus,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// More, any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// When.
    pub timestamp: Timestamp,
    /// What the holder has spent on it, as it measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_spent_minutes: Option<f64>,
    /// What the holder expects to need yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_remaining_minutes: Option<f64>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
    /// The holder's own facts: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Present where the percentage went down: from where, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Regression>,
}

/// Something to be reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Milestone {
    /// Its id, for ever.
    pub id: MilestoneId,
    /// One line.
    pub name: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it is.
    pub status: MilestoneStatus,
    /// When it should be achieved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_date: Option<Timestamp>,
    /// When it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_date: Option<Timestamp>,
    /// What must be completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_task_ids: Vec<TaskId>,
    /// The mean over its tasks and children, 0 to 100.
    pub progress: f64,
    /// The milestone that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_milestone_id: Option<MilestoneId>,
    /// Its parts, which must be achieved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub child_milestone_ids: Vec<MilestoneId>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_counts_in_hundredths() {
        assert_eq!(Percent::of(33.333).map(Percent::hundredths), Some(3_333));
        assert_eq!(Percent::of(100.0), Some(Percent::FULL));
        assert_eq!([-0.01, 100.01, f64::NAN, f64::INFINITY].map(Percent::of), [None; 4]);
        assert!((Percent::of(12.34).unwrap().percentage() - 12.34).abs() < 1e-9);
    }
}
