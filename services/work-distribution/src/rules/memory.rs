//! What a shard remembers of the past, bounded: idempotency keys, terminal tasks, and where those are
//! that left memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use troupe_domain::TaskId;
use troupe_shard::place::digest;

use super::record::CreationKey;

/// Created tasks whose keys one shard remembers; the oldest keys go first.
pub const MAX_REMEMBERED_CREATIONS: usize = 200_000;
/// Tasks that left one shard's memory of which it is known where they are; who left first is forgotten
/// first. Each takes about 30 bytes.
pub const MAX_DEPARTED_TASKS: usize = 262_144;
/// The detail of a fault that says in which piece of the archive a task is that left memory.
pub const PIECE: &str = "archive_piece";

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

/// Where tasks are that left memory: in which piece of the shard's archive. Ids are known by their
/// digest; what is found there is compared with the id that was asked for.
#[derive(Debug, Default)]
pub struct Departed {
    piece_of: HashMap<u64, u64>,
    /// Pieces with the tasks that went into them, oldest first.
    pieces: VecDeque<(u64, Arc<[u64]>)>,
    tasks: usize,
    /// The highest number of a piece that was heard of.
    newest: u64,
}

impl Departed {
    /// Tasks left memory for a piece of the archive.
    pub fn push(&mut self, piece: u64, ids: &[TaskId]) {
        self.push_digests(piece, ids.iter().map(|id| digest(id.as_str().as_bytes())).collect());
    }

    /// The same, from a snapshot.
    pub fn push_digests(&mut self, piece: u64, digests: Arc<[u64]>) {
        self.newest = self.newest.max(piece);
        if digests.is_empty() {
            return;
        }
        self.tasks += digests.len();
        self.piece_of.extend(digests.iter().map(|id| (*id, piece)));
        self.pieces.push_back((piece, digests));
        while self.tasks > MAX_DEPARTED_TASKS && self.pieces.len() > 1 {
            let Some((oldest, gone)) = self.pieces.pop_front() else { break };
            self.tasks -= gone.len();
            for id in gone.iter() {
                // Who was revived and left again is in a later piece.
                if self.piece_of.get(id) == Some(&oldest) {
                    self.piece_of.remove(id);
                }
            }
        }
    }

    /// In which piece it is, unless it is in memory: whoever came back is still known here by its former
    /// piece, until it leaves again.
    pub fn piece_of(&self, id: &TaskId) -> Option<u64> {
        self.piece_of.get(&digest(id.as_str().as_bytes())).copied()
    }

    /// The number of the next piece.
    pub fn next_piece(&self) -> u64 {
        self.newest + 1
    }

    /// Every piece with what went into it, oldest first.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, Arc<[u64]>)> {
        self.pieces.iter().cloned()
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

#[cfg(test)]
mod tests {
    use troupe_domain::Name;

    use super::*;

    fn ids(numbers: std::ops::Range<usize>) -> Vec<TaskId> {
        numbers.map(|number| Name::parse(&format!("task-{number}")).unwrap()).collect()
    }

    #[test]
    fn who_left_first_is_forgotten_first_and_who_left_again_is_where_it_went_last() {
        let mut departed = Departed::default();
        departed.push(1, &ids(0..100));
        departed.push(2, &ids(0..1));
        assert_eq!(departed.piece_of(&ids(0..1)[0]), Some(2));
        assert_eq!(departed.piece_of(&ids(1..2)[0]), Some(1));
        assert_eq!(departed.piece_of(&ids(100..101)[0]), None);
        departed.push(3, &ids(100..100 + MAX_DEPARTED_TASKS - 2));
        assert_eq!(departed.piece_of(&ids(1..2)[0]), None, "one more than fits: the piece goes");
        assert_eq!(departed.piece_of(&ids(0..1)[0]), Some(2));
        let mut again = Departed::default();
        departed.pieces().for_each(|(piece, digests)| again.push_digests(piece, digests));
        assert_eq!(again.piece_of(&ids(0..1)[0]), Some(2));
        assert_eq!(again.next_piece(), 4);
        departed.push(7, &[]);
        assert_eq!(departed.next_piece(), 8);
    }
}
