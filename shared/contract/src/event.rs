//! Events: what happened, published by services only, on `troupe.v1.event.<entity>.<event>`.
//!
//! CloudEvents 1.0 in batches: a message holds what happened at about the same time. An event is
//! derived from a write that was acknowledged, is sent at least once, and carries the same id whenever
//! it is sent again. Events of one entity keep their order.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use troupe_domain::{Agent, AgentId, AgentStatus, Name, Task, TaskId, TaskStatus, Timestamp};

/// Declares the kinds of an entity's events, each with its token and a sentence.
macro_rules! event_kinds {
    ($name:ident, $about:literal; $($kind:ident = $token:literal: $summary:literal;)+) => {
        #[doc = $about]
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(#[doc = $summary] $kind),+
        }

        impl $name {
            /// Every event, with its sentence.
            pub const ALL: &[(Self, &str)] = &[$((Self::$kind, $summary)),+];

            /// The token in subjects.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$kind => $token),+ }
            }
        }
    };
}

mod cloud;
mod memory;
mod plan;
mod progress;
mod routing;

pub use cloud::*;
pub use memory::*;
pub use plan::*;
pub use progress::*;
pub use routing::*;

/// The events of one kind of entity, as data.
#[derive(Debug, Clone)]
pub struct EventEntry {
    /// The entity's token.
    pub entity: &'static str,
    /// The tokens of its events, each with a sentence.
    pub kinds: Vec<(&'static str, &'static str)>,
    /// The schema of their data.
    pub data: fn(&mut SchemaGenerator) -> Schema,
}

/// Every event of every entity.
pub fn entries() -> Vec<EventEntry> {
    macro_rules! entry {
        ($entity:expr, $kinds:ty, $data:ty) => {
            EventEntry {
                entity: $entity,
                kinds: <$kinds>::ALL.iter().map(|(kind, text)| (kind.token(), *text)).collect(),
                data: |generator| generator.subschema_for::<$data>(),
            }
        };
    }
    vec![
        EventEntry {
            entity: TASK,
            kinds: TaskEventKind::ALL.iter().map(|kind| (kind.token(), kind.summary())).collect(),
            data: |generator| generator.subschema_for::<TaskEvent>(),
        },
        EventEntry {
            entity: AGENT,
            kinds: AgentEventKind::ALL.iter().map(|kind| (kind.token(), kind.summary())).collect(),
            data: |generator| generator.subschema_for::<AgentEvent>(),
        },
        entry!(MAILBOX, MailboxEventKind, MailboxEvent),
        entry!(SESSION, SessionEventKind, SessionEvent),
        entry!(BREAKER, BreakerEventKind, BreakerEvent),
        entry!(ROUTE, RouteEventKind, RouteEvent),
        entry!(FEEDBACK, FeedbackEventKind, FeedbackEvent),
        entry!(PLAN, PlanEventKind, PlanEvent),
        entry!(PROGRESS, ProgressEventKind, ProgressEvent),
        entry!(MILESTONE, MilestoneEventKind, MilestoneEvent),
        entry!(MEMORY, MemoryEventKind, MemoryEvent),
    ]
}

/// The entity token of agents' events.
pub const AGENT: &str = "agent";
/// The entity token of tasks' events.
pub const TASK: &str = "task";

/// The events of a task.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it; `summary` says it in a sentence
pub enum TaskEventKind {
    TaskCreated,
    TaskUnblocked,
    TaskClaimed,
    TaskStarted,
    TaskReported,
    TaskCompleted,
    TaskRejected,
    TaskFailed,
    TaskRetrying,
    TaskReleased,
    TaskCancelled,
    LeaseExpired,
    ProgressStalled,
    TaskDead,
    TaskRevived,
}

impl TaskEventKind {
    /// Every event of a task.
    pub const ALL: [Self; 15] = [
        Self::TaskCreated,
        Self::TaskUnblocked,
        Self::TaskClaimed,
        Self::TaskStarted,
        Self::TaskReported,
        Self::TaskCompleted,
        Self::TaskRejected,
        Self::TaskFailed,
        Self::TaskRetrying,
        Self::TaskReleased,
        Self::TaskCancelled,
        Self::LeaseExpired,
        Self::ProgressStalled,
        Self::TaskDead,
        Self::TaskRevived,
    ];

