//! Leaving memory: the oldest terminal tasks go to the archive, many at once.
//!
//! Invariant: a task leaves only when the piece that holds it is stored, and none leaves that an open
//! task looks at.

use std::sync::Arc;

use troupe_domain::{Fault, Task, TaskId, Timestamp};

use super::record::Record;
use super::state::{ShardState, weight};

/// Bytes of terminal tasks that stay in memory, as a share of what open ones may take.
const TERMINAL_SHARE: usize = 4;
/// Terminal tasks beyond the bound before some are let go of, as a share of it.
const EVICTION_SLACK: usize = 64;
/// Tasks that open ones look at which one eviction passes over.
const MAX_SPARED: usize = 512;
/// Tasks in one piece of the archive, and their bytes, about.
const MAX_PIECE_TASKS: usize = 512;
const MAX_PIECE_BYTES: usize = 512 * 1024;
/// Pieces that leave together. A shard waits for its log before and after: under load, more would end
/// than leaves if it did so for each piece.
const MAX_PIECES: usize = 4;
/// Terminal tasks beyond the bound that may wait for the archive; the next creation is refused.
const MAX_WAITING_FOR_ARCHIVE: usize = 10_000;

/// What leaves memory next.
#[derive(Debug)]
pub struct Leaving {
    /// The number that the first piece of the archive may have.
    pub first: u64,
    /// What goes, piece by piece.
    pub pieces: Vec<Vec<Arc<Task>>>,
    /// What was due and stays, because open tasks look at it.
    pub spared: Vec<TaskId>,
}

impl ShardState {
    /// The oldest terminal tasks beyond the bound, as many as go into a few pieces of the archive, but
    /// none that an open task still looks at. They stay until their piece is stored: see
    /// [`leave`](Self::leave).
    pub fn leaving(&self) -> Option<Leaving> {
        let max_bytes = self.settings.max_open_bytes / TERMINAL_SHARE;
        let max_tasks = self.settings.max_terminal_tasks;
        // Several go at once, so that one record tells of many.
        if self.ended.len() <= max_tasks + max_tasks / EVICTION_SLACK
            && self.ended_bytes <= max_bytes
        {
            return None;
        }
        let (mut pieces, mut spared): (Vec<Vec<Arc<Task>>>, _) = (Vec::new(), Vec::new());
        let (mut gone, mut freed, mut bytes) = (0, 0, 0);
        for id in self.ended.iter() {
            let enough =
                self.ended.len() - gone <= max_tasks && self.ended_bytes - freed <= max_bytes;
            let is_full =
                |piece: &Vec<_>| piece.len() >= MAX_PIECE_TASKS || bytes >= MAX_PIECE_BYTES;
            let next_is_new = pieces.last().is_none_or(is_full);
            if enough || spared.len() >= MAX_SPARED || (next_is_new && pieces.len() == MAX_PIECES) {
                break;
            }
            let Some(task) = self.tasks.get(id) else { continue };
            if self.is_looked_at(id) {
                spared.push(id.clone());
                continue;
            }
            if next_is_new {
                pieces.push(Vec::new());
                bytes = 0;
            }
            (gone, freed, bytes) = (gone + 1, freed + weight(task), bytes + weight(task));
            if let Some(piece) = pieces.last_mut() {
                piece.push(task.clone());
            }
        }
        let is_something = !pieces.is_empty() || !spared.is_empty();
        is_something.then(|| Leaving { first: self.departed.next_piece(), pieces, spared })
    }

    /// Lets go of tasks, as they ended, that are in a piece of the archive. One that came back or that
    /// somebody looks at since stays.
    pub fn leave(
        &mut self,
        piece: u64,
        ended: &[(TaskId, Option<Timestamp>)],
        spared: Vec<TaskId>,
    ) {
        let is_as_it_was = |(id, at): &&(TaskId, Option<Timestamp>)| {
            let task = self.tasks.get(id);
            task.is_some_and(|task| task.status.is_terminal() && task.completed_at == *at)
                && !self.is_looked_at(id)
        };
        let ids = ended.iter().filter(is_as_it_was).map(|(id, _)| id.clone()).collect();
        let is_ended = |id: &TaskId| self.tasks.get(id).is_some_and(|t| t.status.is_terminal());
        let spared = spared.into_iter().filter(is_ended).collect();
        // A piece that nobody is in any more counts as well: its number is taken.
        self.draft(Record::Evicted { piece, ids, spared });
    }

    /// Whether more has ended than may wait for the archive.
    pub(super) fn check_archive(&self) -> Result<(), Fault> {
        let most = self.settings.max_terminal_tasks + MAX_WAITING_FOR_ARCHIVE;
        if self.ended.len() > most {
            return Err(Fault::exhausted("MAX_WAITING_FOR_ARCHIVE", MAX_WAITING_FOR_ARCHIVE));
        }
        if self.ended_bytes > self.settings.max_open_bytes {
            return Err(Fault::exhausted("max_open_bytes", self.settings.max_open_bytes));
        }
        Ok(())
    }

    fn is_looked_at(&self, id: &TaskId) -> bool {
        let mut dependents = self.dependents.get(id).into_iter().flatten();
        dependents.any(|d| self.tasks.get(d).is_some_and(|task| !task.status.is_terminal()))
    }
}
