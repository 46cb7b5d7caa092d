//! What travels for summaries.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::progress::{MilestoneId, ProgressStatus};
use troupe_domain::{AgentId, Name, Role, TaskId, TaskStatus, Timestamp};

/// Declares a request over a set of tasks, with what else it asks.
macro_rules! over_tasks {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $text:literal])+ $field:ident: $type:ty,)* }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// Every task of this graph.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub graph_id: Option<Name>,
            /// Every task of this plan: those whose metadata has it as `plan_id`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub plan_id: Option<Name>,
            /// Every task that is a part of this one.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub parent_task_id: Option<TaskId>,
            /// Every task that this milestone requires.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub milestone_id: Option<MilestoneId>,
            /// These tasks. Where nothing is named: the whole fleet's.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub task_ids: Vec<TaskId>,
            $($(#[doc = $text])+
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: $type,)*
        }

        impl $name {
            /// Over which tasks it goes.
            pub fn over(&self) -> Over {
                Over {
                    graph_id: self.graph_id.clone(),
                    plan_id: self.plan_id.clone(),
                    parent_task_id: self.parent_task_id.clone(),
                    milestone_id: self.milestone_id.clone(),
                    task_ids: self.task_ids.clone(),
                }
            }
        }
    };
}
pub(super) use over_tasks;

/// Over which tasks something goes: at most one of these is named, or the whole fleet is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// Every task of a graph.
    pub graph_id: Option<Name>,
    /// Every task of a plan.
    pub plan_id: Option<Name>,
    /// Every part of a task.
    pub parent_task_id: Option<TaskId>,
    /// Every task that a milestone requires.
    pub milestone_id: Option<MilestoneId>,
    /// These tasks.
    pub task_ids: Vec<TaskId>,
}

over_tasks! {
    /// Over which tasks to sum up; at most one kind is named.
    SummaryRequest {}
}

/// Progress over a set of tasks. Sums are kept as things happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressSummary {
    /// The mean over its tasks, 0 to 100; cancelled ones do not count.
    pub overall_progress: f64,
    /// Where the whole is.
    pub status: ProgressStatus,
    /// Tasks completed.
    pub items_completed: u64,
    /// Tasks, cancelled ones included.
    pub total_items: u64,
    /// Tasks that somebody is at.
    pub items_in_progress: u64,
    /// Tasks whose holders say that they are blocked.
    pub items_blocked: u64,
    /// Tasks that wait for other tasks.
    pub items_waiting: u64,
    /// Tasks that failed or died.
    pub items_failed: u64,
    /// Tasks that were cancelled.
    pub items_cancelled: u64,
    /// Tasks whose holders have shown no progress for long.
    pub items_stalled: u64,
    /// Tasks by where they are.
    pub by_task_status: BTreeMap<TaskStatus, u64>,
    /// From start to end of every attempt, as measured.
    pub time_spent_minutes: f64,
    /// The creators' estimates, over the tasks that have one; absent where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_total_minutes: Option<f64>,
    /// Work that is left: what holders said, or the estimate's rest, or the mean of what completed
    /// tasks here took; absent where there is none of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_remaining_minutes: Option<f64>,
    /// Who holds tasks of it, at most 256 of them.
    pub active_agents: Vec<AgentId>,
    /// How many hold tasks of it.
    pub active_agent_count: u64,
    /// When anything of it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
    /// Milestones achieved, of those that require tasks of it (the fleet's: of all).
    pub milestones_achieved: u64,
    /// Milestones that require tasks of it (the fleet's: all).
    pub total_milestones: u64,
    /// Tasks that were named and that nobody has heard of.
    pub unknown_tasks: u64,
}

/// One agent by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentSummaryRequest {
    /// The agent; the caller where none is named.
    #[serde(default, alias = "id", skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
}

/// What one agent did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentProgressSummary {
    /// The agent.
    pub agent_id: AgentId,
    /// Its role; absent where the registry does not know it, or does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Tasks completed.
    pub tasks_completed: u64,
    /// Tasks that it holds.
    pub tasks_in_progress: u64,
    /// Attempts that failed.
    pub attempts_failed: u64,
    /// Attempts that ended because nobody renewed the lease.
    pub attempts_expired: u64,
    /// Attempts that it gave back; they count neither as success nor as failure.
    pub attempts_released: u64,
    /// From start to end of every attempt, as measured.
    pub time_spent_minutes: f64,
    /// Mean over the attempts that completed a task; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_completion_time_minutes: Option<f64>,
    /// Completed, of those that completed, failed or expired; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// How long it said that it was blocked.
    pub blocked_minutes: f64,
    /// When it last did anything here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Timestamp>,
    /// A task that it is at: the one it spoke of last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_task_id: Option<TaskId>,
    /// How far that is, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_task_progress: Option<f64>,
}

/// Which stalled tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StalledRequest {
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Stalled tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StalledReply {
    /// The longest first.
    pub tasks: Vec<super::TaskProgress>,
    /// How many there are.
    pub total: u64,
}

/// What the service knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressStatistics {
    /// Tasks that it follows.
    pub tasks: u64,
    /// Those of them that are not ended.
    pub open_tasks: u64,
    /// Tasks that it does not follow, because it follows as many as it may.
    pub untracked_tasks: u64,
    /// Agents that it has counts of.
    pub agents: u64,
    /// Milestones.
    pub milestones: u64,
    /// Reports that it keeps one by one.
    pub kept_reports: u64,
    /// Bytes of those, about.
    pub kept_report_bytes: u64,
    /// Reports that it ever stored, of the tasks that it follows.
    pub reports: u64,
    /// Tasks that are stalled.
    pub stalled_tasks: u64,
    /// The place in the stream of events up to which it has heard.
    pub heard_through: u64,
    /// Whether it has read the tasks that were there before it listened.
    pub complete: bool,
}
