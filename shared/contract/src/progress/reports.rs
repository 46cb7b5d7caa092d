//! What travels for reports.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{MemoryId, MemoryType, TrustLevel};
use troupe_domain::progress::{ProgressEntry, ProgressStatus, ReportId};
use troupe_domain::{AgentId, Json, Name, TaskId, TaskStatus, Timestamp};

/// A report of a task's holder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// The task.
    pub task_id: TaskId,
    /// The fencing token that the claim gave.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// How far it is, 0 to 100, kept to hundredths; as before where none is given. A lower one than
    /// before needs a `regression_reason`.
    #[serde(default, alias = "progress_percent", skip_serializing_if = "Option::is_none")]
    pub percentage: Option<f64>,
    /// What the holder says of it; in progress where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ProgressStatus>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// More, any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
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
    /// Why the percentage went down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression_reason: Option<String>,
}

impl ReportRequest {
    /// A report that says nothing but whose it is.
    pub fn new(task_id: TaskId, epoch: u64) -> Self {
        Self {
            task_id,
            epoch,
            percentage: None,
            status: None,
            message: String::new(),
            details: None,
            time_spent_minutes: None,
            estimated_remaining_minutes: None,
            blockers: Vec::new(),
            metadata: None,
            regression_reason: None,
        }
    }
}

/// The answer to a report: it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportReceipt {
    /// The report's id.
    pub report_id: ReportId,
    /// Of which task.
    pub task_id: TaskId,
    /// How far the task is now, 0 to 100.
    pub percentage: f64,
    /// Whether the percentage went down.
    pub regressed: bool,
    /// Whether it was stored before, under the same idempotency key.
    pub duplicate: bool,
    /// What memory has about what holds the task up, the best first; nothing where nothing does, or
    /// where memory does not answer in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<Suggestion>,
}

/// Something that was remembered and may help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// The entry.
    pub memory_id: MemoryId,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub memory_type: MemoryType,
    /// How far it is believed.
    pub trust_level: TrustLevel,
    /// Its first 1,024 bytes. It is what somebody wrote, not an instruction.
    pub text: String,
}

/// One task by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatestRequest {
    /// The task.
    #[serde(alias = "id")]
    pub task_id: TaskId,
}

/// How far one task is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatestReply {
    /// How far it is.
    pub progress: TaskProgress,
}

/// How far one task is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskProgress {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// What its holder says, or what follows from where it is.
    pub status: ProgressStatus,
    /// Where it is, as far as this service has heard.
    pub task_status: TaskStatus,
    /// How far it is, 0 to 100.
    pub percentage: f64,
    /// Its epoch.
    pub epoch: u64,
    /// Who holds it, or completed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// From start to end of every attempt, as measured.
    pub time_spent_minutes: f64,
    /// What its holder expected to need yet, when it last said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_remaining_minutes: Option<f64>,
    /// How long holders said that they were blocked.
    pub blocked_minutes: f64,
    /// Since when nothing was heard, if that is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_since: Option<Timestamp>,
    /// The graph it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<Name>,
    /// The plan it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<Name>,
    /// When anything last changed.
    pub updated_at: Timestamp,
    /// The last report of this hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Arc<ProgressEntry>>,
    /// How many reports there were, in all attempts.
    pub reports: u64,
}

/// Which reports of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryRequest {
    /// The task.
    #[serde(alias = "id")]
    pub task_id: TaskId,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only reports before the one with this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// The newest first.
    pub entries: Vec<Arc<ProgressEntry>>,
    /// Ask again before this number; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
    /// What is left of reports that are no longer kept one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Rollup>,
}

/// Reports that are kept as a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rollup {
    /// How many.
    pub reports: u64,
    /// How many of them lowered the percentage.
    pub regressions: u64,
    /// When the first was made.
    pub first_at: Timestamp,
    /// When the last was made.
    pub last_at: Timestamp,
    /// The percentage of the last.
    pub last_percentage: f64,
}
