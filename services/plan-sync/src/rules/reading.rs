//! Reading: plans page by page, what a replica lacks, snapshots in pieces, conflicts, values, counts.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use troupe_contract::plan::{
    Bytes64, ConflictPage, ConflictsRequest, ListPlansRequest, ObjectReply, PlanPage, PlanReply,
    PlanStatistics, SnapshotReply, SnapshotRequest, SyncReply, SyncRequest,
};
use troupe_crdt::Document;
use troupe_domain::limits::{MAX_PAGE_ROWS, MAX_SYNC_BYTES};
use troupe_domain::plan::{Conflict, ConflictKind, ObjectId, ObjectKind, PlanHead, PlanItem};
use troupe_domain::{Code, Fault, Name, Timestamp};

use super::merging::News;
use super::nouns;
use super::object::{Cached, Object};
use super::state::PlanState;

/// Bytes of batches in one answer where the replica names no bound.
const USUAL_SYNC_BYTES: usize = 1024 * 1024;
/// Bytes of one piece of a snapshot: it travels as base64 with the facts around it.
const PIECE_BYTES: usize = MAX_SYNC_BYTES / 2;
/// A snapshot that was made for one replica serves others, as long as the tail after it is so short.
const MAX_TAIL_BATCHES: u64 = 256;

/// Open conflicts of one object that are told; more of them are listed, and told when others are over.
pub const MAX_TOLD_CONFLICTS: usize = 2_048;

/// One page of a plan.
pub fn plan_page(
    document: &Document,
    sequence: u64,
    open_conflicts: usize,
    offset: usize,
    limit: Option<usize>,
) -> Result<PlanReply, Fault> {
    let limit = match limit.unwrap_or(MAX_PAGE_ROWS) {
        0 => return Err(Fault::invalid("limit", "must be more than 0")),
        rows if rows > MAX_PAGE_ROWS => {
            return Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "limit"));
        }
        rows => rows,
    };
    let mut plan = nouns::plan_of(document)?;
    let ready = nouns::ready_of(document, &plan);
    let all = plan.items.len();
    let shown: Vec<PlanItem> = plan.items.drain(..).skip(offset).take(limit).collect();
    let here: BTreeSet<&Name> = shown.iter().map(|item| &item.id).collect();
    let ready_item_ids = ready.into_iter().filter(|id| here.contains(id)).collect();
    let end = offset.saturating_add(shown.len());
    let next_offset = (end < all && !shown.is_empty()).then_some(end);
    plan.items = shown;
    Ok(PlanReply { plan, sequence, ready_item_ids, open_conflicts, next_offset })
}

impl PlanState {
    /// A plan by its id; another object is none.
    pub(super) fn plan(&self, id: &ObjectId) -> Result<&Object, Fault> {
        let found = self.objects.get(id).filter(|object| object.kind == ObjectKind::Plan);
        found.ok_or_else(|| Fault::not_found("plan", id))
    }

    pub(super) fn list(&self, request: &ListPlansRequest) -> PlanPage {
        use std::ops::Bound;
        let limit = request.limit.unwrap_or(100);
        let after = request.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let plans = self
            .objects
            .range::<Name, _>((after, Bound::Unbounded))
            .map(|(_, object)| object)
            .filter(|object| object.kind == ObjectKind::Plan)
            .filter_map(|object| Some(object.document.plan()?.head))
            .filter(|head| request.with_deleted || !head.deleted)
            .filter(|head| request.owner.as_ref().is_none_or(|owner| *owner == head.owner));
        let mut found: Vec<PlanHead> = plans.take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next_after = found.last().filter(|_| more).map(|head| head.id.clone());
        PlanPage { plans: found, next_after }
    }

    pub(super) fn delta(&self, request: &SyncRequest) -> Result<SyncReply, Fault> {
        let object = self.object(&request.object_id)?;
        let most = request.max_bytes.unwrap_or(USUAL_SYNC_BYTES);
        let snapshot_needed = !request.vector.covers(&object.base_vector);
        let (mut batches, mut bytes, mut more) = (Vec::new(), 0, false);
        if !snapshot_needed {
            let lacks = |agent: &Name, seq: u64| request.vector.get(agent) < seq;
            for kept in object.kept.iter().filter(|kept| lacks(&kept.agent, kept.seq)) {
                bytes += kept.batch.len();
                if bytes > most && !batches.is_empty() {
                    more = true;
                    break;
                }
                batches.push(kept.batch.clone());
            }
        }
        Ok(SyncReply {
            batches,
            vector: object.document.vector(),
            state_hash: object.document.hash().to_string(),
            sequence: object.sequence,
            more,
            snapshot_needed,
        })
    }

    pub(super) fn snapshot_piece(
        &mut self,
        request: &SnapshotRequest,
    ) -> Result<SnapshotReply, Fault> {
        let id = &request.object_id;
        let Some(object) = self.objects.get_mut(id) else {
            return Err(Fault::not_found("plan or object", id));
        };
        let cached = cached(object, request.through)?;
        if request.offset > cached.bytes.len() {
            return Err(Fault::invalid("offset", format!("is beyond {}", cached.bytes.len())));
        }
        let rest = &cached.bytes.as_ref()[request.offset..];
        let chunk = &rest[..rest.len().min(PIECE_BYTES)];
        let next = request.offset + chunk.len();
        Ok(SnapshotReply {
            sequence: cached.sequence,
            vector: cached.vector.clone(),
            state_hash: cached.state_hash.clone(),
            sha256: cached.sha256.clone(),
            size_bytes: cached.bytes.len(),
            offset: request.offset,
            chunk: chunk.to_vec().into(),
            next_offset: (next < cached.bytes.len()).then_some(next),
        })
    }

