//! The tasks of a shard: found by id at once, listed in the order of their ids.
//!
//! Invariant: what is listed is what is found, except for a task that is being changed: it keeps its
//! place. An ordered map alone would compare a dozen ids, each somewhere else in memory, for every
//! look at a task.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use troupe_domain::{Task, TaskId};

/// The tasks of a shard.
#[derive(Debug, Default)]
pub struct Tasks {
    by_id: HashMap<TaskId, Arc<Task>>,
    ids: BTreeSet<TaskId>,
}

impl Tasks {
    /// One task.
    pub fn get(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.by_id.get(id)
    }

    /// Whether it is there.
    pub fn contains_key(&self, id: &TaskId) -> bool {
        self.by_id.contains_key(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Every task, in the order of their ids.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.ids.iter().filter_map(|id| self.by_id.get(id))
    }

    /// The tasks after an id, in the order of their ids.
    pub fn after(&self, id: Option<&TaskId>) -> impl Iterator<Item = &Arc<Task>> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.ids.range::<TaskId, _>((start, Bound::Unbounded));
        ids.filter_map(|id| self.by_id.get(id))
    }

    /// A task that is new.
    pub fn insert(&mut self, task: Arc<Task>) {
        self.ids.insert(task.id.clone());
        self.put_back(task);
    }

    /// Takes a task out to change it: [`put_back`](Self::put_back) follows.
    pub fn take_out(&mut self, id: &TaskId) -> Option<Arc<Task>> {
        self.by_id.remove(id)
    }

    /// The task that was taken out.
    pub fn put_back(&mut self, task: Arc<Task>) {
        self.by_id.insert(task.id.clone(), task);
    }

    /// A task that goes for good.
    pub fn remove(&mut self, id: &TaskId) -> Option<Arc<Task>> {
        self.ids.remove(id);
        self.by_id.remove(id)
    }
}
