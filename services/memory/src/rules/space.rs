//! One namespace: its entries, what finds them, and what is left of those that are gone.
//!
//! Invariant: every index and sum follows from the entries through [`Space::put`], [`Space::take`] and
//! [`Space::change`] alone, so that what is taken out leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use troupe_domain::Timestamp;
use troupe_domain::memory::{Memory, MemoryId, MemoryStatus, MemoryTier, MemoryType};
use troupe_recall::{Index, Words};

use super::entry::Entry;
use super::tombstone::{MAX_TOMBSTONES, Tombstone};

/// How much a namespace may hold, where somebody said so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Quota {
    /// Entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u64>,
    /// Bytes of contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// One namespace.
#[derive(Debug)]
pub struct Space {
    slots: Vec<Option<Arc<Entry>>>,
    free: Vec<u32>,
    by_id: BTreeMap<MemoryId, u32>,
    /// What counts, by type and content: who says the same again finds it.
    by_content: HashMap<(MemoryType, String), u32>,
    /// What derives from an entry.
    children: HashMap<MemoryId, BTreeSet<MemoryId>>,
    /// The newest of each session, task or author.
    newest: HashMap<String, MemoryId>,
    conflicted: BTreeSet<MemoryId>,
    hot: BTreeSet<MemoryId>,
    /// Entries whose vector is to be made.
    unembedded: BTreeSet<MemoryId>,
    /// Entries of the cold tier whose words are not in the index, after a takeover.
    unindexed: BTreeSet<MemoryId>,
    /// Entries whose copy is damaged, and whose content was not looked for in the log by this owner.
    lost: BTreeSet<MemoryId>,
    tombstones: BTreeMap<MemoryId, Tombstone>,
    complete_tombstones: BTreeSet<(Timestamp, MemoryId)>,
    pending_tombstones: BTreeSet<MemoryId>,
    pub(super) quota: Quota,
    pub(super) updated_at: Option<Timestamp>,
    pub(super) index: Index<u32>,
    content_bytes: usize,
    resident_bytes: usize,
    cold: usize,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: BTreeMap::new(),
            by_content: HashMap::new(),
            children: HashMap::new(),
            newest: HashMap::new(),
            conflicted: BTreeSet::new(),
            hot: BTreeSet::new(),
            unembedded: BTreeSet::new(),
            unindexed: BTreeSet::new(),
            lost: BTreeSet::new(),
            tombstones: BTreeMap::new(),
            complete_tombstones: BTreeSet::new(),
            pending_tombstones: BTreeSet::new(),
            quota: Quota::default(),
            updated_at: None,
            index: Index::new(troupe_recall::Settings::default()),
            content_bytes: 0,
            resident_bytes: 0,
            cold: 0,
        }
    }
}