    pub(super) fn conflict_page(&self, request: &ConflictsRequest) -> Result<ConflictPage, Fault> {
        let object = self.object(&request.plan_id)?;
        let mut all = nouns::conflicts_of(&object.document);
        let semantic = object.conflicts.values().filter(|c| c.kind == ConflictKind::Semantic);
        all.extend(semantic.filter(|c| !object.document.is_settled(&c.id)).cloned());
        let open = all.len();
        let limit = request.limit.unwrap_or(100);
        let mut wanted: Vec<Conflict> = all
            .into_iter()
            .filter(|conflict| request.kind.is_none_or(|kind| kind == conflict.kind))
            .filter(|conflict| request.after.as_ref().is_none_or(|after| conflict.id > *after))
            .collect();
        wanted.sort_by(|a, b| a.id.cmp(&b.id));
        let more = wanted.len() > limit;
        wanted.truncate(limit);
        let next_after = wanted.last().filter(|_| more).map(|conflict| conflict.id.clone());
        Ok(ConflictPage { conflicts: wanted, open, next_after })
    }

    /// Looks for conflicts of the objects that are due, and drafts what is new and what is over.
    pub(super) fn look_for_conflicts(&mut self, now: Timestamp, limit: usize) {
        for _ in 0..limit {
            let Some((at, id)) = self.checks.pop_first() else { return };
            if at > now {
                self.checks.insert((at, id));
                return;
            }
            let Some(object) = self.objects.get_mut(&id) else { continue };
            object.check_at = None;
            let found = nouns::conflicts_of(&object.document);
            let ids: BTreeSet<&Name> = found.iter().map(|conflict| &conflict.id).collect();
            let is_over = |conflict: &&Conflict| match conflict.kind {
                ConflictKind::Semantic => object.document.is_settled(&conflict.id),
                _ => !ids.contains(&conflict.id),
            };
            let over = object.conflicts.values().filter(is_over);
            let closed: Vec<Name> = over.map(|conflict| conflict.id.clone()).collect();
            self.draft_conflicts(&id, News { opened: found, closed }, now);
            self.purge(&id, now);
        }
    }

    /// Items that say the same: what was found outside replaces what was known.
    pub(super) fn found_alike(
        &mut self,
        id: &ObjectId,
        found: Vec<Conflict>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let object = self.object(id)?;
        let ids: BTreeSet<&Name> = found.iter().map(|conflict| &conflict.id).collect();
        let known = object.conflicts.values().filter(|c| c.kind == ConflictKind::Semantic);
        let over = known.filter(|conflict| !ids.contains(&conflict.id));
        let closed: Vec<Name> = over.map(|conflict| conflict.id.clone()).collect();
        let document = &object.document;
        let opened = found.into_iter().filter(|c| !document.is_settled(&c.id)).collect();
        self.draft_conflicts(id, News { opened, closed }, now);
        Ok(())
    }

    pub(super) fn value(&self, id: &ObjectId) -> Result<ObjectReply, Fault> {
        let object = self.object(id)?;
        Ok(ObjectReply {
            object_id: id.clone(),
            kind: object.kind,
            value: nouns::value_of(&object.document),
            sequence: object.sequence,
            version: object.document.vector(),
        })
    }

    pub(super) fn statistics(&self) -> PlanStatistics {
        let mut stats = PlanStatistics {
            batches: self.totals.batches,
            unarchived_batches: self.unarchived(),
            archive_error: self.archive_error.clone(),
            open_conflicts: self.open_conflicts(),
            forks: self.totals.forks,
            divergences: self.totals.divergences,
            dispatched_items: self.links.len(),
            ..PlanStatistics::default()
        };
        for object in self.objects.values() {
            if object.kind == ObjectKind::Plan {
                stats.plans += usize::from(!object.document.is_deleted());
                stats.items += object.document.entities();
            } else {
                stats.objects += 1;
            }
            stats.retained_batches += object.kept.len();
            stats.retained_bytes += object.kept_bytes;
            stats.state_bytes += object.document.bytes();
        }
        stats
    }
}

/// The snapshot that a request means: one that is here, or a new one where none is named.
fn cached(object: &mut Object, through: Option<u64>) -> Result<&Cached, Fault> {
    let known = object.cached.as_ref();
    let fits = match through {
        Some(through) => known.is_some_and(|known| known.sequence == through),
        None => known.is_some_and(|known| object.sequence - known.sequence <= MAX_TAIL_BATCHES),
    };
    if !fits && through.is_some() {
        let why = "this snapshot is gone: begin again, without `through`";
        return Err(Fault::new(Code::Conflict, why));
    }
    if !fits {
        let bytes = object.document.encode();
        object.cached = Some(Cached {
            sequence: object.sequence,
            vector: object.document.vector(),
            state_hash: object.document.hash().to_string(),
            sha256: hex(&Sha256::digest(&bytes)),
            bytes: Bytes64::from(bytes),
        });
    }
    object.cached.as_ref().ok_or_else(|| Fault::new(Code::Internal, "no snapshot"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Adds the counts of one shard to those of others.
pub fn add_statistics(total: &mut PlanStatistics, part: PlanStatistics) {
    total.plans += part.plans;
    total.objects += part.objects;
    total.items += part.items;
    total.batches += part.batches;
    total.retained_batches += part.retained_batches;
    total.retained_bytes += part.retained_bytes;
    total.state_bytes += part.state_bytes;
    total.unarchived_batches += part.unarchived_batches;
    total.archive_error = total.archive_error.take().or(part.archive_error);
    total.open_conflicts += part.open_conflicts;
    total.forks += part.forks;
    total.divergences += part.divergences;
    total.dispatched_items += part.dispatched_items;
}
