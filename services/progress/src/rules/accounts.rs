//! What each agent did.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use troupe_contract::event::TaskEventKind;
use troupe_domain::{TaskId, Timestamp};

/// What one agent did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Tasks completed.
    pub completed: u64,
    /// Attempts failed.
    pub failed: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// Attempts given back.
    pub released: u64,
    /// From start to end of every attempt.
    pub spent_ms: u64,
    /// Of that, what the attempts took that completed a task.
    pub completed_ms: u64,
    /// How long it said that it was blocked.
    pub blocked_ms: u64,
    /// When it last did anything.
    pub active_at: Timestamp,
}

impl Tally {
    /// Counts how an attempt ended.
    pub fn ended(&mut self, event: TaskEventKind, took_ms: u64) {
        match event {
            TaskEventKind::TaskCompleted => {
                self.completed += 1;
                self.completed_ms += took_ms;
            }
            TaskEventKind::TaskFailed
            | TaskEventKind::TaskRetrying
            | TaskEventKind::TaskRejected
            | TaskEventKind::TaskDead => self.failed += 1,
            TaskEventKind::LeaseExpired => self.expired += 1,
            TaskEventKind::TaskReleased => self.released += 1,
            _ => {}
        }
    }

    /// Completed, of what ended for better or worse.
    pub fn success_rate(&self) -> Option<f64> {
        let ended = self.completed + self.failed + self.expired;
        (ended > 0).then(|| self.completed as f64 / ended as f64)
    }

    /// Mean over the attempts that completed a task.
    pub fn avg_completion_ms(&self) -> Option<f64> {
        (self.completed > 0).then(|| self.completed_ms as f64 / self.completed as f64)
    }
}

/// An agent, with what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// What it did.
    pub tally: Tally,
    /// What it holds; follows from the tasks.
    pub holds: BTreeSet<TaskId>,
}
