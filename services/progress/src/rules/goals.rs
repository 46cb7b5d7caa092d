//! What follows for milestones from what happened to their tasks and parts.
//!
//! Invariant: a milestone that somebody put off, or that is achieved, does nothing by itself.

use troupe_domain::progress::{Milestone, MilestoneId, MilestoneStatus};
use troupe_domain::{TaskStatus, Timestamp};

use super::record::What;
use super::shares::Scope;
use super::state::ProgressState;

impl ProgressState {
    /// Draws what follows for every milestone that something happened to.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some(id) = self.touched.pop_first() {
            let Some(milestone) = self.milestones.get(&id) else { continue };
            if let Some(status) = self.next_status(milestone) {
                self.draft(What::Moved { milestone: id, status, at: now });
            }
        }
    }

    fn next_status(&self, milestone: &Milestone) -> Option<MilestoneStatus> {
        match milestone.status {
            MilestoneStatus::Achieved | MilestoneStatus::Deferred => None,
            _ if self.is_done(milestone) => Some(MilestoneStatus::Achieved),
            MilestoneStatus::Pending if self.has_begun(milestone) => {
                Some(MilestoneStatus::InProgress)
            }
            _ => None,
        }
    }

    /// Every task is completed and every part achieved, and there is one of either.
    fn is_done(&self, milestone: &Milestone) -> bool {
        let required = milestone.required_task_ids.len() as u64;
        let total = self.totals.get(&Scope::Milestone(milestone.id.clone()));
        let completed = total.map_or(0, |total| total.count(TaskStatus::Completed));
        let achieved = |id: &MilestoneId| {
            self.milestones.get(id).is_some_and(|part| part.status == MilestoneStatus::Achieved)
        };
        completed == required
            && milestone.child_milestone_ids.iter().all(achieved)
            && required + milestone.child_milestone_ids.len() as u64 > 0
    }

    fn has_begun(&self, milestone: &Milestone) -> bool {
        let total = self.totals.get(&Scope::Milestone(milestone.id.clone()));
        let begun = |id: &MilestoneId| {
            self.milestones.get(id).is_some_and(|part| part.status != MilestoneStatus::Pending)
        };
        total.is_some_and(super::totals::Total::has_begun)
            || milestone.child_milestone_ids.iter().any(begun)
    }

    /// How far a milestone is in hundredths of a percent: the mean over its tasks and parts.
    pub(super) fn hundredths_of(&self, milestone: &Milestone, depth: usize) -> u64 {
        let parts = &milestone.child_milestone_ids;
        let count = (milestone.required_task_ids.len() + parts.len()) as u64;
        if count == 0 || depth == 0 {
            return 0;
        }
        let total = self.totals.get(&Scope::Milestone(milestone.id.clone()));
        let tasks = total.map_or(0, super::totals::Total::hundredths);
        let of_part =
            |id| self.milestones.get(id).map_or(0, |part| self.hundredths_of(part, depth - 1));
        (tasks + parts.iter().map(of_part).sum::<u64>()) / count
    }
}
