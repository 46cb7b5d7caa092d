//! Folding records into the state. Nothing is decided here, so that a replay gives the same state.

use troupe_domain::Timestamp;
use troupe_domain::memory::{MemoryId, MemoryStatus, MemoryTier, Namespace, Retraction};

use super::entry::{ColdPlace, Entry, sha256_of};
use super::notice;
use super::record::{Archived, Created, Deleted, Record, Telling, Updated, What};
use super::space::{Quota, Space};
use super::state::MemoryState;
use super::tombstone::Tombstone;
use troupe_segments::SegmentId;

impl MemoryState {
    /// Folds a record into the state, with the notices that follow from it.
    pub(super) fn apply_record(&mut self, record: &Record) {
        let at = record.at;
        match (&record.namespace, &record.what) {
            (_, What::Told { number }) => _ = self.tellings.remove(number),
            (_, What::Model { model }) => self.take_model(model),
            (_, What::Read { reads }) => self.take_reads(reads),
            (_, What::Heard(heard)) => self.heard = Some(*heard),
            (_, What::Outcomes { outcomes }) => self.tracks.count(outcomes, at),
            (Some(namespace), what) => {
                let space = self.spaces.entry(namespace.clone()).or_default();
                space.updated_at = Some(at);
                self.apply_in(namespace, what, at);
                if self.spaces.get(namespace).is_some_and(Space::is_empty) {
                    self.spaces.remove(namespace);
                }
            }
            (None, _) => {}
        }
    }

    fn apply_in(&mut self, namespace: &Namespace, what: &What, at: Timestamp) {
        match what {
            What::Created(created) => self.created(namespace, created, at),
            What::Said { id, .. } => {
                self.change(namespace, id, |entry| entry.memory.duplicates += 1);
            }
            What::Updated(updated) => self.updated(namespace, updated, at),
            What::Linked { id, of } => {
                self.change(namespace, id, |entry| entry.memory.duplicate_of = Some(of.clone()));
                self.change(namespace, of, |entry| entry.memory.duplicates += 1);
            }
            What::Conflicted { id, against } => self.conflicted(namespace, id, against, at),
            What::Retracted { root, by, reason, ids, readers } => {
                let retraction =
                    Retraction { root: root.clone(), by: by.clone(), at, reason: reason.clone() };
                self.retracted_all(namespace, ids, readers, &retraction);
            }
            What::Verified { id, by, trust_level, reason } => {
                self.change(namespace, id, |entry| {
                    entry.memory.trust_level = *trust_level;
                    entry.memory.verified_by = Some(by.clone());
                    entry.memory.updated_at = at;
                    entry.memory.revision += 1;
                });
                self.tell(namespace, id, |entry| {
                    notice::verified(entry, by, reason.as_deref(), at)
                });
            }
            What::Embedded { vectors } => {
                for one in vectors {
                    self.change_quietly(namespace, &one.id, |entry| {
                        if entry.sha256 == one.sha256 {
                            entry.vector = Some(one.vector.clone());
                        }
                    });
                }
            }
            What::Deleted(deleted) => self.deleted(namespace, deleted, at),
            What::Gone { id, tier } => {
                let Some(space) = self.spaces.get_mut(namespace) else { return };
                space.rebury(id, |tombstone| match tier.as_str() {
                    "hot" => tombstone.hot = Some(at),
                    "cold" => tombstone.cold = Some(at),
                    _ => tombstone.log = Some(at),
                });
            }
            What::Expired { ids } => {
                for id in ids {
                    self.tell(namespace, id, |entry| notice::expired(entry, at));
                    self.take(namespace, id);
                }
            }
            What::Quota { max_entries, max_bytes } => {
                if let Some(space) = self.spaces.get_mut(namespace) {
                    space.quota = Quota { max_entries: *max_entries, max_bytes: *max_bytes };
                }
            }
            _ => self.apply_tier(namespace, what, at),
        }
    }

    /// What moved between tiers, or was found there.
    fn apply_tier(&mut self, namespace: &Namespace, what: &What, at: Timestamp) {
        match what {
            What::Moved { ids, tier } => {
                for id in ids {
                    self.change(namespace, id, |entry| entry.memory.tier = *tier);
                    self.tell(namespace, id, |entry| notice::moved(entry, at));
                }
            }
            What::Archived { entries } => self.archived(namespace, entries, at),
            What::Warmed { id, content } => self.warmed(namespace, id, content, at),
            What::Rewritten { former, also, places } => {
                let is_former = |segment| segment == *former || also.contains(&segment);
                self.moved_places(namespace, is_former, places);
            }
            What::Erased { segment } => self.erased(namespace, *segment),
            What::Damaged { ids, reason } => {
                for id in ids {
                    self.change(namespace, id, |entry| entry.damaged = true);
                    self.tell(namespace, id, |entry| notice::damaged(entry, reason, at));
                }
            }
            _ => {}
        }
    }

    /// Changes an entry, and remembers that its copy in the hot tier may be another.
    fn change(&mut self, namespace: &Namespace, id: &MemoryId, change: impl FnOnce(&mut Entry)) {
        let was = self.change_quietly(namespace, id, change);
        if let Some(was) = was {
            self.touch(namespace, id, was);
        }
    }

