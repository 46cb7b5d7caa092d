//! One plan or other object, as a shard keeps it: its state, and the batches by which it came to be, as
//! far back as replicas and readers may ask here.
//!
//! Invariant: `base` with `kept` on top is `document`; what is older is in the archive, piece by piece,
//! or it is gone. A sequence counts the batches that this service took in, from 1, in its order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::plan::{Bytes64, Fork};
use troupe_crdt::{Document, SignedBatch};
use troupe_domain::plan::{Conflict, ObjectId, ObjectKind};
use troupe_domain::{AgentId, Code, Fault, Name, Timestamp, VectorClock};
use troupe_shard::place::digest;

use super::request::At;

/// Proofs of forks that one object keeps; further ones are told and not kept.
pub const MAX_FORKS: usize = 64;
/// Pieces of the archive that one object remembers; the oldest go first, and history with them.
pub const MAX_PIECES: usize = 4_096;
/// Bytes that a kept batch takes beside its content.
const KEPT_FRAME_BYTES: usize = 160;

/// A batch, as it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its place.
    pub sequence: u64,
    /// When it was taken in.
    pub at: Timestamp,
    /// The replica that made it.
    pub agent: AgentId,
    /// Its number in that replica's chain.
    pub seq: u64,
    /// As it was signed.
    pub batch: Bytes64,
}

impl Kept {
    /// Bytes that it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.batch.len() + KEPT_FRAME_BYTES
    }
}

/// The state at one sequence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Base {
    /// After so many batches; 0 is nothing.
    pub sequence: u64,
    /// The state, as `troupe-crdt` writes it; empty at 0.
    pub snapshot: Bytes64,
}

/// A piece of the archive: the batches from `first` through `through`, and the snapshot at `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The first batch.
    pub first: u64,
    /// The last.
    pub through: u64,
    /// When the last was taken in.
    pub at: Timestamp,
}

/// What a former version is made of: found here, or where in the archive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    /// What it is.
    pub kind: ObjectKind,
    /// Begin with this state.
    pub base: Base,
    /// Then apply these.
    pub kept: Vec<Arc<Kept>>,
    /// The pieces of the archive, oldest first, for what lies before the base.
    pub pieces: Vec<Piece>,
    /// The first version that can be read.
    pub horizon: u64,
}

/// One plan or other object.
#[derive(Debug)]
pub struct Object {
    /// The state.
    pub document: Document,
    /// What it is.
    pub kind: ObjectKind,
    /// How many batches were taken in.
    pub sequence: u64,
    /// The state at the horizon of memory.
    pub base: Base,
    /// The vector at the horizon of memory.
    pub base_vector: VectorClock,
    /// The batches after the base.
    pub kept: VecDeque<Arc<Kept>>,
    /// Their bytes.
    pub kept_bytes: usize,
    /// Where a kept batch is, by a digest of its bytes: what comes again need not be read again.
    places: HashMap<u64, u64>,
    /// What is in the archive.
    pub pieces: VecDeque<Piece>,
    /// The state at the end of the newest piece, for the next base; none where it is made from `base`.
    pub next_base: Option<Base>,
    /// Bytes of the state, as they are counted in the shard's.
    pub weight: usize,
    /// Proofs of forks.
    pub forks: Vec<Fork>,
    /// Conflicts that were told, by id.
    pub conflicts: BTreeMap<Name, Conflict>,
    /// When conflicts are looked for; none while nothing changed since they were.
    pub check_at: Option<Timestamp>,
    /// Versions as they were some time ago, oldest first: what was deleted in the oldest may be purged.
    pub marks: VecDeque<Mark>,
    /// The sequence of the last batch that changed what items say.
    pub worded: u64,
    /// The last snapshot that was asked for. It is not recorded.
    pub cached: Option<Cached>,
    /// The replica that was last seen to have diverged, and at which sequence.
    pub diverged: Option<(AgentId, u64)>,
}

/// A version as it was at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// The version.
    pub vector: VectorClock,
}

/// A snapshot that was asked for.
#[derive(Debug, Clone)]
pub struct Cached {
    /// After so many batches.
    pub sequence: u64,
    /// The same, by replica.
    pub vector: VectorClock,
    /// The state's hash.
    pub state_hash: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// The state.
    pub bytes: Bytes64,
}

impl Object {
    /// An object to which nothing was done.
    pub fn new(id: ObjectId, kind: ObjectKind) -> Self {
        Self {
            document: Document::new(id, kind),
            kind,
            sequence: 0,
            base: Base::default(),
            base_vector: VectorClock::default(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            places: HashMap::new(),
            pieces: VecDeque::new(),
            next_base: None,
            weight: 0,
            forks: Vec::new(),
            conflicts: BTreeMap::new(),
            check_at: None,
            marks: VecDeque::new(),
            worded: 0,
            cached: None,
            diverged: None,
        }
    }

    /// Its id.
    pub fn id(&self) -> &ObjectId {
        self.document.object()
    }

    /// Bytes that it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        let next = self.next_base.as_ref().map_or(0, |base| base.snapshot.len());
        self.document.bytes() + self.kept_bytes + self.base.snapshot.len() + next
    }

    /// Keeps a batch that was applied.
    pub fn keep(&mut self, at: Timestamp, signed: &SignedBatch) {
        self.sequence += 1;
        let batch = signed.batch();
        let (agent, seq) = (batch.agent.clone(), batch.seq);
        let kept =
            Kept { sequence: self.sequence, at, agent, seq, batch: Bytes64(signed.shared_bytes()) };
        self.kept_bytes += kept.bytes();
        self.places.insert(digest(kept.batch.as_ref()), kept.sequence);
        self.kept.push_back(Arc::new(kept));
    }

