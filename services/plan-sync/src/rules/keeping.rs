//! What stays in memory, and what is due for the archive.
//!
//! The horizon: memory keeps the batches of the last piece of the archive and what came after it; a
//! piece is due with [`Settings::archive_after_batches`] batches, or when its first batch is
//! [`Settings::archive_after_ms`] old. Where there is no archive, or it cannot be reached, batches stay
//! up to [`Settings::max_kept_bytes`] for each object; beyond it the older half of them is folded into the
//! state, and their history is lost: an edit is never refused for the archive's sake.
//!
//! [`Settings::archive_after_batches`]: super::state::Settings::archive_after_batches
//! [`Settings::archive_after_ms`]: super::state::Settings::archive_after_ms
//! [`Settings::max_kept_bytes`]: super::state::Settings::max_kept_bytes

use std::sync::Arc;

use troupe_contract::plan::Bytes64;
use troupe_crdt::Edit;
use troupe_domain::plan::{ObjectId, ObjectKind};
use troupe_domain::{Fault, Timestamp};

use super::editing::Extra;
use super::object::{Base, Kept, Mark, Object};
use super::record::Record;
use super::state::PlanState;

/// Items that one batch purges.
const MAX_PURGED_ITEMS: usize = 1_000;
/// Folding one by one would cost a state each time: at least so much is folded at once.
const FOLDED_PART: usize = 2;

/// A piece that is due for the archive.
#[derive(Debug, Clone)]
pub struct Due {
    /// The object.
    pub object: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// The state before the kept batches.
    pub base: Base,
    /// The kept batches.
    pub kept: Vec<Arc<Kept>>,
    /// The first batch of the piece.
    pub first: u64,
    /// The last.
    pub through: u64,
}

impl PlanState {
    /// The first `limit` pieces that are due.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<Due> {
        let is_due = |object: &&Object| {
            let first = object.unarchived().next();
            let waits = first.map(|kept| now.millis_since(kept.at));
            waits.is_some_and(|waits| {
                object.unarchived_count() >= self.settings.archive_after_batches
                    || waits >= self.settings.archive_after_ms
            })
        };
        let due = self.objects.values().filter(is_due).take(limit);
        due.filter_map(|object| {
            let first = object.unarchived().next()?.sequence;
            Some(Due {
                object: object.id().clone(),
                kind: object.kind,
                base: object.base.clone(),
                kept: object.kept.iter().cloned().collect(),
                first,
                through: object.sequence,
            })
        })
        .collect()
    }

    /// A piece is in the archive; `snapshot` is the state at its end.
    pub(super) fn archived(
        &mut self,
        id: &ObjectId,
        (first, through): (u64, u64),
        snapshot: Bytes64,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.archive_error = None;
        let object = self.object(id)?;
        if through <= object.archived_through() || through > object.sequence {
            return Ok(());
        }
        self.draft(Record::Archived { at: now, object: id.clone(), first, through });
        if let Some(object) = self.objects.get_mut(id) {
            let before = object.bytes();
            object.next_base = Some(Base { sequence: through, snapshot });
            self.bytes = (self.bytes + object.bytes()).saturating_sub(before);
        }
        Ok(())
    }

    /// The archive took nothing.
    pub fn archive_failed(&mut self, why: String) {
        self.archive_error = Some(why);
    }

    /// Forgets items for good that were deleted long ago: every replica that was heard of since knows
    /// it. The purge is an edit like any other, so that all replicas forget the same.
    pub(super) fn purge(&mut self, id: &ObjectId, now: Timestamp) {
        let after = self.settings.purge_after_ms;
        let Some(object) = self.objects.get_mut(id) else { return };
        if object.document.is_deleted() {
            return;
        }
        let is_old = |mark: &Mark| now.millis_since(mark.at) >= after;
        // The newest that is old enough covers the others.
        let mut stable = None;
        while let Some(mark) = object.marks.pop_front_if(|mark| is_old(mark)) {
            stable = Some(mark.vector);
        }
        let Some(stable) = stable else { return };
        let dead = object.document.deleted_items(&stable).into_iter();
        let items: Vec<_> =
            dead.filter(|(_, is_stable)| *is_stable).map(|(item, _)| item).collect();
        for some in items.chunks(MAX_PURGED_ITEMS) {
            let purge = Edit::Purge { items: some.to_vec() };
            if let Err(fault) = self.write(id, None, &[purge], Extra::default(), now) {
                tracing::warn!(%fault, object = %id, "deleted items are purged later");
                return;
            }
        }
    }

    /// Folds what is more than memory keeps of `id`.
    pub(super) fn shorten(&mut self, id: &ObjectId) {
        let Some(object) = self.objects.get(id) else { return };
        if object.kept_bytes <= self.settings.max_kept_bytes {
            return;
        }
        let through = object.kept.get(object.kept.len() / FOLDED_PART).map(|kept| kept.sequence);
        if let Some(through) = through {
            if self.settings.archives {
                tracing::warn!(object = %id, through, "history is lost: the archive takes nothing");
            }
            self.draft(Record::Folded { object: id.clone(), through });
        }
    }
}
