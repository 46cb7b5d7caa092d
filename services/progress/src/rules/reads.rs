//! Reading: each answer is a look at what is kept, or a walk over what the caller named.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use troupe_contract::progress::{
    AgentProgressSummary, HistoryPage, MilestoneFilter, MilestonePage, Over, ProgressStatistics,
    ProgressSummary, StalledReply,
};
use troupe_domain::limits::{MAX_MILESTONE_DEPTH, MAX_SUMMARY_TASKS};
use troupe_domain::progress::{Milestone, MilestoneId, MilestoneStatus};
use troupe_domain::{AgentId, Fault, TaskId, Timestamp};

use super::facts::minutes_of;
use super::shares::{Scope, Share};
use super::state::ProgressState;
use super::task::TaskState;
use super::totals::Total;

/// What a caller means by the tasks that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// One that is summed up as things happen.
    Kept(Scope),
    /// These tasks.
    Named(Vec<TaskId>),
}

/// Reads over which tasks something goes.
pub fn set_of(over: &Over) -> Result<Set, Fault> {
    let Over { graph_id, plan_id, parent_task_id, milestone_id, task_ids } = over;
    let named = [
        graph_id.clone().map(|id| Set::Kept(Scope::Graph(id))),
        plan_id.clone().map(|id| Set::Kept(Scope::Plan(id))),
        parent_task_id.clone().map(|id| Set::Kept(Scope::Parts(id))),
        milestone_id.clone().map(|id| Set::Kept(Scope::Milestone(id))),
        (!task_ids.is_empty()).then(|| Set::Named(task_ids.clone())),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(Fault::invalid(
            "graph_id",
            "name one of graph_id, plan_id, parent_task_id, milestone_id and task_ids",
        )),
        (Some(Set::Named(ids)), None) if ids.len() > MAX_SUMMARY_TASKS => {
            let fault = Fault::exhausted("MAX_SUMMARY_TASKS", MAX_SUMMARY_TASKS);
            Err(fault.with("field", "task_ids"))
        }
        (Some(set), None) => Ok(set),
        (None, None) => Ok(Set::Kept(Scope::Fleet)),
    }
}

impl ProgressState {
    /// The fault of naming what nobody has heard of.
    pub(super) fn check_known(&self, scope: &Scope) -> Result<(), Fault> {
        let (kind, id, known) = match scope {
            Scope::Fleet => return Ok(()),
            Scope::Graph(id) => ("graph", id, self.totals.contains_key(scope)),
            Scope::Plan(id) => ("plan with tasks", id, self.totals.contains_key(scope)),
            Scope::Parts(id) => {
                ("task", id, self.totals.contains_key(scope) || self.tasks.contains_key(id))
            }
            Scope::Milestone(id) => ("milestone", id, self.milestones.contains_key(id)),
        };
        if known { Ok(()) } else { Err(Fault::not_found(kind, id)) }
    }

    /// Sums up.
    pub(super) fn summary(&self, over: &Over, now: Timestamp) -> Result<ProgressSummary, Fault> {
        match set_of(over)? {
            Set::Kept(scope) => {
                self.check_known(&scope)?;
                let none = Total::default();
                let mut shown = self.totals.get(&scope).unwrap_or(&none).shown(now);
                let goals = self.milestones_of(&scope);
                shown.milestones_achieved = count_achieved(goals.iter().copied());
                shown.total_milestones = goals.len() as u64;
                Ok(shown)
            }
            Set::Named(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                let mut total = Total::default();
                let mut goals = BTreeSet::new();
                for task in ids.iter().filter_map(|id| self.tasks.get(id)) {
                    total.add(&Share::of(task));
                    goals.extend(self.required_by.get(&task.id).into_iter().flatten());
                }
                let mut shown = total.shown(now);
                shown.unknown_tasks = ids.len() as u64 - total.tasks();
                shown.milestones_achieved = count_achieved(
                    goals.iter().filter_map(|id| self.milestones.get(*id).map(|m| &**m)),
                );
                shown.total_milestones = goals.len() as u64;
                Ok(shown)
            }
        }
    }

    /// The milestones that require tasks of a scope.
    fn milestones_of(&self, scope: &Scope) -> Vec<&Milestone> {
        match scope {
            Scope::Fleet => self.milestones.values().map(|m| &**m).collect(),
            Scope::Milestone(id) => {
                let parts = self.milestones.get(id).map(|m| &m.child_milestone_ids);
                parts
                    .into_iter()
                    .flatten()
                    .filter_map(|id| self.milestones.get(id).map(|m| &**m))
                    .collect()
            }
            other => {
                let Some(members) = self.members.get(other) else { return Vec::new() };
                // Walks the smaller side.
                let ids: BTreeSet<&MilestoneId> = if members.len() <= self.required_by.len() {
                    members.iter().filter_map(|id| self.required_by.get(id)).flatten().collect()
                } else {
                    let here = self.required_by.iter().filter(|(id, _)| members.contains(*id));
                    here.flat_map(|(_, milestones)| milestones).collect()
                };
                ids.into_iter().filter_map(|id| self.milestones.get(id).map(|m| &**m)).collect()
            }
        }
    }

