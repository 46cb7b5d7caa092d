//! What a shard remembers of the past: idempotency keys and terminal tasks, both bounded.

use std::collections::{HashMap, VecDeque};

use troupe_domain::TaskId;

use super::record::CreationKey;

/// Created tasks whose keys one shard remembers; the oldest keys go first.
pub const MAX_REMEMBERED_CREATIONS: usize = 200_000;

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
