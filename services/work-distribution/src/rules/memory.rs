//! What a shard remembers of the past, bounded: idempotency keys, terminal tasks, and who left memory.

use std::collections::{HashMap, VecDeque};

use troupe_domain::{TaskId, Timestamp};

use super::record::CreationKey;

/// Created tasks whose keys one shard remembers; the oldest keys go first.
pub const MAX_REMEMBERED_CREATIONS: usize = 200_000;
/// Tasks that left a shard's memory of which it is known that they did.
pub const MAX_DEPARTED_TASKS: usize = 8_192;
/// The detail of a fault that says when a task that is not in memory ended.
pub const ENDED_AT: &str = "ended_at";

/// Keys under which something was created.
#[derive(Debug, Default)]
pub struct Keys {
    by_key: HashMap<String, CreationKey>,
    order: VecDeque<String>,
    weight: usize,
}

impl Keys {
    /// What was created under `key`.
    pub fn get(&self, key: &str) -> Option<&CreationKey> {
        self.by_key.get(key)
    }

    /// Remembers a key.
    pub fn insert(&mut self, key: CreationKey) {
        self.weight += key.created.weight();
        self.order.push_back(key.key.clone());
        if let Some(former) = self.by_key.insert(key.key.clone(), key) {
            self.weight -= former.created.weight();
        }
        while self.weight > MAX_REMEMBERED_CREATIONS && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.by_key.remove(&oldest) {
                self.weight -= gone.created.weight();
            }
        }
    }

    /// Every key, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &CreationKey> {
        self.order.iter().filter_map(|key| self.by_key.get(key))
    }
}

/// Tasks that left memory lately, with when they ended: their last event may still be on its way to the
/// archive, which is asked for them.
#[derive(Debug, Default)]
pub struct Departed {
    order: VecDeque<TaskId>,
    ended: HashMap<TaskId, Timestamp>,
}

impl Departed {
    /// A task that ended at `ended` leaves memory.
    pub fn push(&mut self, id: TaskId, ended: Timestamp) {
        if self.ended.insert(id.clone(), ended).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > MAX_DEPARTED_TASKS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.ended.remove(&oldest);
        }
    }

    /// When it ended, if it left lately.
    pub fn ended_at(&self, id: &TaskId) -> Option<Timestamp> {
        self.ended.get(id).copied()
    }
}

/// Terminal tasks in the order in which they ended.
#[derive(Debug, Default)]
pub struct Ended {
    order: VecDeque<TaskId>,
}

impl Ended {
    /// A task ended.
    pub fn push(&mut self, id: TaskId) {
        self.order.push_back(id);
    }

    /// Tasks ended.
    pub fn extend(&mut self, ids: impl IntoIterator<Item = TaskId>) {
        self.order.extend(ids);
    }

    /// A task came back.
    pub fn forget(&mut self, id: &TaskId) {
        // Mostly it is among the oldest.
        if let Some(place) = self.order.iter().position(|ended| ended == id) {
            self.order.remove(place);
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &TaskId> {
        self.order.iter()
    }
}
