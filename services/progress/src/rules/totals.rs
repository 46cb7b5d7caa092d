//! Sums over sets of tasks, kept as things happen.
//!
//! Invariant: a sum is what adding the shares of its tasks anew would give, whatever happened before;
//! so reading one costs the same however long the history is.

use std::collections::BTreeMap;

use troupe_contract::progress::ProgressSummary;
use troupe_domain::progress::ProgressStatus;
use troupe_domain::{AgentId, TaskStatus, Timestamp};

use super::facts::minutes_of;
use super::shares::Share;

/// Agents that a summary names.
pub const MAX_NAMED_AGENTS: usize = 256;

/// One sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    by_status: BTreeMap<TaskStatus, u64>,
    hundredths: u64,
    blocked: u64,
    paused: u64,
    stalled: u64,
    spent_ms: u64,
    completed_ms: u64,
    running: u64,
    running_since_ms: i128,
    estimated: u64,
    estimated_ms: u64,
    left: u64,
    left_ms: u64,
    holders: BTreeMap<AgentId, u32>,
    reports: (u64, u64),
    touched_at: Option<Timestamp>,
}

impl Total {
    /// Adds the share of a task.
    pub fn add(&mut self, share: &Share) {
        *self.by_status.entry(share.status).or_default() += 1;
        if share.status != TaskStatus::Cancelled {
            self.hundredths += u64::from(share.hundredths);
        }
        self.blocked += u64::from(share.blocked);
        self.paused += u64::from(share.paused);
        self.stalled += u64::from(share.stalled);
        self.spent_ms += share.spent_ms;
        if share.status == TaskStatus::Completed {
            self.completed_ms += share.spent_ms;
        }
        if let Some(since) = share.running_since {
            self.running += 1;
            self.running_since_ms += i128::from(since.as_millis());
        }
        if let Some(ms) = share.estimated_ms {
            self.estimated += 1;
            self.estimated_ms += ms;
        }
        if let Some(ms) = share.left_ms {
            self.left += 1;
            self.left_ms += ms;
        }
        if let Some(holder) = &share.holder {
            *self.holders.entry(holder.clone()).or_default() += 1;
        }
        self.reports.0 += share.reports.0;
        self.reports.1 += share.reports.1;
        self.touched_at = self.touched_at.max(Some(share.touched_at));
    }

