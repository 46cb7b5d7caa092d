//! Timers: what must be looked at when. They follow from tasks and milestones; nothing of them is
//! stored.

use std::collections::{BTreeSet, HashMap};

use troupe_domain::progress::{Milestone, MilestoneStatus};
use troupe_domain::{Name, TaskId, TaskStatus, Timestamp};

use super::task::TaskState;

/// How long an unanswered question about a silent task waits before it is asked again.
const ASK_AGAIN_MS: u64 = 30_000;

/// What a timer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// The date of a milestone.
    Target,
    /// Nothing was heard of a task for long.
    Silent,
}

/// All timers.
#[derive(Debug)]
pub struct Timers {
    queue: BTreeSet<(Timestamp, TimerKind, Name)>,
    /// Silent tasks that are being asked about.
    asked: HashMap<TaskId, Timestamp>,
    stalled_after_ms: u64,
}

impl Timers {
    /// No timers; a task is stalled after `stalled_after_ms` without a word.
    pub fn new(stalled_after_ms: u64) -> Self {
        Self { queue: BTreeSet::new(), asked: HashMap::new(), stalled_after_ms }
    }

    fn of_task(&self, task: &TaskState) -> Option<(Timestamp, TimerKind, Name)> {
        if task.status != TaskStatus::InProgress || task.stalled_since.is_some() {
            return None;
        }
        let heard = task.heard_at.max(task.running_since)?.plus_millis(self.stalled_after_ms);
        let asked = self.asked.get(&task.id).map(|at| at.plus_millis(ASK_AGAIN_MS));
        Some((asked.map_or(heard, |again| again.max(heard)), TimerKind::Silent, task.id.clone()))
    }

    fn of_milestone(milestone: &Milestone) -> Option<(Timestamp, TimerKind, Name)> {
        let waits =
            matches!(milestone.status, MilestoneStatus::Pending | MilestoneStatus::InProgress);
        let at = milestone.target_date.filter(|_| waits)?;
        Some((at, TimerKind::Target, milestone.id.clone()))
    }

    /// A task is about to change, or to go.
    pub fn leave(&mut self, task: &TaskState) {
        if let Some(timer) = self.of_task(task) {
            self.queue.remove(&timer);
        }
    }

    /// A task came, or has changed.
    pub fn enter(&mut self, task: &TaskState) {
        // An answer, or anything else that is heard of a task, ends the asking about it.
        if task.status != TaskStatus::InProgress || task.stalled_since.is_some() {
            self.asked.remove(&task.id);
        }
        if let Some(timer) = self.of_task(task) {
            self.queue.insert(timer);
        }
    }

    /// Nothing is asked about a task any more.
    pub fn forget(&mut self, id: &TaskId) {
        self.asked.remove(id);
    }

    /// A milestone changed.
    pub fn milestone(&mut self, before: Option<&Milestone>, after: Option<&Milestone>) {
        if let Some(timer) = before.and_then(Self::of_milestone) {
            self.queue.remove(&timer);
        }
        if let Some(timer) = after.and_then(Self::of_milestone) {
            self.queue.insert(timer);
        }
    }

    /// Somebody is being asked about a silent task.
    pub fn asking(&mut self, task: &TaskState, now: Timestamp) {
        self.leave(task);
        self.asked.insert(task.id.clone(), now);
        self.enter(task);
    }

    /// The next moment at which something is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// What is due at `now`, at most `limit`.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<(TimerKind, Name)> {
        let due = self.queue.iter().take_while(|(at, ..)| *at <= now).take(limit);
        due.map(|(_, kind, name)| (*kind, name.clone())).collect()
    }
}
