//! A task as progress knows it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::progress::TaskProgress;
use troupe_domain::progress::{Percent, ProgressEntry, ProgressStatus};
use troupe_domain::{AgentId, Fault, Name, Role, TaskId, TaskStatus, Timestamp, TraceContext};

use super::facts::{Edge, Facts, Version, minutes_of};
use super::history::History;

/// Every field but what it is folded from is a fact of work distribution, as far as it was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are those of `Facts`
pub struct TaskState {
    pub id: TaskId,
    pub title: String,
    pub status: TaskStatus,
    pub epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    pub created_at: Timestamp,
    /// When it came to be where it is.
    pub since: Timestamp,
    /// When anything about it last changed; it never goes back.
    pub touched_at: Timestamp,
    /// The start of the attempt, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// What the attempts that ended took.
    #[serde(default)]
    pub spent_ms: u64,
    /// What the attempt of the current hold took, once it ended.
    #[serde(default)]
    pub attempt_ms: u64,
    /// How long holders said that they were blocked.
    #[serde(default)]
    pub blocked_ms: u64,
    /// Since when the holder says that it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Timestamp>,
    /// The newest event that was taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// When it had last changed when work distribution was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// How far it is under the current hold.
    pub percent: Percent,
    /// The last report of the current hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Arc<ProgressEntry>>,
    /// When the holder last said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// Since when nothing was heard, once that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_since: Option<Timestamp>,
    /// How far it was when that was last told.
    #[serde(default)]
    pub told: Percent,
    #[serde(default)]
    pub history: History,
}

impl TaskState {
    /// A task of which these facts are the first that is heard.
    pub fn new(facts: Facts, version: Option<Version>, seen: bool) -> Self {
        let completed = facts.status == TaskStatus::Completed;
        let spent_ms = facts.took_ms.unwrap_or(0);
        let running = facts.status == TaskStatus::InProgress;
        Self {
            running_since: facts.started_at.filter(|_| running),
            spent_ms,
            attempt_ms: spent_ms,
            since: facts.updated_at,
            touched_at: facts.updated_at,
            seen_at: seen.then_some(facts.updated_at),
            percent: if completed { Percent::FULL } else { facts.percent.unwrap_or_default() },
            heard_at: facts.progress_at,
            id: facts.id,
            title: facts.title,
            status: facts.status,
            epoch: facts.epoch,
            holder: facts.holder,
            role: facts.role,
            graph: facts.graph,
            plan: facts.plan,
            parent: facts.parent,
            edges: facts.edges,
            estimated_ms: facts.estimated_ms,
            trace: facts.trace,
            created_at: facts.created_at,
            blocked_ms: 0,
            blocked_since: None,
            version,
            latest: None,
            stalled_since: None,
            told: Percent::default(),
            history: History::default(),
        }
    }

    /// Whether an agent holds it.
    pub fn is_held(&self) -> bool {
        self.status.is_held()
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_ended(&self) -> bool {
        self.status.is_terminal()
    }

    /// What the holder says of it, while it holds it.
    fn said(&self) -> Option<&ProgressEntry> {
        self.latest.as_deref().filter(|_| self.is_held())
    }

    /// Whether the holder says that it is blocked.
    pub fn is_blocked(&self) -> bool {
        self.said().is_some_and(|entry| entry.status == ProgressStatus::Blocked)
    }

    /// Whether the holder says that it rests.
    pub fn is_paused(&self) -> bool {
        self.said().is_some_and(|entry| entry.status == ProgressStatus::Paused)
    }

    /// How far it is in one word: the end is work distribution's to say, the rest the holder's.
    pub fn progress_status(&self) -> ProgressStatus {
        match self.status {
            TaskStatus::Blocked | TaskStatus::Available => ProgressStatus::NotStarted,
            TaskStatus::Claimed => self.said().map_or(ProgressStatus::NotStarted, |e| e.status),
            TaskStatus::InProgress => self.said().map_or(ProgressStatus::InProgress, |e| e.status),
            TaskStatus::Reported => ProgressStatus::InProgress,
            TaskStatus::Completed => ProgressStatus::Completed,
            TaskStatus::Failed | TaskStatus::Dead | TaskStatus::Cancelled => ProgressStatus::Failed,
        }
    }

    /// What every attempt took up to `now`.
    pub fn spent_at(&self, now: Timestamp) -> u64 {
        self.spent_ms + self.running_since.map_or(0, |since| now.millis_since(since))
    }

    /// What the holder expects to need yet, as it last said.
    pub fn said_remaining_ms(&self) -> Option<u64> {
        self.said()?.estimated_remaining_minutes.and_then(super::facts::ms_of)
    }

    /// Lets nobody speak for the task but its holder at its epoch.
    pub fn check_hold(&self, by: &AgentId, epoch: u64) -> Result<(), Fault> {
        if self.is_held() && self.epoch == epoch && self.holder.as_ref() == Some(by) {
            return Ok(());
        }
        let who = match &self.holder {
            Some(holder) if self.is_held() => format!("{holder} holds the task"),
            _ => format!("nobody holds the task, which is {}", self.status.as_str()),
        };
        let message = format!("epoch {epoch} is stale: {who} at epoch {}", self.epoch);
        Err(Fault::new(troupe_domain::Code::StaleEpoch, message)
            .with("epoch", self.epoch)
            .with("holder", self.holder.as_ref().filter(|_| self.is_held()).map(Name::as_str)))
    }

    /// As it is shown.
    pub fn shown(&self, now: Timestamp) -> TaskProgress {
        let blocked = self.blocked_since.map_or(0, |since| now.millis_since(since));
        TaskProgress {
            task_id: self.id.clone(),
            title: self.title.clone(),
            status: self.progress_status(),
            task_status: self.status,
            percentage: self.percent.percentage(),
            epoch: self.epoch,
            agent_id: self.holder.clone(),
            time_spent_minutes: minutes_of(self.spent_at(now)),
            estimated_remaining_minutes: self.said_remaining_ms().map(minutes_of),
            blocked_minutes: minutes_of(self.blocked_ms + blocked),
            stalled_since: self.stalled_since,
            graph_id: self.graph.clone(),
            plan_id: self.plan.clone(),
            updated_at: self.touched_at,
            latest: self.latest.clone(),
            reports: self.history.total(),
        }
    }
}
