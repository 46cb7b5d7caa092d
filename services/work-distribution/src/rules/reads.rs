//! Reading a shard: one task, pages, what is available, counts.

use std::ops::Bound;
use std::sync::Arc;

use troupe_contract::work::{TaskFilter, WorkStatistics};
use troupe_domain::capability::RequiredCapability;
use troupe_domain::task::rules::Profile;
use troupe_domain::{Task, TaskId, Timestamp};

use super::queue::Place;
use super::state::ShardState;
use super::stats::Timed;

/// Tasks that one look at the shard may visit before others get their turn.
pub const MAX_VISITED_TASKS: usize = 2_000;

/// A part of a page.
#[derive(Debug)]
pub struct Visit {
    /// What passed the filter.
    pub tasks: Vec<Arc<Task>>,
    /// Go on after this id; `None` at the end.
    pub next: Option<TaskId>,
}

impl ShardState {
    /// A task as a reader sees it: with the lease as it was renewed in memory.
    pub fn shown(&self, task: &Arc<Task>) -> Arc<Task> {
        match task.lease_expires_at.filter(|_| task.status.is_held()) {
            Some(at) if self.timers.lease_end(task, at) != at => {
                let mut shown = Task::clone(task);
                shown.lease_expires_at = Some(self.timers.lease_end(task, at));
                Arc::new(shown)
            }
            _ => task.clone(),
        }
    }

    /// Visits tasks in the order of their ids from after `from`, at most `limit` that pass.
    pub fn visit(&self, filter: &TaskFilter, from: Option<&TaskId>, limit: usize) -> Visit {
        if let Some(graph) = &filter.graph_id {
            return self.visit_ids(self.graphs.get(graph), filter, from, limit);
        }
        if let (Some(agent), true) = (&filter.claimed_by, held_only(filter)) {
            return self.visit_ids(self.held.get(agent), filter, from, limit);
        }
        let mut tasks = Vec::new();
        let mut last = None;
        for (visited, task) in self.tasks.after(from).enumerate() {
            if visited >= MAX_VISITED_TASKS || tasks.len() >= limit {
                return Visit { tasks, next: last };
            }
            if passes(task, filter) {
                tasks.push(self.shown(task));
            }
            last = Some(task.id.clone());
        }
        Visit { tasks, next: None }
    }

    fn visit_ids(
        &self,
        ids: Option<&std::collections::BTreeSet<TaskId>>,
        filter: &TaskFilter,
        from: Option<&TaskId>,
        limit: usize,
    ) -> Visit {
        let Some(ids) = ids else { return Visit { tasks: Vec::new(), next: None } };
        let start = from.map_or(Bound::Unbounded, |id| Bound::Excluded(id.clone()));
        let mut tasks = Vec::new();
        let mut last = None;
        for (visited, id) in ids.range((start, Bound::Unbounded)).enumerate() {
            if visited >= MAX_VISITED_TASKS || tasks.len() >= limit {
                return Visit { tasks, next: last };
            }
            if let Some(task) = self.tasks.get(id).filter(|task| passes(task, filter)) {
                tasks.push(self.shown(task));
            }
            last = Some(id.clone());
        }
        Visit { tasks, next: None }
    }

    /// The first place in the queue that `profile` fits.
    pub fn peek(&self, profile: &Profile) -> Option<Place> {
        self.queue.first(profile)
    }

    /// What `profile` could claim: the first `limit`, and how many there are.
    pub fn available(&self, profile: &Profile, limit: usize) -> (Vec<(Place, Arc<Task>)>, usize) {
        (self.with_tasks(self.queue.best(profile, limit)), self.queue.count(profile))
    }

    /// The first `limit` of the queue, whatever they need.
    pub fn heads(&self, limit: usize) -> Vec<(Place, Arc<Task>)> {
        self.with_tasks(self.queue.heads(limit))
    }

    fn with_tasks(&self, places: Vec<Place>) -> Vec<(Place, Arc<Task>)> {
        places
            .into_iter()
            .filter_map(|place| self.tasks.get(&place.1).cloned().map(|task| (place, task)))
            .collect()
    }

    /// The counts.
    pub fn statistics(&self, now: Timestamp) -> (WorkStatistics, Timed) {
        let held = self.held.iter().map(|(agent, ids)| (agent.clone(), ids.len() as u64));
        self.tally.show(held, now)
    }

    /// What an agent did.
    pub fn tally_of(&self, agent: &troupe_domain::AgentId) -> super::stats::AgentTally {
        self.tally.of_agent(agent)
    }

    /// Tasks that can be claimed now.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }
}

fn held_only(filter: &TaskFilter) -> bool {
    !filter.statuses.is_empty() && filter.statuses.iter().all(|status| status.is_held())
}

fn passes(task: &Task, filter: &TaskFilter) -> bool {
    let any = |empty: bool, found: bool| empty || found;
    let requires = |name: &troupe_domain::Name| {
        task.required_capabilities.iter().any(|need: &RequiredCapability| need.name == *name)
    };
    any(filter.statuses.is_empty(), filter.statuses.contains(&task.status))
        && any(filter.priorities.is_empty(), filter.priorities.contains(&task.priority))
        && any(
            filter.roles.is_empty(),
            task.required_role.as_ref().is_some_and(|role| filter.roles.contains(role)),
        )
        && filter.capabilities.iter().all(requires)
        && filter.claimed_by.as_ref().is_none_or(|by| task.claimed_by.as_ref() == Some(by))
        && filter.graph_id.as_ref().is_none_or(|graph| task.graph_id.as_ref() == Some(graph))
        && filter
            .parent_task_id
            .as_ref()
            .is_none_or(|parent| task.parent_task_id.as_ref() == Some(parent))
        && !(filter.root_only && task.parent_task_id.is_some())
}
