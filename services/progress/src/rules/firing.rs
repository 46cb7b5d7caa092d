//! What timers do: dates of milestones pass, and tasks fall silent.

use troupe_domain::progress::MilestoneStatus;
use troupe_domain::{TaskId, Timestamp};

use super::facts::{Fact, Facts};
use super::record::What;
use super::state::ProgressState;
use super::timers::TimerKind;

/// A task of which nothing was heard for long: work distribution may know more, because a holder can
/// show progress when it renews its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentTask {
    /// The task.
    pub task: TaskId,
    /// Under which hold.
    pub epoch: u64,
}

impl ProgressState {
    /// Fires at most `limit` timers. Gives the tasks that must be asked about.
    pub(super) fn fire_due(&mut self, now: Timestamp, limit: usize) -> Vec<SilentTask> {
        let mut silent = Vec::new();
        for (kind, name) in self.timers.due(now, limit) {
            match kind {
                TimerKind::Target => {
                    let status = MilestoneStatus::Missed;
                    self.draft(What::Moved { milestone: name, status, at: now });
                }
                TimerKind::Silent => {
                    let Some(task) = self.tasks.get(&name).cloned() else { continue };
                    self.timers.asking(&task, now);
                    silent.push(SilentTask { task: name, epoch: task.epoch });
                }
            }
        }
        self.settle(now);
        silent
    }

    /// Work distribution was asked about a silent task, and this is what it knows.
    pub fn judge_silence(&mut self, silent: &SilentTask, facts: Facts, now: Timestamp) {
        self.draft(What::Fact(Box::new(Fact::Seen(Box::new(facts)))));
        let Some(task) = self.tasks.get(&silent.task) else { return };
        let heard = task.heard_at.max(task.running_since).unwrap_or(now);
        let is_silent = now.millis_since(heard) >= self.settings.stalled_after_ms
            && task.epoch == silent.epoch
            && task.running_since.is_some()
            && task.stalled_since.is_none();
        if is_silent {
            let (task, epoch) = (silent.task.clone(), silent.epoch);
            self.draft(What::Stalled { task, epoch, at: now });
        }
        self.settle(now);
    }
}
