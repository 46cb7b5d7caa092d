//! Folding records into the state. Nothing is decided here, so that a replay gives the same state.

use troupe_contract::plan::PlanReceipt;
use troupe_crdt::{AgentKey, Change, Field, Operation, SignedBatch};
use troupe_domain::Timestamp;
use troupe_domain::plan::ObjectKind;

use super::memory::Remembered;
use super::merging::apply;
use super::notice;
use super::object::{MAX_FORKS, MAX_PIECES, Mark, Object, Piece};
use super::record::{Merged, Record};
use super::state::{Link, PlanState};

/// How long after a change conflicts are looked for, at least.
const CHECK_AFTER_MS: u64 = 200;
/// And one millisecond more for so many entities: looking at all of a large plan takes a while.
const ENTITIES_PER_MS: usize = 10;
/// Versions that are remembered in the time after which deleted items are purged.
const MARKS: u64 = 8;

impl PlanState {
    /// Folds a record into the state, with the notices that follow from it.
    pub(super) fn apply_record(&mut self, record: &Record) {
        match record {
            Record::Key { seed } => {
                self.key = <[u8; 32]>::try_from(seed.as_ref()).ok().map(AgentKey::from_seed);
            }
            Record::Merged(merged) => self.replay(merged),
            Record::Forked { object, fork } => {
                self.totals.forks += 1;
                let Some(object) = self.objects.get_mut(object) else { return };
                if object.forks.len() < MAX_FORKS {
                    object.forks.push(fork.clone());
                }
                self.drafts.notices.push(notice::forked(object, fork));
            }
            Record::Diverged { at, object, replica } => {
                self.totals.divergences += 1;
                let Some(object) = self.objects.get_mut(object) else { return };
                object.diverged = Some((replica.clone(), object.sequence));
                self.drafts.notices.push(notice::diverged(object, replica, *at));
            }
            Record::Conflicts { at, object, opened, closed } => {
                let Some(object) = self.objects.get_mut(object) else { return };
                for conflict in opened {
                    object.conflicts.insert(conflict.id.clone(), conflict.clone());
                    self.drafts.notices.push(notice::conflict(object, conflict, *at));
                }
                for id in closed {
                    object.conflicts.remove(id);
                    self.drafts.notices.push(notice::conflict_closed(object, id, *at));
                }
            }
            Record::Archived { at, object, first, through } => {
                let Some(object) = self.objects.get_mut(object) else { return };
                let before = object.bytes();
                archived(object, *first, *through);
                self.bytes = self.bytes + object.bytes() - before;
                self.drafts.notices.push(notice::archived(object, *through, *at));
            }
            Record::Folded { object, through } => {
                let Some(object) = self.objects.get_mut(object) else { return };
                let before = object.bytes();
                object.fold(*through);
                self.bytes = (self.bytes + object.bytes()).saturating_sub(before);
            }
            Record::Confirmed { task } => {
                if let Some(link) = self.links.get_mut(task) {
                    link.confirmed = true;
                }
            }
            Record::Unlinked { task } => {
                self.links.remove(task);
                if self.links.is_empty() {
                    self.followed = None;
                }
            }
            Record::Followed(place) => self.followed = Some(*place),
        }
    }

    fn replay(&mut self, merged: &Merged) {
        let damaged = |why: &dyn std::fmt::Display| {
            tracing::error!(%why, "a batch of the log cannot be applied");
        };
        let signed = match SignedBatch::decode(merged.batch.as_ref()) {
            Ok(signed) => signed,
            Err(why) => return damaged(&why),
        };
        let batch = signed.batch();
        let applied =
            self.or_new(&batch.object, batch.kind).and_then(|object| apply(object, &signed));
        match applied {
            Ok(()) => self.merged(merged, &signed),
            Err(why) => damaged(&why),
        }
    }

    /// What follows from a batch that was just applied to its document.
    pub(super) fn merged(&mut self, merged: &Merged, signed: &SignedBatch) {
        let batch = signed.batch();
        self.totals.batches += 1;
        let Some(object) = self.objects.get_mut(&batch.object) else { return };
        let (kept, weight) = (object.kept_bytes, object.weight);
        object.keep(merged.at, signed);
        object.weight = object.document.bytes();
        mark(object, merged.at, self.settings.purge_after_ms);
        if changes_words(signed) {
            object.worded = object.sequence;
        }
        self.bytes = (self.bytes + object.kept_bytes + object.weight).saturating_sub(kept + weight);
        if object.check_at.is_none() {
            let wait = CHECK_AFTER_MS + (object.document.entities() / ENTITIES_PER_MS) as u64;
            let due = merged.at.plus_millis(wait);
            object.check_at = Some(due);
            self.checks.insert((due, batch.object.clone()));
        }
        self.drafts.notices.push(notice::merged(object, signed, merged));
        for link in &merged.links {
            self.drafts.notices.push(notice::dispatched(object, signed, link, merged));
            let (plan, item, role) = (batch.object.clone(), link.item.clone(), link.role.clone());
            let link_of_task = Link { plan, item, role, at: merged.at, confirmed: false };
            self.links.insert(link.task.clone(), link_of_task);
        }
        if let Some(task) = &merged.followed {
            self.drafts.notices.push(notice::followed(object, signed, task, merged));
        }
        if let Some(key) = &merged.key {
            let receipt = receipt(object, merged);
            self.keys.insert(Remembered { key: key.clone(), receipt });
        }
    }
}

/// Remembers the version, a few times in the time after which deleted items are purged.
fn mark(object: &mut Object, at: Timestamp, purge_after_ms: u64) {
    let last = object.marks.back().map(|mark| mark.at);
    let is_due = last.is_none_or(|last| at.millis_since(last) >= purge_after_ms / MARKS);
    if object.kind == ObjectKind::Plan && is_due {
        object.marks.push_back(Mark { at, vector: object.document.vector() });
    }
    while object.marks.len() as u64 > 2 * MARKS {
        object.marks.pop_front();
    }
}

/// Whether a batch changes what items say, or which of them are open.
fn changes_words(signed: &SignedBatch) -> bool {
    let words = |changes: &[Change]| {
        changes.iter().any(|change| matches!(change.field(), Field::Title | Field::Status))
    };
    signed.batch().operations.iter().any(|operation| match operation {
        Operation::AddItem { .. }
        | Operation::DeleteItem { .. }
        | Operation::UpdateStatus { .. }
        | Operation::Purge { .. } => true,
        Operation::UpdateItem { changes, .. } => words(changes),
        Operation::BulkUpdate { updates } => updates.iter().any(|(_, changes)| words(changes)),
        _ => false,
    })
}

/// The answer to an edit that was just made.
pub(super) fn receipt(object: &Object, merged: &Merged) -> PlanReceipt {
    PlanReceipt {
        plan_id: object.id().clone(),
        sequence: object.sequence,
        version: object.document.vector(),
        item_ids: merged.item_ids.clone(),
    }
}

/// A piece is in the archive: memory begins where the piece before it ended.
fn archived(object: &mut Object, first: u64, through: u64) {
    let former = object.archived_through();
    let at = object.kept.iter().find(|kept| kept.sequence == through).map(|kept| kept.at);
    object.pieces.push_back(Piece { first, through, at: at.unwrap_or_default() });
    while object.pieces.len() > MAX_PIECES {
        object.pieces.pop_front();
    }
    object.fold(former);
}
