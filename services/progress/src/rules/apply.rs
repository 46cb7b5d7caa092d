//! Folding records into the state.

use std::sync::Arc;

use troupe_contract::event::{MilestoneEventKind, ProgressEventKind};
use troupe_domain::progress::{
    Milestone, MilestoneId, MilestoneStatus, Percent, ProgressEntry, ProgressStatus,
};
use troupe_domain::{TaskId, Timestamp};

use super::notice;
use super::record::What;
use super::shares::Scope;
use super::state::ProgressState;
use super::totals::Total;

/// A task that moved on by so many hundredths of a percent since it was last told of is told again.
const TOLD_HUNDREDTHS: u16 = 100;

impl ProgressState {
    /// Folds what happened into the state.
    pub(super) fn apply_what(&mut self, what: &What) {
        match what {
            What::Fact(fact) => self.fold(fact),
            What::Heard(place) => self.heard = Some(*place),
            What::Complete(complete) => self.complete = *complete,
            What::Report(entry) => self.reported_by_holder(entry),
            What::Stalled { task, epoch, at } => self.found_stalled(task, *epoch, *at),
            What::Milestone { milestone, by, event } => {
                self.put_milestone(milestone);
                let notice = notice::milestone(*event, milestone, Some(by), milestone.updated_at);
                self.drafts.notices.push(notice);
            }
            What::Moved { milestone, status, at } => self.moved(milestone, *status, *at),
            What::RolledUp { task, reports } => {
                let went = self.change(task, |task, _| task.history.roll_up(*reports));
                self.report_bytes -= went.unwrap_or(0);
            }
            What::Forgotten(tasks) => tasks.iter().for_each(|id| self.take_out(id)),
            What::Left(agents) => agents.iter().for_each(|agent| {
                self.accounts.remove(agent);
            }),
        }
    }

    fn reported_by_holder(&mut self, entry: &Arc<ProgressEntry>) {
        let at = entry.timestamp;
        let applied = self.change(&entry.task_id, |task, settings| {
            let tells = task.progress_status() != entry.status
                || task.latest.is_none()
                || entry.regression.is_some();
            let blocks = entry.status == ProgressStatus::Blocked && task.blocked_since.is_none();
            let unblocked = task.unblock_unless(entry.status == ProgressStatus::Blocked, at);
            if blocks {
                task.blocked_since = Some(at);
            }
            task.percent = Percent::of(entry.percentage).unwrap_or_default();
            task.latest = Some(entry.clone());
            task.heard_at = Some(at);
            task.stalled_since = None;
            task.touched_at = task.touched_at.max(at);
            let bytes = task.history.push(entry.clone(), settings.max_reports_per_task);
            let step = task.percent.hundredths().abs_diff(task.told.hundredths());
            let told = tells || step >= TOLD_HUNDREDTHS;
            if told {
                task.told = task.percent;
            }
            (bytes, told, blocks, unblocked)
        });
        let Some(((came, went), told, blocks, unblocked)) = applied else { return };
        self.report_bytes += came;
        self.report_bytes -= went;
        self.account(&entry.agent_id, at).tally.blocked_ms += unblocked;
        let Some(task) = self.tasks.get(&entry.task_id) else { return };
        if told {
            self.drafts.notices.push(notice::report(task, entry));
        }
        if blocks {
            let kind = ProgressEventKind::AgentBlocked;
            self.drafts.notices.push(notice::of_entry(kind, task, entry));
        }
    }

    fn found_stalled(&mut self, id: &TaskId, epoch: u64, at: Timestamp) {
        self.change(id, |task, _| {
            if task.epoch == epoch {
                task.stalled_since = task.heard_at.max(task.running_since).or(Some(at));
                task.touched_at = task.touched_at.max(at);
            }
        });
        let Some(task) = self.tasks.get(id) else { return };
        self.drafts.notices.push(notice::stalled(task, at));
    }

    /// Takes a milestone in, as it is now.
    pub(super) fn put_milestone(&mut self, milestone: &Milestone) {
        let id = &milestone.id;
        let before = self.milestones.get(id).cloned();
        let mut after = milestone.clone();
        if let Some(before) = &before {
            // Its parts say themselves whose parts they are.
            after.child_milestone_ids.clone_from(&before.child_milestone_ids);
        }
        let had = before.as_ref().map_or(&[][..], |m| &m.required_task_ids);
        let gone: Vec<TaskId> = not_in(had, &after.required_task_ids);
        let new: Vec<TaskId> = not_in(&after.required_task_ids, had);
        self.require(id, &gone, false);
        self.require(id, &new, true);
        self.replace_milestone(before.as_deref(), after);
        if let Some(parent) = milestone.parent_milestone_id.as_ref() {
            self.change_milestone(parent, |parent| {
                if let Err(place) = parent.child_milestone_ids.binary_search(id) {
                    parent.child_milestone_ids.insert(place, id.clone());
                }
            });
        }
    }

    fn moved(&mut self, id: &MilestoneId, status: MilestoneStatus, at: Timestamp) {
        let done_at = self.totals.get(&Scope::Milestone(id.clone())).and_then(Total::touched_at);
        let parts = self.milestones.get(id).map(|m| m.child_milestone_ids.clone());
        let parts = parts.unwrap_or_default();
        let parts_at =
            parts.iter().filter_map(|part| self.milestones.get(part)?.completed_date).max();
        self.change_milestone(id, |milestone| {
            milestone.status = status;
            milestone.updated_at = at;
            if status == MilestoneStatus::Achieved {
                milestone.completed_date = done_at.max(parts_at).or(Some(at));
            }
        });
        let Some(milestone) = self.milestones.get(id) else { return };
        let event = match status {
            MilestoneStatus::Achieved => MilestoneEventKind::MilestoneAchieved,
            MilestoneStatus::Missed => MilestoneEventKind::MilestoneMissed,
            _ => MilestoneEventKind::MilestoneChanged,
        };
        self.drafts.notices.push(notice::milestone(event, milestone, None, at));
    }

    fn change_milestone(&mut self, id: &MilestoneId, change: impl FnOnce(&mut Milestone)) {
        let Some(before) = self.milestones.get(id).cloned() else { return };
        let mut after = Milestone::clone(&before);
        change(&mut after);
        self.replace_milestone(Some(&before), after);
    }

    fn replace_milestone(&mut self, before: Option<&Milestone>, after: Milestone) {
        self.timers.milestone(before, Some(&after));
        self.touched.insert(after.id.clone());
        self.touched.extend(after.parent_milestone_id.clone());
        self.milestones.insert(after.id.clone(), Arc::new(after));
    }
}

/// What of `these` is not among `those`; both are in order.
fn not_in(these: &[TaskId], those: &[TaskId]) -> Vec<TaskId> {
    these.iter().filter(|id| those.binary_search(id).is_err()).cloned().collect()
}