    /// Takes the share of a task out that was added before.
    pub fn remove(&mut self, share: &Share) {
        if let Some(count) = self.by_status.get_mut(&share.status) {
            *count -= 1;
            if *count == 0 {
                self.by_status.remove(&share.status);
            }
        }
        if share.status != TaskStatus::Cancelled {
            self.hundredths -= u64::from(share.hundredths);
        }
        self.blocked -= u64::from(share.blocked);
        self.paused -= u64::from(share.paused);
        self.stalled -= u64::from(share.stalled);
        self.spent_ms -= share.spent_ms;
        if share.status == TaskStatus::Completed {
            self.completed_ms -= share.spent_ms;
        }
        if let Some(since) = share.running_since {
            self.running -= 1;
            self.running_since_ms -= i128::from(since.as_millis());
        }
        if let Some(ms) = share.estimated_ms {
            self.estimated -= 1;
            self.estimated_ms -= ms;
        }
        if let Some(ms) = share.left_ms {
            self.left -= 1;
            self.left_ms -= ms;
        }
        self.reports.0 -= share.reports.0;
        self.reports.1 -= share.reports.1;
        if let Some(holder) = &share.holder
            && let Some(count) = self.holders.get_mut(holder)
        {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(holder);
            }
        }
    }

    /// How many tasks there are in a status.
    pub fn count(&self, status: TaskStatus) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }

    /// How many tasks it goes over.
    pub fn tasks(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// Whether it goes over none.
    pub fn is_empty(&self) -> bool {
        self.by_status.is_empty()
    }

    /// Reports that are kept one by one, and all that there were.
    pub fn reports(&self) -> (u64, u64) {
        self.reports
    }

    /// How many stalled tasks there are.
    pub fn stalled(&self) -> u64 {
        self.stalled
    }

    /// How many hold tasks of it.
    pub fn holders(&self) -> usize {
        self.holders.len()
    }

    /// When any of it last changed.
    pub fn touched_at(&self) -> Option<Timestamp> {
        self.touched_at
    }

    /// Hundredths of a percent over all tasks that are not cancelled.
    pub fn hundredths(&self) -> u64 {
        self.hundredths
    }

    /// Whether any of it began.
    pub fn has_begun(&self) -> bool {
        self.tasks() > self.count(TaskStatus::Blocked) + self.count(TaskStatus::Available)
    }

    fn open(&self) -> u64 {
        let ended = self.by_status.iter().filter(|(status, _)| status.is_terminal());
        self.tasks() - ended.map(|(_, count)| count).sum::<u64>()
    }

    /// What is left: of tasks that nobody says anything about, what completed ones here took.
    fn left_ms(&self) -> Option<u64> {
        let unsaid = self.open() - self.left;
        if unsaid == 0 {
            return Some(self.left_ms);
        }
        let completed = self.count(TaskStatus::Completed);
        (completed > 0).then(|| self.left_ms + self.completed_ms / completed * unsaid)
    }

    fn status(&self) -> ProgressStatus {
        let cancelled = self.count(TaskStatus::Cancelled);
        let failed = self.count(TaskStatus::Failed) + self.count(TaskStatus::Dead);
        let open = self.open();
        if open == 0 && self.tasks() > cancelled {
            return if failed > 0 { ProgressStatus::Failed } else { ProgressStatus::Completed };
        }
        let held = self.count(TaskStatus::Claimed) + self.count(TaskStatus::InProgress);
        match (self.has_begun(), held) {
            (false, _) => ProgressStatus::NotStarted,
            (true, 1..) if self.blocked == held => ProgressStatus::Blocked,
            (true, 1..) if self.blocked + self.paused == held => ProgressStatus::Paused,
            _ if open == 0 => ProgressStatus::Failed,
            _ => ProgressStatus::InProgress,
        }
    }

    /// Without what a sum remembers of tasks that are gone.
    #[cfg(test)]
    pub(crate) fn timeless(&self) -> Self {
        Self { touched_at: None, ..self.clone() }
    }

    /// As it is shown. What milestones say is not known here.
    pub fn shown(&self, now: Timestamp) -> ProgressSummary {
        let counted = self.tasks() - self.count(TaskStatus::Cancelled);
        let running =
            i128::from(now.as_millis()) * i128::from(self.running) - self.running_since_ms;
        let spent = self.spent_ms + u64::try_from(running).unwrap_or(0);
        ProgressSummary {
            overall_progress: if counted == 0 {
                0.0
            } else {
                self.hundredths as f64 / counted as f64 / 100.0
            },
            status: self.status(),
            items_completed: self.count(TaskStatus::Completed),
            total_items: self.tasks(),
            items_in_progress: self.count(TaskStatus::Claimed)
                + self.count(TaskStatus::InProgress)
                + self.count(TaskStatus::Reported),
            items_blocked: self.blocked,
            items_waiting: self.count(TaskStatus::Blocked),
            items_failed: self.count(TaskStatus::Failed) + self.count(TaskStatus::Dead),
            items_cancelled: self.count(TaskStatus::Cancelled),
            items_stalled: self.stalled,
            by_task_status: self.by_status.clone(),
            time_spent_minutes: minutes_of(spent),
            estimated_total_minutes: (self.estimated > 0).then(|| minutes_of(self.estimated_ms)),
            estimated_remaining_minutes: self.left_ms().map(minutes_of),
            active_agents: self.holders.keys().take(MAX_NAMED_AGENTS).cloned().collect(),
            active_agent_count: self.holders.len() as u64,
            last_update: self.touched_at,
            milestones_achieved: 0,
            total_milestones: 0,
            unknown_tasks: 0,
        }
    }
}
