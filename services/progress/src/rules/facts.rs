//! What is known of a task from elsewhere: from its events, or from work distribution itself.

use serde::{Deserialize, Serialize};
use troupe_contract::event::{TaskEvent, TaskEventKind};
use troupe_domain::progress::Percent;
use troupe_domain::task::OnFailure;
use troupe_domain::{AgentId, Name, Role, Task, TaskId, TaskStatus, Timestamp, TraceContext};

/// The place of an event in the log of the shard that it came from: events of one task grow in it,
/// however often they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u64, pub u32);

impl Version {
    /// Reads the id of an event: `<service>-<shard>-<sequence>-<index>`.
    pub fn of_event(id: &str) -> Option<Self> {
        let mut parts = id.rsplit('-');
        let index = parts.next()?.parse().ok()?;
        let sequence = parts.next()?.parse().ok()?;
        Some(Self(sequence, index))
    }
}

/// An edge of the graph, seen from the dependent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The task that must end first.
    pub on: TaskId,
    /// What its failure does.
    pub on_failure: OnFailure,
}

/// What progress needs to know of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The task.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// Where it is.
    pub status: TaskStatus,
    /// How often it was claimed.
    pub epoch: u64,
    /// Who holds it, or held it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<AgentId>,
    /// Who may do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Its graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Name>,
    /// Its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Name>,
    /// The task that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// What must end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// The creator's guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_ms: Option<u64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the attempt at work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// What the last attempt took, where it is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What the holder said when it renewed its lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// When it last showed progress that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_at: Option<Timestamp>,
    /// The trace that its life belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// What a task's metadata may say of the plan that it belongs to.
#[derive(Deserialize)]
struct PlanOf {
    #[serde(default)]
    plan_id: Option<serde_json::Value>,
}

fn plan_of(task: &Task) -> Option<Name> {
    let PlanOf { plan_id } = task.metadata.as_ref()?.parse().ok()?;
    plan_id.as_ref().and_then(|value| value.as_str()).and_then(|text| Name::parse(text).ok())
}

/// Minutes as milliseconds; none if they are no duration.
pub fn ms_of(minutes: f64) -> Option<u64> {
    (minutes.is_finite() && minutes >= 0.0).then(|| (minutes * 60_000.0).round() as u64)
}

/// Milliseconds as minutes.
pub fn minutes_of(ms: u64) -> f64 {
    ms as f64 / 60_000.0
}

impl From<&Task> for Facts {
    fn from(task: &Task) -> Self {
        let edge = |edge: &troupe_domain::task::Dependency| Edge {
            on: edge.task_id.clone(),
            on_failure: edge.on_failure,
        };
        Self {
            id: task.id.clone(),
            title: task.title.clone(),
            status: task.status,
            epoch: task.epoch,
            holder: task.claimed_by.clone(),
            role: task.required_role.clone(),
            graph: task.graph_id.clone(),
            plan: plan_of(task),
            parent: task.parent_task_id.clone(),
            edges: task.dependencies.iter().map(edge).collect(),
            estimated_ms: task.estimated_minutes.and_then(ms_of),
            created_at: task.created_at,
            updated_at: task.updated_at,
            started_at: task.started_at,
            took_ms: task.actual_minutes.and_then(ms_of),
            percent: task.progress_percent.and_then(Percent::of),
            progress_at: task.progress_at,
            trace: task.trace.clone(),
        }
    }
}

/// Something that is learned of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Something happened to it.
    Happened {
        /// What.
        event: TaskEventKind,
        /// To which task.
        task: TaskId,
        /// Its status afterwards.
        status: TaskStatus,
        /// Its epoch afterwards.
        epoch: u64,
        /// When.
        at: Timestamp,
        /// Who did it, or whose attempt it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<AgentId>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Where the event stands among the task's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Version>,
        /// The whole task, where the event has it and it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole: Option<Box<Facts>>,
    },
    /// Work distribution was asked.
    Seen(Box<Facts>),
}

impl Fact {
    /// What an event says; `id` is the event's.
    pub fn of_event(event: TaskEvent, id: Option<&str>) -> Self {
        Self::Happened {
            event: event.event,
            task: event.task_id,
            status: event.status,
            epoch: event.epoch,
            at: event.at,
            by: event.by,
            reason: event.reason,
            version: id.and_then(Version::of_event),
            whole: event.task.map(|task| Box::new(Facts::from(&*task))),
        }
    }

    /// Of which task.
    pub fn task(&self) -> &TaskId {
        match self {
            Self::Happened { task, .. } => task,
            Self::Seen(facts) => &facts.id,
        }
    }

    /// Whether it can be taken in although nothing is known of the task.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Happened { whole, .. } => whole.is_some(),
            Self::Seen(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_event_is_in_its_id() {
        assert_eq!(Version::of_event("work-3-70-1"), Some(Version(70, 1)));
        assert_eq!(Version::of_event("work-3-x-1"), None);
        assert!(Version(70, 1) < Version(71, 0));
    }
}