    fn change_quietly(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        change: impl FnOnce(&mut Entry),
    ) -> Option<MemoryTier> {
        self.spaces.get_mut(namespace)?.change(id, |entry| {
            let was = entry.memory.tier;
            change(entry);
            was
        })
    }

    fn tell(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        notice: impl FnOnce(&Entry) -> troupe_shard::Notice,
    ) {
        if let Some(entry) = self.spaces.get(namespace).and_then(|space| space.get(id)) {
            self.drafts.notices.push(notice(entry));
        }
    }

    fn created(&mut self, namespace: &Namespace, created: &Created, at: Timestamp) {
        let entry = Entry::new(created.memory.clone(), created.previous.clone());
        let id = entry.memory.id.clone();
        if let Some(expires_at) = entry.memory.expires_at {
            self.expiries.insert((expires_at, namespace.clone(), id.clone()));
        }
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        space.put(entry.into());
        self.touch(namespace, &id, MemoryTier::Warm);
        self.tell(namespace, &id, |entry| notice::created(entry, at));
        if !created.memory.quarantine.is_empty() {
            self.tell(namespace, &id, |entry| notice::quarantined(entry, at));
        }
        if let Some(earlier) = &created.supersedes {
            if let Some(space) = self.spaces.get_mut(namespace) {
                space.settle(earlier);
            }
            self.change(namespace, earlier, |entry| {
                entry.memory.status = MemoryStatus::Superseded;
                entry.memory.superseded_by = Some(id.clone());
                entry.memory.updated_at = at;
                entry.memory.revision += 1;
            });
            let by = &created.memory.provenance.author;
            self.tell(namespace, earlier, |entry| notice::superseded(entry, by, at));
        }
    }

    fn updated(&mut self, namespace: &Namespace, updated: &Updated, at: Timestamp) {
        let id = &updated.id;
        if updated.content.is_some()
            && let Some(space) = self.spaces.get_mut(namespace)
        {
            space.settle(id);
        }
        let mut expiry = (None, None);
        self.change(namespace, id, |entry| {
            expiry = (entry.memory.expires_at, updated.expires_at);
            if let Some(content) = &updated.content {
                entry.sha256 = sha256_of(content);
                entry.content_bytes = content.len();
                entry.vector = None;
                entry.place = None;
                entry.damaged = false;
                let memory = &mut entry.memory;
                if memory.tier == MemoryTier::Cold {
                    memory.tier = MemoryTier::Warm;
                }
                if memory.status == MemoryStatus::Conflicted {
                    memory.status = MemoryStatus::Active;
                }
                memory.content = Some(content.clone());
                memory.quarantine.clone_from(&updated.quarantine);
                memory.trust_level = updated.trust_level;
                memory.verified_by = None;
                memory.duplicate_of = None;
            }
            let memory = &mut entry.memory;
            memory.importance = updated.importance.unwrap_or(memory.importance);
            if let Some(tags) = &updated.tags {
                memory.tags.clone_from(tags);
            }
            memory.expires_at = updated.expires_at.or(memory.expires_at);
            memory.updated_at = at;
            memory.revision += 1;
        });
        if let (was, Some(expires_at)) = expiry {
            if let Some(was) = was {
                self.expiries.remove(&(was, namespace.clone(), id.clone()));
            }
            self.expiries.insert((expires_at, namespace.clone(), id.clone()));
        }
        self.tell(namespace, id, |entry| notice::updated(entry, &updated.by, at));
        if !updated.quarantine.is_empty() {
            self.tell(namespace, id, |entry| notice::quarantined(entry, at));
        }
    }

    fn conflicted(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        against: &MemoryId,
        at: Timestamp,
    ) {
        for (one, other) in [(id, against), (against, id)] {
            self.change(namespace, one, |entry| {
                entry.memory.conflicts_with.push(other.clone());
                entry.memory.status = MemoryStatus::Conflicted;
            });
        }
        self.tell(namespace, id, |entry| notice::conflicted(entry, at));
    }

    fn retracted_all(
        &mut self,
        namespace: &Namespace,
        ids: &[MemoryId],
        readers: &[troupe_domain::AgentId],
        retraction: &Retraction,
    ) {
        for id in ids {
            if let Some(space) = self.spaces.get_mut(namespace) {
                space.settle(id);
            }
            self.change(namespace, id, |entry| {
                entry.memory.status = MemoryStatus::Retracted;
                entry.memory.retraction = Some(retraction.clone());
                entry.memory.updated_at = retraction.at;
                entry.memory.revision += 1;
            });
        }
        let others: Vec<MemoryId> =
            ids.iter().filter(|id| **id != retraction.root).cloned().collect();
        self.tell(namespace, &retraction.root, |entry| {
            notice::retracted(entry, retraction, &others, readers)
        });
        for reader in readers {
            self.told += 1;
            let telling = Telling {
                number: self.told,
                reader: reader.clone(),
                namespace: namespace.clone(),
                root: retraction.root.clone(),
                by: retraction.by.clone(),
                reason: retraction.reason.clone(),
                at: retraction.at,
                affected: ids.len(),
            };
            self.tellings.insert(self.told, telling);
        }
    }

