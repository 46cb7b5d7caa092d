//! What travels for bottlenecks and estimates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::progress::MilestoneId;
use troupe_domain::{AgentId, Name, TaskId, TaskStatus, Timestamp};

use super::summaries::{Over, over_tasks};

over_tasks! {
    /// Where to look for bottlenecks; at most one kind of set is named.
    BottlenecksRequest {
        /// At most so many; 10 where none is named.
        limit: Option<usize>,
    }
}

/// What holds work up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BottlenecksReply {
    /// Tasks that can be worked on and that most work waits for, the worst first.
    pub bottlenecks: Vec<Bottleneck>,
    /// Tasks that nothing will free by itself, with how much waits for them.
    pub stuck: Vec<Bottleneck>,
    /// The chain that takes longest.
    pub critical_path: Vec<PathStep>,
    /// How long that chain takes with as many agents as one likes, by median durations; absent where
    /// the duration of any open task is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_path_minutes: Option<f64>,
    /// When that would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_finish: Option<Timestamp>,
    /// Open tasks that were looked at.
    pub open_tasks: u64,
}

/// A task that others wait for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Where it is.
    pub status: TaskStatus,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Open tasks that wait for it, directly or not.
    pub blocks: u64,
    /// How far it is, 0 to 100.
    pub percentage: f64,
    /// How long it has been where it is.
    pub in_status_minutes: f64,
    /// Whether nothing was heard of it for long.
    pub stalled: bool,
    /// Whether its holder says that it is blocked.
    pub blocked: bool,
}

/// A step of the critical path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathStep {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Where it is.
    pub status: TaskStatus,
    /// What it will need yet; absent where that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_minutes: Option<f64>,
}

over_tasks! {
    /// What to estimate; at most one kind of set is named.
    EstimateRequest {
        /// Agents at work at once; those at work on it now where nothing is said.
        workers: Option<u32>,
        /// Where chance begins: the same seed over the same facts gives the same estimate.
        seed: Option<u64>,
    }
}

/// When work will be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EstimateReply {
    /// True where it rests on too little; then there are no figures, and `unknown_because` says what is
    /// missing.
    pub unknown: bool,
    /// Why nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_because: Option<String>,
    /// As likely earlier as later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_minutes: Option<f64>,
    /// Nine times in ten not later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_minutes: Option<f64>,
    /// The median as a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_at: Option<Timestamp>,
    /// The ninth decile as a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_at: Option<Timestamp>,
    /// What it rests on.
    pub basis: EstimateBasis,
}

/// What an estimate rests on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EstimateBasis {
    /// How it was made.
    pub method: String,
    /// Open tasks that it goes over, with tasks outside that must end first.
    pub open_tasks: u64,
    /// Of those: by measured durations of tasks with the same role.
    pub by_role: u64,
    /// By measured durations of any tasks.
    pub by_fleet: u64,
    /// By their creators' estimates, spread as measured durations were about estimates.
    pub by_creator: u64,
    /// By what their holders say they will need.
    pub by_holder: u64,
    /// Tasks of which nothing is known.
    pub without_basis: u64,
    /// Tasks that nothing will free by itself; they are left out.
    pub stuck_tasks: u64,
    /// The fewest measured durations that any task's figure rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewest_samples: Option<u64>,
    /// Agents at work at once.
    pub workers: u32,
    /// How often the future was drawn.
    pub draws: u32,
    /// Where chance began.
    pub seed: u64,
}