    /// A part of a task's history.
    pub(super) fn history(
        &self,
        id: &TaskId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<HistoryPage, Fault> {
        let task = self.tasks.get(id).ok_or_else(|| Fault::not_found("task", id))?;
        let (entries, next_before) = task.history.page(before, limit);
        let older = task.history.older().filter(|_| next_before.is_none()).cloned();
        Ok(HistoryPage { entries, next_before, older })
    }

    /// What an agent did.
    pub(super) fn agent_summary(
        &self,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<AgentProgressSummary, Fault> {
        let account =
            self.accounts.get(agent).ok_or_else(|| Fault::not_found("agent with tasks", agent))?;
        let held = || account.holds.iter().filter_map(|id| self.tasks.get(id));
        let running = |since: Option<Timestamp>| since.map_or(0, |since| now.millis_since(since));
        let tally = &account.tally;
        let current: Option<&TaskState> =
            held().map(|task| &**task).max_by_key(|task| (task.heard_at, task.since));
        Ok(AgentProgressSummary {
            agent_id: agent.clone(),
            role: None,
            tasks_completed: tally.completed,
            tasks_in_progress: account.holds.len() as u64,
            attempts_failed: tally.failed,
            attempts_expired: tally.expired,
            attempts_released: tally.released,
            time_spent_minutes: minutes_of(
                tally.spent_ms + held().map(|task| running(task.running_since)).sum::<u64>(),
            ),
            avg_completion_time_minutes: tally.avg_completion_ms().map(|ms| ms / 60_000.0),
            success_rate: tally.success_rate(),
            blocked_minutes: minutes_of(
                tally.blocked_ms + held().map(|task| running(task.blocked_since)).sum::<u64>(),
            ),
            last_activity: (tally.active_at > Timestamp::default()).then_some(tally.active_at),
            current_task_id: current.map(|task| task.id.clone()),
            current_task_progress: current.map(|task| task.percent.percentage()),
        })
    }

    /// A milestone with its progress.
    pub(super) fn shown_milestone(&self, id: &MilestoneId) -> Result<Milestone, Fault> {
        let milestone = self.milestones.get(id).ok_or_else(|| Fault::not_found("milestone", id))?;
        let mut shown = Milestone::clone(milestone);
        shown.progress = self.hundredths_of(milestone, MAX_MILESTONE_DEPTH) as f64 / 100.0;
        Ok(shown)
    }

    /// A page of milestones, without their tasks.
    pub(super) fn list_milestones(&self, filter: &MilestoneFilter, limit: usize) -> MilestonePage {
        let after = filter.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let passes = |m: &&Arc<Milestone>| {
            (filter.statuses.is_empty() || filter.statuses.contains(&m.status))
                && filter.tag.as_ref().is_none_or(|tag| m.tags.contains(tag))
                && filter.owner.as_ref().is_none_or(|owner| m.owner.as_ref() == Some(owner))
                && (filter.parent_milestone_id.is_none()
                    || filter.parent_milestone_id == m.parent_milestone_id)
                && filter
                    .task_id
                    .as_ref()
                    .is_none_or(|id| m.required_task_ids.binary_search(id).is_ok())
        };
        let range = self.milestones.range((after, Bound::Unbounded)).map(|(_, m)| m);
        let mut found: Vec<_> = range.filter(passes).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next_after = found.last().filter(|_| more).map(|m| m.id.clone());
        let shown = |m: &Arc<Milestone>| Milestone {
            progress: self.hundredths_of(m, MAX_MILESTONE_DEPTH) as f64 / 100.0,
            required_task_ids: Vec::new(),
            ..Milestone::clone(m)
        };
        MilestonePage { milestones: found.into_iter().map(shown).collect(), next_after }
    }

    /// Stalled tasks, the longest silent first.
    pub(super) fn list_stalled(&self, limit: usize, now: Timestamp) -> StalledReply {
        let tasks = self.stalled.iter().take(limit).filter_map(|(_, id)| self.tasks.get(id));
        StalledReply {
            tasks: tasks.map(|task| task.shown(now)).collect(),
            total: self.stalled.len() as u64,
        }
    }

    /// Counts.
    pub(super) fn statistics(&self) -> ProgressStatistics {
        let (kept_reports, reports) = self.totals.get(&Scope::Fleet).map_or((0, 0), Total::reports);
        ProgressStatistics {
            tasks: self.tasks.len() as u64,
            open_tasks: (self.tasks.len() - self.ended_tasks) as u64,
            untracked_tasks: self.untracked,
            agents: self.accounts.len() as u64,
            milestones: self.milestones.len() as u64,
            kept_reports,
            kept_report_bytes: self.report_bytes as u64,
            reports,
            stalled_tasks: self.stalled.len() as u64,
            heard_through: self.heard.map_or(0, |place| place.sequence),
            complete: self.complete,
        }
    }
}

fn count_achieved<'a>(milestones: impl Iterator<Item = &'a Milestone>) -> u64 {
    milestones.filter(|m| m.status == MilestoneStatus::Achieved).count() as u64
}