    fn archived(&mut self, namespace: &Namespace, entries: &[Archived], at: Timestamp) {
        for one in entries {
            self.change(namespace, &one.id, |entry| {
                entry.memory.tier = MemoryTier::Cold;
                entry.memory.content = None;
                entry.place = Some(one.place);
                entry.damaged = false;
                if !entry.copies.contains(&one.place.segment) {
                    entry.copies.push(one.place.segment);
                }
            });
            self.tell(namespace, &one.id, |entry| notice::moved(entry, at));
        }
    }

    fn warmed(&mut self, namespace: &Namespace, id: &MemoryId, content: &str, at: Timestamp) {
        let mut was_damaged = false;
        self.change(namespace, id, |entry| {
            was_damaged = std::mem::take(&mut entry.damaged);
            entry.memory.content = Some(content.to_owned());
            entry.memory.tier = MemoryTier::Warm;
            entry.place = None;
        });
        let notice = if was_damaged { notice::recovered } else { notice::moved };
        self.tell(namespace, id, |entry| notice(entry, at));
    }

    /// What was kept of segments is in another one.
    fn moved_places(
        &mut self,
        namespace: &Namespace,
        is_former: impl Fn(SegmentId) -> bool,
        places: &[(MemoryId, ColdPlace)],
    ) {
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        for (id, place) in places {
            space.change(id, |entry| {
                if entry.place.is_some_and(|place| is_former(place.segment)) {
                    entry.place = Some(*place);
                }
                // Whether or not it counts, it is there.
                if !entry.copies.contains(&place.segment) {
                    entry.copies.push(place.segment);
                }
            });
        }
        // Something was deleted while the segment was written: it is in the new one too.
        let also: Vec<(MemoryId, SegmentId)> = places
            .iter()
            .filter(|(id, _)| space.tombstone(id).is_some_and(|t| !t.is_complete()))
            .map(|(id, place)| (id.clone(), place.segment))
            .collect();
        for (id, segment) in also {
            space.rebury(&id, |tombstone| {
                if !tombstone.copies.contains(&segment) {
                    tombstone.copies.push(segment);
                }
                tombstone.cold = None;
            });
        }
    }

    /// A segment is gone: nothing has a copy there any more.
    fn erased(&mut self, namespace: &Namespace, segment: SegmentId) {
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        let ids: Vec<MemoryId> = space
            .entries()
            .filter(|entry| entry.copies.contains(&segment))
            .map(|entry| entry.memory.id.clone())
            .collect();
        for id in ids {
            space.change(&id, |entry| entry.copies.retain(|copy| *copy != segment));
        }
        let buried: Vec<MemoryId> = space
            .pending_tombstones()
            .filter(|(_, tombstone)| tombstone.copies.contains(&segment))
            .map(|(id, _)| id.clone())
            .collect();
        for id in buried {
            space.rebury(&id, |tombstone| tombstone.copies.retain(|copy| *copy != segment));
        }
    }

    fn deleted(&mut self, namespace: &Namespace, deleted: &Deleted, at: Timestamp) {
        let Deleted { id, by, reason, salt, digest, copies } = deleted;
        self.tell(namespace, id, |entry| notice::deleted(entry, by, reason.as_deref(), at));
        self.take(namespace, id);
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        let tombstone = Tombstone {
            by: by.clone(),
            at,
            reason: reason.clone(),
            salt: salt.clone(),
            digest: digest.clone(),
            copies: copies.clone(),
            hot: None,
            cold: None,
            log: None,
        };
        space.bury(id.clone(), tombstone);
        self.hot_dirty.insert((namespace.clone(), id.clone()));
    }

    /// Takes an entry out of everything here.
    fn take(&mut self, namespace: &Namespace, id: &MemoryId) {
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        space.settle(id);
        let Some(entry) = space.take(id) else { return };
        if let Some(expires_at) = entry.memory.expires_at {
            self.expiries.remove(&(expires_at, namespace.clone(), id.clone()));
        }
        self.unflushed.remove(&(namespace.clone(), id.clone()));
        if entry.memory.tier == MemoryTier::Hot {
            self.hot_dirty.insert((namespace.clone(), id.clone()));
        }
    }

    fn take_model(&mut self, model: &str) {
        self.model = Some(model.to_owned());
        for space in self.spaces.values_mut() {
            let with: Vec<MemoryId> = space
                .entries()
                .filter(|entry| entry.vector.is_some())
                .map(|entry| entry.memory.id.clone())
                .collect();
            for id in with {
                space.change(&id, |entry| entry.vector = None);
            }
        }
    }

    fn take_reads(&mut self, reads: &[super::record::Reads]) {
        for one in reads {
            let Some(space) = self.spaces.get_mut(&one.namespace) else { continue };
            space.change(&one.id, |entry| {
                for (by, at) in &one.reads {
                    entry.read(by, *at);
                }
                for to in &one.shown {
                    entry.shown(to);
                }
                entry.memory.access_count += one.more.unwrap_or(0);
            });
        }
    }
}