impl Space {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing is there, and nothing is left of anything.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.tombstones.is_empty() && self.quota == Quota::default()
    }

    /// Bytes of all contents, and of those in memory.
    pub fn bytes(&self) -> (usize, usize) {
        (self.content_bytes, self.resident_bytes)
    }

    /// Entries of the cold tier.
    pub fn cold_count(&self) -> usize {
        self.cold
    }

    /// How many entries of the cold tier have no words in the index.
    pub fn unindexed_count(&self) -> usize {
        self.unindexed.len()
    }

    /// Entries of the cold tier whose words are not in the index.
    pub fn unindexed(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.unindexed.iter().filter_map(|id| self.get(id))
    }

    /// Entries whose copy is damaged, and whose content was not looked for in the log.
    pub fn lost(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.lost.iter().filter_map(|id| self.get(id))
    }

    /// The content of an entry was looked for in the log, and is not there.
    pub fn looked_for(&mut self, id: &MemoryId) {
        self.lost.remove(id);
    }

    /// One entry.
    pub fn get(&self, id: &MemoryId) -> Option<&Arc<Entry>> {
        self.at(*self.by_id.get(id)?)
    }

    /// The entry in a slot.
    pub fn at(&self, slot: u32) -> Option<&Arc<Entry>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The slot of an entry.
    pub fn slot(&self, id: &MemoryId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Entries in the order of their ids, after one.
    pub fn after<'a>(&'a self, id: Option<&MemoryId>) -> impl Iterator<Item = &'a Arc<Entry>> {
        let from =
            id.map_or(std::ops::Bound::Unbounded, |id| std::ops::Bound::Excluded(id.clone()));
        let slots = self.by_id.range((from, std::ops::Bound::Unbounded));
        slots.filter_map(|(_, slot)| self.at(*slot))
    }

    /// What counts and says exactly this.
    pub fn same(&self, kind: MemoryType, sha256: &str) -> Option<&Arc<Entry>> {
        self.at(*self.by_content.get(&(kind, sha256.to_owned()))?)
    }

    /// The newest of the session, task or author that an entry belongs to.
    pub fn previous(&self, memory: &Memory) -> Option<&MemoryId> {
        self.newest.get(&line_of(memory))
    }

    /// An entry and everything that derives from it, nearest first.
    pub fn derived(&self, root: &MemoryId) -> Vec<MemoryId> {
        let mut found = vec![root.clone()];
        let mut seen: BTreeSet<MemoryId> = found.iter().cloned().collect();
        let mut next = 0;
        while let Some(id) = found.get(next).cloned() {
            next += 1;
            for child in self.children.get(&id).into_iter().flatten() {
                if seen.insert(child.clone()) {
                    found.push(child.clone());
                }
            }
        }
        found
    }

    /// Entries that say the opposite of others, in the order of their ids.
    pub fn conflicted_after<'a>(
        &'a self,
        id: Option<&MemoryId>,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let from =
            id.map_or(std::ops::Bound::Unbounded, |id| std::ops::Bound::Excluded(id.clone()));
        let ids = self.conflicted.range((from, std::ops::Bound::Unbounded));
        ids.filter_map(|id| self.get(id))
    }

    /// Entries of the hot tier.
    pub fn hot(&self) -> &BTreeSet<MemoryId> {
        &self.hot
    }

    /// Entries whose vector is to be made.
    pub fn unembedded(&self) -> &BTreeSet<MemoryId> {
        &self.unembedded
    }

    /// The proof of a deletion.
    pub fn tombstone(&self, id: &MemoryId) -> Option<&Tombstone> {
        self.tombstones.get(id)
    }

    /// Deletions that are not done in every tier.
    pub fn pending_tombstones(&self) -> impl Iterator<Item = (&MemoryId, &Tombstone)> {
        let ids = self.pending_tombstones.iter();
        ids.filter_map(|id| Some((id, self.tombstones.get(id)?)))
    }

    /// Every proof.
    pub fn tombstones(&self) -> &BTreeMap<MemoryId, Tombstone> {
        &self.tombstones
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_id.values().filter_map(|slot| self.at(*slot))
    }

    /// How many slots there are: a walk over all entries goes by them.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Takes an entry in that is not there.
    pub fn put(&mut self, entry: Arc<Entry>) {
        if self.by_id.contains_key(&entry.memory.id) {
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.by_id.insert(entry.memory.id.clone(), slot);
        for parent in &entry.memory.provenance.derived_from {
            self.children.entry(parent.clone()).or_default().insert(entry.memory.id.clone());
        }
        let line = line_of(&entry.memory);
        let newer = self
            .newest
            .get(&line)
            .and_then(|id| self.get(id))
            .is_none_or(|last| last.memory.created_at <= entry.memory.created_at);
        if newer {
            self.newest.insert(line, entry.memory.id.clone());
        }
        self.read_words(slot, &entry);
        self.read_vector(slot, &entry);
        self.enter(slot, &entry);
        if entry.damaged {
            self.lost.insert(entry.memory.id.clone());
        }
        self.slots[slot as usize] = Some(entry);
    }

    /// Takes an entry out: nothing of it is left.
    pub fn take(&mut self, id: &MemoryId) -> Option<Arc<Entry>> {
        let slot = self.by_id.remove(id)?;
        let entry = self.slots.get_mut(slot as usize)?.take()?;
        self.leave(slot, &entry);
        self.lost.remove(id);
        self.index.remove(slot);
        for parent in &entry.memory.provenance.derived_from {
            if let Some(children) = self.children.get_mut(parent) {
                children.remove(id);
                if children.is_empty() {
                    self.children.remove(parent);
                }
            }
        }
        let line = line_of(&entry.memory);
        if self.newest.get(&line) == Some(id) {
            self.newest.remove(&line);
        }
        self.free.push(slot);
        Some(entry)
    }

    /// Changes an entry in place.
    pub fn change<T>(&mut self, id: &MemoryId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let slot = *self.by_id.get(id)?;
        let mut entry = self.slots.get_mut(slot as usize)?.take()?;
        self.leave(slot, &entry);
        let words = (entry.sha256.clone(), entry.memory.tags.clone());
        let (had_vector, was_damaged) = (entry.vector.is_some(), entry.damaged);
        let result = change(Arc::make_mut(&mut entry));
        // What comes back from the cold tier may never have been read for its words.
        let is_other = (&words.0, &words.1) != (&entry.sha256, &entry.memory.tags);
        if is_other || !self.index.has_words(slot) {
            self.read_words(slot, &entry);
        }
        match (was_damaged, entry.damaged) {
            (false, true) => _ = self.lost.insert(id.clone()),
            (true, false) => _ = self.lost.remove(id),
            _ => {}
        }
        if had_vector != entry.vector.is_some() {
            self.read_vector(slot, &entry);
        }
        self.enter(slot, &entry);
        self.slots[slot as usize] = Some(entry);
        Some(result)
    }

    /// The words of an entry of the cold tier were read from its segment.
    pub fn reread(&mut self, id: &MemoryId, sha256: &str, content: &str) {
        let Some(slot) = self.slot(id) else { return };
        let Some(entry) = self.at(slot).filter(|entry| entry.sha256 == sha256).cloned() else {
            return;
        };
        self.put_words(slot, &entry, content);
        self.unindexed.remove(id);
    }

    fn read_words(&mut self, slot: u32, entry: &Entry) {
        if let Some(content) = entry.content() {
            self.put_words(slot, entry, content);
        }
    }

    fn read_vector(&mut self, slot: u32, entry: &Entry) {
        match &entry.vector {
            Some(vector) => {
                if let Err(fault) = self.index.set_vector(slot, vector) {
                    tracing::error!(%fault, id = %entry.memory.id, "a vector of the log does not fit");
                }
            }
            None => self.index.clear_vector(slot),
        }
    }

    fn put_words(&mut self, slot: u32, entry: &Entry, content: &str) {
        let tags = &entry.memory.tags;
        let with_tags;
        let text = if tags.is_empty() {
            content
        } else {
            with_tags = format!("{content}\n{}", tags.join(" "));
            &with_tags
        };
        let previous = entry.previous.as_ref().and_then(|id| self.slot(id));
        self.index.put(slot, Words { text, when: Some(entry.memory.created_at), previous });
    }

    fn enter(&mut self, slot: u32, entry: &Entry) {
        let id = &entry.memory.id;
        self.content_bytes += entry.content_bytes;
        self.resident_bytes += entry.resident_bytes();
        match entry.memory.tier {
            MemoryTier::Hot => _ = self.hot.insert(id.clone()),
            MemoryTier::Cold => self.cold += 1,
            MemoryTier::Warm => {}
        }
        if entry.memory.status == MemoryStatus::Conflicted {
            self.conflicted.insert(id.clone());
        }
        if entry.wants_vector() {
            self.unembedded.insert(id.clone());
        }
        if entry.place.is_some() && !self.index.has_words(slot) {
            self.unindexed.insert(id.clone());
        }
        if entry.counts() && entry.memory.memory_type != MemoryType::Working {
            let key = (entry.memory.memory_type, entry.sha256.clone());
            self.by_content.entry(key).or_insert(slot);
        }
    }

    fn leave(&mut self, slot: u32, entry: &Entry) {
        let id = &entry.memory.id;
        self.content_bytes -= entry.content_bytes;
        self.resident_bytes -= entry.resident_bytes();
        match entry.memory.tier {
            MemoryTier::Hot => _ = self.hot.remove(id),
            MemoryTier::Cold => self.cold -= 1,
            MemoryTier::Warm => {}
        }
        self.conflicted.remove(id);
        self.unembedded.remove(id);
        self.unindexed.remove(id);
        let key = (entry.memory.memory_type, entry.sha256.clone());
        if self.by_content.get(&key) == Some(&slot) {
            self.by_content.remove(&key);
        }
    }

    /// Keeps the proof of a deletion.
    pub fn bury(&mut self, id: MemoryId, tombstone: Tombstone) {
        if tombstone.is_complete() {
            self.pending_tombstones.remove(&id);
            self.complete_tombstones.insert((tombstone.at, id.clone()));
        } else {
            self.pending_tombstones.insert(id.clone());
        }
        self.tombstones.insert(id, tombstone);
        while self.tombstones.len() > MAX_TOMBSTONES {
            let Some((_, oldest)) = self.complete_tombstones.pop_first() else { return };
            self.tombstones.remove(&oldest);
        }
    }

    /// Changes a proof.
    pub fn rebury(&mut self, id: &MemoryId, change: impl FnOnce(&mut Tombstone)) {
        let Some(mut tombstone) = self.tombstones.remove(id) else { return };
        change(&mut tombstone);
        self.bury(id.clone(), tombstone);
    }

    /// An entry does not count any more: who contradicted it is contradicted by one less.
    pub fn settle(&mut self, id: &MemoryId) {
        let against = self.change(id, |entry| std::mem::take(&mut entry.memory.conflicts_with));
        for other in against.into_iter().flatten() {
            self.change(&other, |entry| {
                entry.memory.conflicts_with.retain(|one| one != id);
                if entry.memory.conflicts_with.is_empty()
                    && entry.memory.status == MemoryStatus::Conflicted
                {
                    entry.memory.status = MemoryStatus::Active;
                }
            });
        }
    }
}

/// What an entry continues: a session, a task, or what its author notes.
fn line_of(memory: &Memory) -> String {
    let from = &memory.provenance;
    match (&from.session_id, &from.task_id) {
        (Some(session), _) => format!("s:{session}"),
        (None, Some(task)) => format!("t:{task}"),
        (None, None) => format!("a:{}", from.author),
    }
}
