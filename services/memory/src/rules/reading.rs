//! Reading: one entry, pages, conflicts, counts. A read is counted in memory, and written down from
//! time to time.

use std::collections::BTreeMap;

use troupe_contract::memory::{
    ListMemoriesRequest, MemoryConflict, MemoryConflictPage, MemoryConflictsRequest,
    MemoryStatistics, NamespaceInfo,
};
use troupe_domain::memory::{MemoryId, MemoryStatus, MemoryTier, Namespace, TrustLevel};
use troupe_domain::{AgentId, Fault, Timestamp};

use super::entry::Entry;
use super::record::{Reads, Record, What};
use super::request::{Found, MemoryAnswer};
use super::state::{Key, MemoryState, Unflushed};

/// Reads of one entry that are written down one by one.
const MAX_UNFLUSHED_READS: usize = 64;
/// Entries whose reads are written down in one record.
const MAX_FLUSHED: usize = 4_096;

impl MemoryState {
    /// Reads one entry, for somebody or for nobody.
    pub(super) fn get(
        &mut self,
        namespace: Option<&Namespace>,
        id: &MemoryId,
        reader: Option<&AgentId>,
        now: Timestamp,
    ) -> Result<Found, Fault> {
        let namespace = match namespace {
            Some(namespace) => namespace.clone(),
            None => self.find(id).ok_or_else(|| Fault::not_found("memory", id))?,
        };
        self.entry(&namespace, id)?;
        if let Some(reader) = reader {
            self.read(&namespace, id, reader, now);
        }
        let entry = self.entry(&namespace, id)?;
        Ok(self.found(entry, now))
    }

    /// In which namespace an entry is, or was.
    pub(super) fn find(&self, id: &MemoryId) -> Option<Namespace> {
        let has =
            |space: &super::space::Space| (space.get(id).is_some(), space.tombstone(id).is_some());
        let mut spaces = self.spaces.iter().map(|(name, space)| (name, has(space)));
        let by_default = Namespace::default();
        if let Some((_, (true, _))) = spaces.clone().find(|(name, _)| **name == by_default) {
            return Some(by_default);
        }
        let living = spaces.clone().find(|(_, (lives, _))| *lives);
        living.or_else(|| spaces.find(|(_, (_, dead))| *dead)).map(|(name, _)| name.clone())
    }

    pub(super) fn found(&self, entry: &Entry, now: Timestamp) -> Found {
        Found {
            memory: entry.seen(now, &self.settings),
            sha256: entry.sha256.clone(),
            place: entry.place,
        }
    }

    fn read(&mut self, namespace: &Namespace, id: &MemoryId, by: &AgentId, now: Timestamp) {
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        space.change(id, |entry| entry.read(by, now));
        let reads: &mut Unflushed =
            self.unflushed.entry((namespace.clone(), id.clone())).or_default();
        if reads.reads.len() < MAX_UNFLUSHED_READS {
            reads.reads.push((by.clone(), now));
        } else {
            reads.more += 1;
        }
        let due = now.plus_millis(self.settings.read_flush_ms);
        self.flush_at.get_or_insert(due);
    }

    /// A search showed entries to somebody: who sees a content has read it, as far as a retraction is
    /// concerned. It does not count for rank or tier, or a page would change the order of the next.
    pub(super) fn show(
        &mut self,
        namespace: &Namespace,
        ids: &[MemoryId],
        to: &AgentId,
        now: Timestamp,
    ) {
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        for id in ids {
            if space.get(id).is_none_or(|entry| entry.readers.contains(to)) {
                continue;
            }
            if space.change(id, |entry| entry.shown(to)) == Some(true) {
                let reads = self.unflushed.entry((namespace.clone(), id.clone())).or_default();
                reads.shown.push(to.clone());
                let due = now.plus_millis(self.settings.read_flush_ms);
                self.flush_at.get_or_insert(due);
            }
        }
    }

    /// Writes down what was read. It counts already: nothing is applied.
    pub(super) fn flush_reads(&mut self, now: Timestamp) {
        self.flush_at = None;
        let mut reads: Vec<Reads> = Vec::with_capacity(self.unflushed.len());
        for ((namespace, id), unflushed) in self.unflushed.drain() {
            let more = (unflushed.more > 0).then_some(unflushed.more);
            let Unflushed { reads: read, shown, .. } = unflushed;
            reads.push(Reads { namespace, id, reads: read, shown, more });
        }
        reads.sort_by(|one, other| (&one.namespace, &one.id).cmp(&(&other.namespace, &other.id)));
        for some in reads.chunks(MAX_FLUSHED) {
            let what = What::Read { reads: some.to_vec() };
            self.drafts.records.push(Record { notices: 0, namespace: None, at: now, what });
        }
    }