    /// The last batch that is in the archive.
    pub fn archived_through(&self) -> u64 {
        self.pieces.back().map_or(0, |piece| piece.through)
    }

    /// Batches that are not in the archive and not lost.
    pub fn unarchived(&self) -> impl Iterator<Item = &Arc<Kept>> {
        let through = self.archived_through();
        self.kept.iter().filter(move |kept| kept.sequence > through)
    }

    /// How many there are of these.
    pub fn unarchived_count(&self) -> usize {
        (self.sequence - self.archived_through().max(self.base.sequence)) as usize
    }

    /// The first version that can be read.
    pub fn horizon(&self) -> u64 {
        match self.pieces.front() {
            // What is between the archive and the base was folded away.
            Some(_) if self.archived_through() < self.base.sequence => self.base.sequence,
            Some(piece) if piece.first == 1 => 1,
            Some(piece) => piece.through,
            None => self.base.sequence.max(1),
        }
    }

    /// The kept batch with these very bytes.
    pub fn kept_as(&self, bytes: &[u8]) -> Option<&Kept> {
        let sequence = self.places.get(&digest(bytes))?;
        let first = self.kept.front()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.kept.get(index).map(AsRef::as_ref).filter(|kept| kept.batch.as_ref() == bytes)
    }

    /// Keeps batches that were kept before.
    pub fn keep_again(&mut self, kept: Vec<Arc<Kept>>) {
        self.kept_bytes = kept.iter().map(|kept| kept.bytes()).sum();
        let places = kept.iter().map(|kept| (digest(kept.batch.as_ref()), kept.sequence));
        self.places = places.collect();
        self.kept = kept.into();
    }

    /// A kept batch of an agent by its number.
    pub fn kept_batch(&self, agent: &AgentId, seq: u64) -> Option<SignedBatch> {
        let found = self.kept.iter().rev().find(|kept| kept.agent == *agent && kept.seq == seq)?;
        SignedBatch::decode(found.batch.as_ref()).ok()
    }

    /// Takes the batches through `through` out of memory: the base moves there.
    pub fn fold(&mut self, through: u64) {
        if through <= self.base.sequence || through > self.sequence {
            return;
        }
        let ready = self.next_base.take_if(|next| next.sequence == through);
        let base = match ready {
            Some(base) => base,
            None => match self.state_at(through) {
                Ok(document) => Base { sequence: through, snapshot: document.encode().into() },
                Err(why) => {
                    tracing::error!(%why, object = %self.id(), "the history cannot be shortened");
                    return;
                }
            },
        };
        while self.kept.front().is_some_and(|kept| kept.sequence <= through) {
            let Some(gone) = self.kept.pop_front() else { break };
            self.kept_bytes -= gone.bytes();
            self.places.remove(&digest(gone.batch.as_ref()));
            if self.base_vector.get(&gone.agent) < gone.seq {
                // A vector of the document covers it, and that is within the bound.
                let _ = self.base_vector.raise(&gone.agent, gone.seq);
            }
        }
        self.base = base;
    }

    /// The state after so many batches, from the base on.
    fn state_at(&self, through: u64) -> Result<Document, Fault> {
        let kept = self.kept.iter().take_while(|kept| kept.sequence <= through);
        replayed(self.id(), self.kind, &self.base, kept)
    }

    /// What a former version is made of.
    pub fn version(&self, at: &At) -> Result<Version, Fault> {
        if let At::Sequence(sequence) = at
            && (*sequence > self.sequence || *sequence == 0)
        {
            let why = format!("must be within 1 and {}", self.sequence);
            return Err(Fault::invalid("at_sequence", why));
        }
        let begins_here = match at {
            At::Now => true,
            At::Sequence(sequence) => *sequence >= self.base.sequence,
            At::Vector(vector) => vector.covers(&self.base_vector),
            At::Time(time) => {
                self.base.sequence == 0 || self.kept.front().is_some_and(|kept| kept.at <= *time)
            }
        };
        let kept = if begins_here {
            let wanted = |kept: &&Arc<Kept>| match at {
                At::Sequence(sequence) => kept.sequence <= *sequence,
                At::Time(time) => kept.at <= *time,
                At::Vector(_) | At::Now => true,
            };
            self.kept.iter().filter(wanted).cloned().collect()
        } else if self.pieces.is_empty() || self.archived_through() < self.base.sequence {
            return Err(gone(self.horizon()));
        } else {
            Vec::new()
        };
        Ok(Version {
            kind: self.kind,
            base: if begins_here { self.base.clone() } else { Base::default() },
            kept,
            pieces: if begins_here { Vec::new() } else { self.pieces.iter().copied().collect() },
            horizon: self.horizon(),
        })
    }
}

/// A state with batches on top that were taken in once.
pub fn replayed<'a>(
    id: &ObjectId,
    kind: ObjectKind,
    base: &Base,
    kept: impl IntoIterator<Item = &'a Arc<Kept>>,
) -> Result<Document, Fault> {
    let mut document = if base.snapshot.is_empty() {
        Document::new(id.clone(), kind)
    } else {
        Document::decode(base.snapshot.as_ref())?
    };
    for kept in kept {
        document.apply_verified(&SignedBatch::decode(kept.batch.as_ref())?)?;
    }
    Ok(document)
}

/// The version is not known any more.
pub fn gone(horizon: u64) -> Fault {
    Fault::new(Code::FailedPrecondition, "this version is not known any more")
        .with("horizon", horizon)
}
