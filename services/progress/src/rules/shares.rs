//! What one task contributes to every sum that it is a part of, and which sums these are.

use troupe_domain::progress::MilestoneId;
use troupe_domain::{AgentId, Name, TaskId, TaskStatus, Timestamp};

use super::task::TaskState;

/// A set of tasks that is summed up as things happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every task.
    Fleet,
    /// The tasks of a graph.
    Graph(Name),
    /// The tasks of a plan.
    Plan(Name),
    /// The parts of a task.
    Parts(TaskId),
    /// What a milestone requires.
    Milestone(MilestoneId),
}

/// What one task contributes. Whole numbers, so that what is taken out leaves nothing behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Where it is.
    pub status: TaskStatus,
    /// How far it is, in hundredths of a percent.
    pub hundredths: u16,
    /// Whether its holder says that it is blocked.
    pub blocked: bool,
    /// Whether its holder says that it rests.
    pub paused: bool,
    /// Whether nothing was heard of it for long.
    pub stalled: bool,
    /// What the attempts that ended took.
    pub spent_ms: u64,
    /// The start of the attempt at work.
    pub running_since: Option<Timestamp>,
    /// The creator's estimate.
    pub estimated_ms: Option<u64>,
    /// What is left, as the holder says, or as the estimate's rest; of an open task.
    pub left_ms: Option<u64>,
    /// Who holds it.
    pub holder: Option<AgentId>,
    /// Reports that are kept one by one, and all that there were.
    pub reports: (u64, u64),
    /// When anything about it last changed.
    pub touched_at: Timestamp,
}

impl Share {
    /// The share of a task.
    pub fn of(task: &TaskState) -> Self {
        let hundredths = task.percent.hundredths();
        let left = || {
            let estimate = task.estimated_ms?;
            Some((u128::from(estimate) * u128::from(10_000 - hundredths) / 10_000) as u64)
        };
        let open = !task.is_ended();
        Self {
            status: task.status,
            hundredths,
            blocked: task.is_blocked(),
            paused: task.is_paused(),
            stalled: task.stalled_since.is_some(),
            spent_ms: task.spent_ms,
            running_since: task.running_since,
            estimated_ms: task.estimated_ms,
            left_ms: if open { task.said_remaining_ms().or_else(left) } else { None },
            holder: task.holder.clone().filter(|_| task.is_held()),
            reports: (task.history.len() as u64, task.history.total()),
            touched_at: task.touched_at,
        }
    }
}

/// The sums that a task is a part of by itself; the milestones that require it come on top.
pub fn scopes_of(task: &TaskState) -> impl Iterator<Item = Scope> {
    let graph = task.graph.clone().map(Scope::Graph);
    let plan = task.plan.clone().map(Scope::Plan);
    let parts = task.parent.clone().map(Scope::Parts);
    [Some(Scope::Fleet), graph, plan, parts].into_iter().flatten()
}
