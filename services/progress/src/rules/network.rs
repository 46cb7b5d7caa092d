//! The open tasks of a set and what each waits for: the ground for bottlenecks and estimates, which
//! take longer than anybody should wait for the state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use troupe_contract::progress::Over;
use troupe_domain::limits::MAX_SUMMARY_TASKS;
use troupe_domain::task::{OnFailure, Outcome};
use troupe_domain::{AgentId, Fault, Role, TaskId, TaskStatus, Timestamp};

use super::durations::Durations;
use super::reads::{Set, set_of};
use super::shares::Scope;
use super::state::ProgressState;
use super::task::TaskState;

/// An open task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are those of `TaskState`
pub struct Node {
    pub id: TaskId,
    pub title: String,
    pub status: TaskStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What it waits for, by place in the network; each before it exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<u32>,
    /// Whether it was not asked for: something that was waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Whether a dependency ended in a way that frees it never by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stuck: bool,
    /// Whether it waits for something that nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_unknown: bool,
    /// What every attempt took so far.
    pub spent_ms: u64,
    /// What the holder expects to need yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_ms: Option<u64>,
    pub percentage: f64,
    pub since: Timestamp,
    pub stalled: bool,
    pub blocked: bool,
}

/// Open tasks, the first created first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The tasks.
    pub nodes: Vec<Node>,
    /// What completed tasks took.
    pub durations: Durations,
    /// Agents that hold tasks of it.
    pub at_work: u32,
    /// Agents that hold any task.
    pub at_work_in_fleet: u32,
    /// When it was looked at.
    pub at: Timestamp,
}

/// What a dependency means for whoever waits for it.
enum Waits {
    ForNothing,
    For(TaskId),
    ForEver,
    ForUnknown,
}

impl ProgressState {
    /// The open tasks of a set, with open tasks outside that they wait for.
    pub(super) fn network(&self, over: &Over, now: Timestamp) -> Result<Network, Fault> {
        let asked = match set_of(over)? {
            Set::Named(ids) => ids,
            Set::Kept(scope) => {
                self.check_known(&scope)?;
                self.tasks_of(&scope)
            }
        };
        let is_open = |id: &TaskId| self.tasks.get(id).is_some_and(|task| !task.is_ended());
        let asked: BTreeSet<TaskId> = asked.into_iter().filter(is_open).collect();
        let mut found: BTreeMap<TaskId, Vec<Waits>> = BTreeMap::new();
        let mut pending: Vec<TaskId> = asked.iter().cloned().collect();
        while let Some(id) = pending.pop() {
            if found.contains_key(&id) {
                continue;
            }
            if found.len() >= MAX_SUMMARY_TASKS {
                return Err(Fault::exhausted("MAX_SUMMARY_TASKS", MAX_SUMMARY_TASKS));
            }
            let Some(task) = self.tasks.get(&id) else { continue };
            let waits: Vec<Waits> = task.edges.iter().map(|edge| self.waits(task, edge)).collect();
            pending.extend(waits.iter().filter_map(|waits| match waits {
                Waits::For(id) => Some(id.clone()),
                _ => None,
            }));
            found.insert(id, waits);
        }
        Ok(self.laid_out(found, &asked, now))
    }

    fn waits(&self, task: &TaskState, edge: &super::facts::Edge) -> Waits {
        // A task that can be claimed waits for nothing, whatever was heard of its dependencies.
        if task.status != TaskStatus::Blocked {
            return Waits::ForNothing;
        }
        let Some(on) = self.tasks.get(&edge.on) else { return Waits::ForUnknown };
        match on.status.outcome() {
            None => Waits::For(edge.on.clone()),
            Some(Outcome::Succeeded) => Waits::ForNothing,
            Some(Outcome::DidNotSucceed) if edge.on_failure == OnFailure::Continue => {
                Waits::ForNothing
            }
            Some(Outcome::DidNotSucceed) => Waits::ForEver,
        }
    }

    fn laid_out(
        &self,
        found: BTreeMap<TaskId, Vec<Waits>>,
        asked: &BTreeSet<TaskId>,
        now: Timestamp,
    ) -> Network {
        let mut order: Vec<(Timestamp, TaskId)> = found
            .keys()
            .filter_map(|id| self.tasks.get(id).map(|task| (task.created_at, id.clone())))
            .collect();
        order.sort_unstable();
        let places: BTreeMap<&TaskId, u32> =
            order.iter().enumerate().map(|(place, (_, id))| (id, place as u32)).collect();
        let node = |(_, id): &(Timestamp, TaskId)| {
            let task = self.tasks.get(id)?;
            let waits = found.get(id).into_iter().flatten();
            let mut node = node_of(task, !asked.contains(id), now);
            for waits in waits {
                match waits {
                    Waits::ForNothing => {}
                    Waits::For(on) => node.waits_for.extend(places.get(on)),
                    Waits::ForEver => node.stuck = true,
                    Waits::ForUnknown => node.waits_for_unknown = true,
                }
            }
            Some(node)
        };
        let nodes: Vec<Node> = order.iter().filter_map(node).collect();
        let holders: BTreeSet<&AgentId> = nodes.iter().filter_map(|n| n.holder.as_ref()).collect();
        let at_work = holders.len() as u32;
        let fleet = self.totals.get(&Scope::Fleet).map_or(0, super::totals::Total::holders);
        Network {
            nodes,
            durations: self.durations.clone(),
            at_work,
            at_work_in_fleet: fleet as u32,
            at: now,
        }
    }
}

fn node_of(task: &TaskState, outside: bool, now: Timestamp) -> Node {
    Node {
        id: task.id.clone(),
        title: task.title.clone(),
        status: task.status,
        holder: task.holder.clone().filter(|_| task.is_held()),
        role: task.role.clone(),
        waits_for: Vec::new(),
        outside,
        stuck: false,
        waits_for_unknown: false,
        spent_ms: task.spent_at(now),
        said_ms: task.said_remaining_ms(),
        estimated_ms: task.estimated_ms,
        percentage: task.percent.percentage(),
        since: task.since,
        stalled: task.stalled_since.is_some(),
        blocked: task.is_blocked(),
    }
}

impl Network {
    /// By place: who waits for it.
    pub fn dependents(&self) -> Vec<Vec<u32>> {
        let mut dependents = vec![Vec::new(); self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            for on in &node.waits_for {
                if let Some(list) = dependents.get_mut(*on as usize) {
                    list.push(place as u32);
                }
            }
        }
        dependents
    }

    /// Places in an order in which each comes after everything that it waits for. What waits for
    /// itself, which no graph of work distribution does, is left out.
    pub fn in_order(&self, dependents: &[Vec<u32>]) -> Vec<u32> {
        let mut waits: Vec<usize> = self.nodes.iter().map(|node| node.waits_for.len()).collect();
        let mut order: Vec<u32> =
            (0..self.nodes.len() as u32).filter(|place| waits[*place as usize] == 0).collect();
        let mut next = 0;
        while let Some(place) = order.get(next).copied() {
            next += 1;
            for dependent in &dependents[place as usize] {
                let left = &mut waits[*dependent as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(*dependent);
                }
            }
        }
        order
    }

    /// By place: whether nothing will free it by itself, directly or because of what it waits for.
    pub fn stuck(&self, order: &[u32]) -> Vec<bool> {
        let mut stuck = vec![false; self.nodes.len()];
        for place in order {
            let node = &self.nodes[*place as usize];
            stuck[*place as usize] =
                node.stuck || node.waits_for.iter().any(|on| stuck[*on as usize]);
        }
        stuck
    }
}
