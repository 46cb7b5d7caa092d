//! Bounds on what is kept: ended tasks go by families, old reports become sums, agents that are long
//! gone are forgotten.
//!
//! Invariants: what an open milestone requires stays; a graph goes as a whole, so that what is said of
//! it is never of a part of it.

use std::collections::BTreeSet;

use troupe_domain::TaskId;
use troupe_domain::progress::MilestoneStatus;

use super::record::What;
use super::state::{Family, ProgressState};

/// Families that milestones need which one round passes over.
const MAX_SPARED: usize = 64;
/// Tasks that one record forgets.
const MAX_FORGOTTEN_TOGETHER: usize = 1_000;
/// Agents beyond the bound before some are let go of, as a share of it.
const AGENTS_SLACK: usize = 16;

impl ProgressState {
    /// Lets go of what is beyond the bounds.
    pub(super) fn let_go(&mut self) {
        while self.ended_tasks > self.settings.max_ended_tasks && self.forget_a_family() {}
        while self.report_bytes > self.settings.max_report_bytes {
            let Some((_, id)) = self.reported.first().cloned() else { break };
            let reports = self.tasks.get(&id).map_or(0, |task| task.history.len());
            self.draft(What::RolledUp { task: id, reports });
        }
        let max = self.settings.max_agents;
        if self.accounts.len() > max + max / AGENTS_SLACK {
            self.forget_agents(max);
        }
    }

    /// Forgets the family that ended longest ago and that nobody needs; false if there is none.
    fn forget_a_family(&mut self) -> bool {
        let candidates = self.ended_families.iter().take(MAX_SPARED);
        let chosen = candidates
            .map(|(_, family)| self.tasks_of_family(family))
            .find(|tasks| !tasks.is_empty() && !tasks.iter().any(|id| self.is_needed(id)));
        let Some(tasks) = chosen else { return false };
        for part in tasks.chunks(MAX_FORGOTTEN_TOGETHER) {
            self.draft(What::Forgotten(part.to_vec()));
        }
        true
    }

    fn tasks_of_family(&self, family: &Family) -> Vec<TaskId> {
        match family {
            Family::Alone(id) => vec![id.clone()],
            Family::Set(scope) => {
                let members: Option<&BTreeSet<TaskId>> = self.members.get(scope);
                let own = |id: &&TaskId| {
                    self.tasks.get(*id).is_some_and(|task| Family::of(task) == *family)
                };
                members.into_iter().flatten().filter(own).cloned().collect()
            }
        }
    }

    fn is_needed(&self, id: &TaskId) -> bool {
        let open = |status| {
            matches!(
                status,
                MilestoneStatus::Pending
                    | MilestoneStatus::InProgress
                    | MilestoneStatus::Missed
                    | MilestoneStatus::Deferred
            )
        };
        let by = self.required_by.get(id).into_iter().flatten();
        by.filter_map(|milestone| self.milestones.get(milestone)).any(|m| open(m.status))
    }

    fn forget_agents(&mut self, keep: usize) {
        let idle = self.accounts.iter().filter(|(_, account)| account.holds.is_empty());
        let mut idle: Vec<_> =
            idle.map(|(agent, account)| (account.tally.active_at, agent.clone())).collect();
        idle.sort_unstable();
        idle.truncate(self.accounts.len().saturating_sub(keep));
        let agents: Vec<_> = idle.into_iter().map(|(_, agent)| agent).collect();
        if !agents.is_empty() {
            self.draft(What::Left(agents));
        }
    }
}
