//! The state of one shard: its objects, what links them to tasks, what it remembers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use troupe_crdt::AgentKey;
use troupe_domain::plan::{ItemId, ObjectId, ObjectKind};
use troupe_domain::{Fault, Role, TaskId, Timestamp};
use troupe_shard::Drafts;

use super::memory::Keys;
use super::object::Object;
use super::outbox::Outbox;
use super::record::{Place, Record};

/// What a shard needs to know of itself.
#[derive(Clone)]
pub struct Settings {
    /// Its number.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// Chance, for the key with which the shard signs should it have none yet.
    pub seed: [u8; 32],
    /// Plans and other objects.
    pub max_objects: usize,
    /// Bytes of states and kept batches.
    pub max_bytes: usize,
    /// Deleted items are forgotten for good so long after their deletion.
    pub purge_after_ms: u64,
    /// Whether there is an archive.
    pub archives: bool,
    /// An object is due for the archive with so many batches.
    pub archive_after_batches: usize,
    /// And so long after the first of them.
    pub archive_after_ms: u64,
    /// Kept bytes of one object.
    pub max_kept_bytes: usize,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("shard", &self.shard).finish_non_exhaustive()
    }
}

/// The task of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The plan.
    pub plan: ObjectId,
    /// The item.
    pub item: ItemId,
    /// The role that the task asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// When it was made.
    pub at: Timestamp,
    /// Whether the task is known to be there.
    pub confirmed: bool,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Batches that were taken in.
    pub batches: u64,
    /// Forks that were met.
    pub forks: usize,
    /// Replicas that had diverged.
    pub divergences: u64,
}

/// The state of one shard.
#[derive(Debug)]
pub struct PlanState {
    /// What it needs to know of itself.
    pub settings: Settings,
    /// The objects.
    pub objects: BTreeMap<ObjectId, Object>,
    /// Items with tasks that are not over.
    pub links: HashMap<TaskId, Link>,
    /// How far the events of tasks were followed; none while no item has a task.
    pub followed: Option<Place>,
    /// Edits that were made under keys.
    pub keys: Keys,
    /// The key with which the shard signs.
    pub key: Option<AgentKey>,
    /// What happened so far.
    pub totals: Totals,
    /// Why the archive took nothing lately. It is not recorded: it is news of this process.
    pub archive_error: Option<String>,
    /// When conflicts of which object are looked for.
    pub(crate) checks: BTreeSet<(Timestamp, ObjectId)>,
    /// Batches that replicas are to be told of, in the order of the log. They are not recorded: who
    /// misses one asks.
    pub(crate) outbox: Outbox,
    /// Bytes of all objects.
    pub(crate) bytes: usize,
    /// What was drafted.
    pub drafts: Drafts<Self>,
}

impl PlanState {
    /// An empty shard.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            objects: BTreeMap::new(),
            links: HashMap::new(),
            followed: None,
            keys: Keys::default(),
            key: None,
            totals: Totals::default(),
            archive_error: None,
            checks: BTreeSet::new(),
            outbox: Outbox::default(),
            bytes: 0,
            drafts: Drafts::default(),
        }
    }

    /// Drafts a record: it is applied now, and stored with everything that was drafted since.
    pub(super) fn draft(&mut self, record: Record) {
        self.apply_record(&record);
        self.drafts.records.push(record);
    }

    /// An object by its id.
    pub fn object(&self, id: &ObjectId) -> Result<&Object, Fault> {
        self.objects.get(id).ok_or_else(|| Fault::not_found("plan or object", id))
    }

    /// Plans and other objects.
    pub fn object_count(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of states and kept batches.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Batches that are not in the archive.
    pub fn unarchived(&self) -> usize {
        self.objects.values().map(Object::unarchived_count).sum()
    }

    /// Conflicts that nobody has decided.
    pub fn open_conflicts(&self) -> usize {
        self.objects.values().map(|object| object.conflicts.len()).sum()
    }

    /// Plans whose items say something else than they did at the sequence that `known` gives.
    pub fn reworded(
        &self,
        known: impl Fn(&ObjectId) -> Option<u64>,
    ) -> Vec<(ObjectId, u64, usize)> {
        let plans = self.objects.iter().filter(|(_, object)| object.kind == ObjectKind::Plan);
        plans
            .filter(|(id, object)| object.worded > known(id).unwrap_or(0))
            .map(|(id, object)| (id.clone(), object.worded, object.document.entities()))
            .collect()
    }

    /// Whether a task is the task of an item here.
    pub fn is_linked(&self, task: &TaskId) -> bool {
        self.links.contains_key(task)
    }
}
