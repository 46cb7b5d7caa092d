//! The state of one shard: its namespaces, and what is to be done about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use troupe_domain::memory::{MemoryId, MemoryTier, Namespace};
use troupe_domain::{AgentId, Fault, Name, Timestamp};
use troupe_recall::NearSettings;
use troupe_shard::Drafts;

use super::history::Tracks;
use super::record::{Heard, Record, Telling, What};
use super::space::Space;

/// When entries move between tiers.
#[derive(Debug, Clone, PartialEq)]
pub struct TierRules {
    /// An entry is hot with so many reads
    pub hot_reads: usize,
    /// within so long,
    pub hot_window_ms: u64,
    /// and warm again when nobody reads it for so long.
    pub hot_idle_ms: u64,
    /// An entry is cold when it is so old
    pub cold_after_ms: u64,
    /// and less important than this.
    pub cold_below_importance: f64,
    /// What age leaves of a rank is half gone after so long.
    pub half_life_ms: u64,
    /// An entry of the cold tier is deleted when it was neither read nor changed for so long; never
    /// where nothing is said.
    pub keep_cold_ms: Option<u64>,
}

impl Default for TierRules {
    fn default() -> Self {
        Self {
            hot_reads: 3,
            hot_window_ms: 24 * 60 * 60 * 1000,
            hot_idle_ms: 60 * 60 * 1000,
            cold_after_ms: 7 * 24 * 60 * 60 * 1000,
            cold_below_importance: 0.5,
            half_life_ms: 30 * 24 * 60 * 60 * 1000,
            keep_cold_ms: None,
        }
    }
}

/// What a shard needs to know of itself. Limits are named as the configuration names them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its number.
    pub shard: u16,
    /// Entries of a namespace, where nobody said otherwise.
    pub max_entries_per_namespace: u64,
    /// Bytes of contents of a namespace, where nobody said otherwise.
    pub max_bytes_per_namespace: u64,
    /// Namespaces of the shard.
    pub max_namespaces: usize,
    /// Bytes of contents in memory, of the shard.
    pub max_resident_bytes: usize,
    /// Working memory deletes itself after so long, where nobody said otherwise.
    pub working_ttl_ms: u64,
    /// Counts of reads go to the log so often.
    pub read_flush_ms: u64,
    /// When entries move between tiers.
    pub tiers: TierRules,
    /// Whether there is a cold tier.
    pub has_cold: bool,
    /// When two entries say the same, or the opposite.
    pub near: NearSettings,
    /// Who may delete what others wrote, and set quotas.
    pub admins: Vec<Name>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shard: 0,
            max_entries_per_namespace: 200_000,
            max_bytes_per_namespace: 256 * 1024 * 1024,
            max_namespaces: 4_096,
            max_resident_bytes: 512 * 1024 * 1024,
            working_ttl_ms: 24 * 60 * 60 * 1000,
            read_flush_ms: 10_000,
            tiers: TierRules::default(),
            has_cold: false,
            near: NearSettings::default(),
            admins: Vec::new(),
        }
    }
}

/// Reads of one entry that the log does not know yet.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    pub(super) reads: Vec<(AgentId, Timestamp)>,
    pub(super) shown: Vec<AgentId>,
    pub(super) more: u64,
}

/// Where an entry is: its namespace and its id.
pub type Key = (Namespace, MemoryId);

/// The state of one shard.
#[derive(Debug)]
pub struct MemoryState {
    /// What it needs to know of itself.
    pub settings: Settings,
    pub(super) spaces: BTreeMap<Namespace, Space>,
    /// The digest of the model that made the vectors.
    pub(super) model: Option<String>,
    /// When entries delete themselves.
    pub(super) expiries: BTreeSet<(Timestamp, Namespace, MemoryId)>,
    /// Readers who are to be told of a retraction.
    pub(super) tellings: BTreeMap<u64, Telling>,
    pub(super) told: u64,
    /// How far the events were learned from.
    pub(super) heard: Option<Heard>,
    /// What agents achieved, counted from the same events.
    pub(super) tracks: Tracks,
    /// Reads that the log does not know yet. Those of the last moments before a crash are lost.
    pub(super) unflushed: HashMap<Key, Unflushed>,
    pub(super) flush_at: Option<Timestamp>,
    /// Entries whose copy in the hot tier is not as they are. It is not recorded: after a takeover it
    /// is all that are hot.
    pub(super) hot_dirty: BTreeSet<Key>,
    /// What was drafted.
    pub(crate) drafts: Drafts<Self>,
}

