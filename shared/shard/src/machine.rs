//! What a service brings: the state of one shard as a pure machine.
//!
//! Invariants: [`Machine::apply`] decides nothing, so that a replay of the records gives the same
//! state; nothing here does I/O or reads a clock, time and chance are arguments.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use troupe_contract::Service;
use troupe_domain::{Fault, Timestamp};

use crate::letters::Letter;
use crate::notice::Notice;

/// The state of one shard, and the rules by which it changes.
pub trait Machine: Sized + Send + 'static {
    /// Whose shards they are: it names their streams and subjects.
    const SERVICE: Service;
    /// What a shard needs to know of itself.
    type Settings: Clone + Send + Sync + 'static;
    /// What a shard is asked, by a handler in the same process or by a peer.
    type Request: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// One thing that happened, as the log keeps it.
    type Record: Serialize + DeserializeOwned + Send + 'static;
    /// One line of a snapshot.
    type Line: Serialize + DeserializeOwned + Send + 'static;
    /// A hint for the process: something became ready for whoever waits.
    type Ready: Send + 'static;
    /// What a timer must have asked outside, because the rules cannot know it.
    type Question: Send + 'static;

    /// The number of the shard that has these settings.
    fn shard(settings: &Self::Settings) -> u16;

    /// An empty shard.
    fn new(settings: Self::Settings) -> Self;

    /// Folds a record into the state, with the notices and hints that follow from it.
    fn apply(&mut self, record: &Self::Record);

    /// What was drafted since it was last taken.
    fn drafts(&mut self) -> &mut Drafts<Self>;

    /// Whether a request drafts nothing, whatever it meets.
    fn only_reads(request: &Self::Request) -> bool;

    /// Carries a request out. What it writes is applied and drafted. `jitter` is within 0 and 1 (and
    /// 0 for a request that only reads).
    fn execute(
        &mut self,
        request: Self::Request,
        now: Timestamp,
        jitter: f64,
    ) -> Result<Self::Reply, Fault>;

    /// How many notices a record has: each goes into the log's order with its record.
    fn notices_of(record: &Self::Record) -> usize;

    /// Lets go of what is beyond its bounds; called after every request that may write.
    fn evict(&mut self) {}

    /// Draws the consequences that are missing, after a crash in the middle of drawing them.
    fn reconcile(&mut self, _now: Timestamp) {}

    /// When the next timer is due.
    fn next_timer(&self) -> Option<Timestamp> {
        None
    }

    /// Fires at most `limit` timers that are due. Each must change, so that it is not due at once
    /// again. Gives what must be asked outside.
    fn fire(&mut self, _now: Timestamp, _limit: usize) -> Vec<Self::Question> {
        Vec::new()
    }

    /// Everything that a snapshot must hold, taken cheaply: requests wait meanwhile.
    fn snapshot(&self) -> Vec<Self::Line>;

    /// Takes one line of a snapshot.
    fn restore(&mut self, line: Self::Line);

    /// The first `limit` letters to other shards that are not delivered, in the order in which they
    /// were written.
    fn letters(&self, _limit: usize) -> Vec<Letter<Self::Request>> {
        Vec::new()
    }

    /// Letters arrived.
    fn delivered(&mut self, _numbers: Vec<u64>) {}
}

/// What a machine did and nobody has taken yet.
pub struct Drafts<M: Machine> {
    /// Applied, and not yet stored.
    pub records: Vec<M::Record>,
    /// The events of what was applied.
    pub notices: Vec<Notice>,
    /// What became ready.
    pub ready: Vec<M::Ready>,
}

impl<M: Machine> Default for Drafts<M> {
    fn default() -> Self {
        Self { records: Vec::new(), notices: Vec::new(), ready: Vec::new() }
    }
}

impl<M: Machine> Debug for Drafts<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drafts").field("records", &self.records.len()).finish_non_exhaustive()
    }
}