    /// Lists entries of a namespace.
    pub(super) fn list(
        &self,
        request: &ListMemoriesRequest,
        limit: usize,
        max_bytes: usize,
        now: Timestamp,
    ) -> MemoryAnswer {
        let namespace = request.namespace.clone().unwrap_or_default();
        let Some(space) = self.space(&namespace) else {
            return MemoryAnswer::Page { entries: Vec::new(), next_after: None };
        };
        let (mut entries, mut bytes): (Vec<Found>, usize) = (Vec::new(), 0);
        for entry in space.after(request.after.as_ref()) {
            let memory = &entry.memory;
            let any = |empty: bool, contains: bool| empty || contains;
            let status = entry.status(now, &self.settings);
            let passes = any(request.types.is_empty(), request.types.contains(&memory.memory_type))
                && any(request.statuses.is_empty(), request.statuses.contains(&status))
                && any(
                    request.trust_levels.is_empty(),
                    request.trust_levels.contains(&memory.trust_level),
                )
                && request.tags.iter().all(|tag| memory.tags.contains(tag));
            if !passes {
                continue;
            }
            bytes += entry.content_bytes;
            if entries.len() >= limit || (bytes > max_bytes && !entries.is_empty()) {
                let next_after = entries.last().map(|last| last.memory.id.clone());
                return MemoryAnswer::Page { entries, next_after };
            }
            entries.push(self.found(entry, now));
        }
        MemoryAnswer::Page { entries, next_after: None }
    }

    /// Lists entries that say the opposite of others.
    pub(super) fn conflicts(
        &self,
        request: &MemoryConflictsRequest,
        limit: usize,
        now: Timestamp,
    ) -> MemoryConflictPage {
        let namespace = request.namespace.clone().unwrap_or_default();
        let mut conflicts = Vec::new();
        let mut more = false;
        if let Some(space) = self.space(&namespace) {
            for entry in space.conflicted_after(request.after.as_ref()) {
                if conflicts.len() >= limit {
                    more = true;
                    break;
                }
                let memory = entry.seen(now, &self.settings);
                let against = memory.conflicts_with.clone();
                conflicts.push(MemoryConflict { memory, against });
            }
        }
        let last = conflicts.last().map(|last: &MemoryConflict| last.memory.id.clone());
        MemoryConflictPage { conflicts, next_after: last.filter(|_| more) }
    }

    /// The namespaces.
    pub(super) fn namespaces(&self) -> Vec<NamespaceInfo> {
        let info = |(name, space): (&Namespace, &super::space::Space)| NamespaceInfo {
            namespace: name.clone(),
            entries: space.len() as u64,
            bytes: space.bytes().0 as u64,
            max_entries: space.quota.max_entries.unwrap_or(self.settings.max_entries_per_namespace),
            max_bytes: space.quota.max_bytes.unwrap_or(self.settings.max_bytes_per_namespace),
            updated_at: space.updated_at,
        };
        self.spaces.iter().map(info).collect()
    }

    /// Counts.
    pub(super) fn statistics(&self, now: Timestamp) -> MemoryStatistics {
        let (content_bytes, resident_bytes) = self.bytes();
        let mut counts = MemoryStatistics {
            entries: self.entry_count() as u64,
            content_bytes: content_bytes as u64,
            resident_bytes: resident_bytes as u64,
            index_bytes: self.index_bytes() as u64,
            namespaces: self.space_count() as u64,
            without_vector: self.unembedded_count() as u64,
            pending_deletions: self.pending_deletions() as u64,
            heard_through: self.heard.map_or(0, |heard| heard.sequence),
            ..MemoryStatistics::default()
        };
        let mut segments = std::collections::BTreeSet::new();
        let count = |counts: &mut BTreeMap<String, u64>, name: &str| {
            if let Some(count) = counts.get_mut(name) {
                *count += 1;
            } else {
                counts.insert(name.to_owned(), 1);
            }
        };
        for entry in self.spaces.values().flat_map(super::space::Space::entries) {
            count(&mut counts.by_tier, entry.memory.tier.as_str());
            count(&mut counts.by_type, entry.memory.memory_type.as_str());
            count(&mut counts.by_status, entry.status(now, &self.settings).as_str());
            count(&mut counts.by_trust, entry.memory.trust_level.as_str());
            counts.damaged += u64::from(entry.damaged);
            segments.extend(entry.copies.iter().copied());
        }
        counts.segments = segments.len() as u64;
        counts.unindexed =
            self.spaces.values().map(super::space::Space::unindexed_count).sum::<usize>() as u64;
        counts
    }

    /// Whether copies in the hot tier may be other than they should be.
    pub fn has_hot_changes(&self) -> bool {
        !self.hot_dirty.is_empty()
    }

    /// Takes the first of them; whoever takes them writes them, or gives them back.
    pub fn take_hot_changes(&mut self, limit: usize) -> Vec<Key> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(key) = self.hot_dirty.pop_first()
        {
            taken.push(key);
        }
        taken
    }

    /// They could not be written.
    pub fn hot_again(&mut self, keys: Vec<Key>) {
        self.hot_dirty.extend(keys);
    }

    /// What the hot tier should have of some entries: nothing of one that is not hot.
    pub fn hot_changes(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Vec<(Namespace, MemoryId, Option<Found>)> {
        let change = |(namespace, id): &Key| {
            let entry = self.space(namespace).and_then(|space| space.get(id));
            let is_hot = |entry: &&std::sync::Arc<Entry>| {
                entry.memory.tier == MemoryTier::Hot
                    && entry.memory.status != MemoryStatus::Retracted
                    && entry.memory.trust_level != TrustLevel::Quarantined
            };
            let found = entry.filter(is_hot).map(|entry| self.found(entry, now));
            (namespace.clone(), id.clone(), found)
        };
        keys.iter().map(change).collect()
    }
}