impl MemoryState {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            spaces: BTreeMap::new(),
            model: None,
            expiries: BTreeSet::new(),
            tellings: BTreeMap::new(),
            told: 0,
            heard: None,
            tracks: Tracks::default(),
            unflushed: HashMap::new(),
            flush_at: None,
            hot_dirty: BTreeSet::new(),
            drafts: Drafts::default(),
        }
    }

    /// Drafts a record: it is applied now, and stored with everything that was drafted since.
    pub(super) fn draft(&mut self, namespace: Option<&Namespace>, at: Timestamp, what: What) {
        let before = self.drafts.notices.len();
        let mut record = Record { notices: 0, namespace: namespace.cloned(), at, what };
        self.apply_record(&record);
        record.notices = self.drafts.notices.len() - before;
        self.drafts.records.push(record);
    }

    /// A namespace.
    pub fn space(&self, namespace: &Namespace) -> Option<&Space> {
        self.spaces.get(namespace)
    }

    /// A namespace that has something; a fault where it has nothing of this id.
    pub(super) fn space_of(&self, namespace: &Namespace, id: &MemoryId) -> Result<&Space, Fault> {
        let none = || Fault::not_found("memory", id).with("namespace", namespace.as_str());
        self.spaces.get(namespace).ok_or_else(none)
    }

    /// One entry that is not deleted.
    pub(super) fn entry(
        &self,
        namespace: &Namespace,
        id: &MemoryId,
    ) -> Result<&std::sync::Arc<super::entry::Entry>, Fault> {
        let space = self.space_of(namespace, id)?;
        let none = || {
            let fault = Fault::not_found("memory", id).with("namespace", namespace.as_str());
            match space.tombstone(id) {
                Some(_) => fault.with("deleted", true),
                None => fault,
            }
        };
        space.get(id).ok_or_else(none)
    }

    /// Entries of all namespaces.
    pub fn entry_count(&self) -> usize {
        self.spaces.values().map(Space::len).sum()
    }

    /// Namespaces.
    pub fn space_count(&self) -> usize {
        self.spaces.len()
    }

    /// Bytes of contents, and of those in memory.
    pub fn bytes(&self) -> (usize, usize) {
        self.spaces
            .values()
            .map(Space::bytes)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Bytes of the indexes, about.
    pub fn index_bytes(&self) -> usize {
        self.spaces.values().map(|space| space.index.memory().total()).sum()
    }

    /// Entries without a vector.
    pub fn unembedded_count(&self) -> usize {
        self.spaces.values().map(|space| space.unembedded().len()).sum()
    }

    /// Deletions that are not done in every tier.
    pub fn pending_deletions(&self) -> usize {
        self.spaces.values().map(|space| space.pending_tombstones().count()).sum()
    }

    /// How far the events were learned from.
    pub fn heard(&self) -> Option<Heard> {
        self.heard
    }

    /// The digest of the model that made the vectors.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The first readers who are to be told of a retraction.
    pub fn tellings(&self, limit: usize) -> Vec<Telling> {
        self.tellings.values().take(limit).cloned().collect()
    }

    /// After a takeover: what is hot is brought to the hot tier anew.
    pub(super) fn warm_up(&mut self) {
        for (namespace, space) in &self.spaces {
            let hot = space.hot().iter().map(|id| (namespace.clone(), id.clone()));
            self.hot_dirty.extend(hot);
            let buried = space.pending_tombstones().filter(|(_, t)| t.hot.is_none());
            self.hot_dirty.extend(buried.map(|(id, _)| (namespace.clone(), id.clone())));
        }
    }

    /// The copy of an entry in the hot tier may not be as the entry is.
    pub(super) fn touch(&mut self, namespace: &Namespace, id: &MemoryId, was: MemoryTier) {
        let is_hot = self
            .spaces
            .get(namespace)
            .and_then(|space| space.get(id))
            .is_some_and(|entry| entry.memory.tier == MemoryTier::Hot);
        if is_hot || was == MemoryTier::Hot {
            self.hot_dirty.insert((namespace.clone(), id.clone()));
        }
    }
}