    /// The token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::TaskCreated => "task_created",
            Self::TaskUnblocked => "task_unblocked",
            Self::TaskClaimed => "task_claimed",
            Self::TaskStarted => "task_started",
            Self::TaskReported => "task_reported",
            Self::TaskCompleted => "task_completed",
            Self::TaskRejected => "task_rejected",
            Self::TaskFailed => "task_failed",
            Self::TaskRetrying => "task_retrying",
            Self::TaskReleased => "task_released",
            Self::TaskCancelled => "task_cancelled",
            Self::LeaseExpired => "lease_expired",
            Self::ProgressStalled => "progress_stalled",
            Self::TaskDead => "task_dead",
            Self::TaskRevived => "task_revived",
        }
    }

    /// One sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::TaskCreated => "A task was created; carries the whole task.",
            Self::TaskUnblocked => "The last dependency ended; the task can be claimed.",
            Self::TaskClaimed => "An agent holds the task at a new epoch.",
            Self::TaskStarted => "The holder began.",
            Self::TaskReported => "The holder says it is done; verification is due.",
            Self::TaskCompleted => "The task is done; carries the whole task.",
            Self::TaskRejected => "The report was refused; the task is back in the queue.",
            Self::TaskFailed => "The task failed for good; carries the whole task.",
            Self::TaskRetrying => "The attempt failed; the task will be tried again.",
            Self::TaskReleased => "The holder gave the task back.",
            Self::TaskCancelled => "The task was called off; carries the whole task.",
            Self::LeaseExpired => "Nobody renewed the lease; the task is back in the queue.",
            Self::ProgressStalled => "The holder has shown no progress for long.",
            Self::TaskDead => "The task is out of retries; carries the whole task.",
            Self::TaskRevived => "Somebody brought the task back.",
        }
    }

    /// Whether the event carries the whole task.
    pub const fn carries_task(self) -> bool {
        matches!(
            self,
            Self::TaskCreated
                | Self::TaskCompleted
                | Self::TaskFailed
                | Self::TaskCancelled
                | Self::TaskDead
        )
    }
}

/// The data of a task's event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEvent {
    /// What happened.
    pub event: TaskEventKind,
    /// To which task.
    pub task_id: TaskId,
    /// Its status afterwards.
    pub status: TaskStatus,
    /// Its epoch afterwards.
    pub epoch: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it, or whose attempt it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The graph it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<Name>,
    /// The whole task, where the kind says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<std::sync::Arc<Task>>,
}

/// The events of an agent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it; `summary` says it in a sentence
pub enum AgentEventKind {
    AgentRegistered,
    AgentUnregistered,
    AgentStatusChanged,
    AgentCrashed,
    HeartbeatMissed,
}

impl AgentEventKind {
    /// Every event of an agent.
    pub const ALL: [Self; 5] = [
        Self::AgentRegistered,
        Self::AgentUnregistered,
        Self::AgentStatusChanged,
        Self::AgentCrashed,
        Self::HeartbeatMissed,
    ];

    /// The token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::AgentRegistered => "agent_registered",
            Self::AgentUnregistered => "agent_unregistered",
            Self::AgentStatusChanged => "agent_status_changed",
            Self::AgentCrashed => "agent_crashed",
            Self::HeartbeatMissed => "heartbeat_missed",
        }
    }

    /// One sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::AgentRegistered => "An agent joined, came back, or changed what it declares.",
            Self::AgentUnregistered => "An agent left, or was forgotten after its retention.",
            Self::AgentStatusChanged => "An agent's status changed.",
            Self::AgentCrashed => "An agent was silent for so long that it is taken for dead.",
            Self::HeartbeatMissed => "A heartbeat did not come in time.",
        }
    }
}

/// The data of an agent's event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentEvent {
    /// What happened.
    pub event: AgentEventKind,
    /// To which agent.
    pub agent_id: AgentId,
    /// Its status afterwards.
    pub status: AgentStatus,
    /// When.
    pub at: Timestamp,
    /// Heartbeats missed in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misses: Option<u32>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The whole agent; absent for a missed heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<Agent>>,
}
