//! A document: what the batches that were applied amount to.
//!
//! Invariant: the state is a function of the set of batches. Whoever applied the same ones, in any order
//! that respects what each had seen, has the same bytes and the same hash.

mod room;

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_domain::{AgentId, Code, Fault, Name, Timestamp, VectorClock};

use crate::batch::{Batch, BatchHash, SignedBatch};
use crate::cells::{Author, Cells};
use crate::codec::Writer;
use crate::digest::StateHash;
use crate::key::{AgentKey, PublicKey};
use crate::limits::{MAX_ACTORS, MAX_LAMPORT_ADVANCE};
use crate::operation::{Kind, Operation};
use crate::stamp::Seen;

/// How far one agent's chain is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of its last batch.
    pub seq: u64,
    /// The hash of it.
    pub hash: BatchHash,
    /// The Lamport time of its last operation.
    pub lamport: u64,
    /// The agent's key.
    pub key: PublicKey,
    /// What the agent had seen of others.
    pub seen: VectorClock,
}

/// How a batch stands to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It can be applied.
    Ready,
    /// It was applied, or its place in the chain was: nothing is to be done.
    Known,
    /// It rests on batches that are not here: each chain, and how far it must be known.
    Early(Vec<(AgentId, u64)>),
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(crate) object: Name,
    pub(crate) kind: Kind,
    pub(crate) lamport: u64,
    pub(crate) heads: BTreeMap<AgentId, Head>,
    pub(crate) cells: Cells,
}

impl Document {
    /// A document to which nothing was done.
    pub fn new(object: Name, kind: Kind) -> Self {
        Self { object, kind, lamport: 0, heads: BTreeMap::new(), cells: Cells::default() }
    }

    /// Its id.
    pub fn object(&self) -> &Name {
        &self.object
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How far each agent's chain is known.
    pub fn heads(&self) -> &BTreeMap<AgentId, Head> {
        &self.heads
    }

    /// The key that is pinned for an agent.
    pub fn pinned_key(&self, agent: &AgentId) -> Option<PublicKey> {
        self.heads.get(agent).map(|head| head.key)
    }

    /// How many batches of an agent are known.
    pub fn seq(&self, agent: &AgentId) -> u64 {
        self.heads.get(agent).map_or(0, |head| head.seq)
    }

    /// The version: how many batches of each agent are in it.
    pub fn vector(&self) -> VectorClock {
        let counts = self.heads.iter().map(|(agent, head)| (agent.clone(), head.seq));
        // At most `MAX_ACTORS` heads, each with a number that was checked.
        VectorClock::try_from(counts.collect::<BTreeMap<_, _>>()).unwrap_or_default()
    }

    /// Whether everything in a version is in this one.
    pub fn covers(&self, vector: &VectorClock) -> bool {
        vector.iter().all(|(agent, seq)| self.seq(agent) >= seq)
    }

    /// The hash of the state; equal wherever the vector is equal.
    pub fn hash(&self) -> StateHash {
        let mut to = Writer::default();
        to.plain_name(&self.object);
        crate::operation::write_kind(&mut to, self.kind);
        for (agent, head) in &self.heads {
            to.plain_name(agent);
            to.number(head.seq);
            to.raw(head.hash.as_bytes());
        }
        to.raw(&self.cells.sum.bytes());
        StateHash::of(to.bytes())
    }

    /// Bytes that it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.cells.bytes
    }

    /// Items, keys or elements, with those that are deleted and not purged.
    pub fn entities(&self) -> usize {
        self.cells.entities.len()
    }

    /// How a batch stands to it. Refused if the batch can never be a part of it: another document, a
    /// chain that does not fit.
    ///
    /// What is `Known` by its number was compared by hash only if it is the newest of its chain; who
    /// keeps the history compares the others.
    pub fn standing(&self, signed: &SignedBatch) -> Result<Standing, Fault> {
        let batch = signed.batch();
        if batch.object != self.object || batch.kind != self.kind {
            return Err(Fault::invalid("batch", format!("is not one of {}", self.object)));
        }
        let known = self.heads.get(&batch.agent);
        let seq = known.map_or(0, |head| head.seq);
        if batch.seq <= seq {
            if known.is_some_and(|head| head.seq == batch.seq && head.hash != signed.hash()) {
                return Err(forked(batch));
            }
            return Ok(Standing::Known);
        }
        let mut missing = Vec::new();
        if batch.seq > seq + 1 {
            missing.push((batch.agent.clone(), batch.seq - 1));
        } else if known.is_some_and(|head| head.hash != batch.previous) {
            return Err(forked(batch));
        }
        for (agent, needed) in &batch.seen {
            if self.seq(agent) < *needed {
                missing.push((agent.clone(), *needed));
            }
        }
        Ok(if missing.is_empty() { Standing::Ready } else { Standing::Early(missing) })
    }

    /// Checks the signature and everything else of a batch, and applies it. Nothing changes if it is
    /// known already, or refused; [`Standing::Early`] is for the caller to keep or to let go.
    pub fn apply(&mut self, signed: &SignedBatch) -> Result<Standing, Fault> {
        let standing = self.standing(signed)?;
        if standing == Standing::Ready {
            self.verify(signed)?;
            self.apply_verified(signed)?;
        }
        Ok(standing)
    }

    /// Checks a batch's signature by the key that is pinned for its agent, or by its own if it is the
    /// agent's first.
    pub fn verify(&self, signed: &SignedBatch) -> Result<(), Fault> {
        let agent = &signed.batch().agent;
        match (self.heads.get(agent), signed.batch().key) {
            (Some(head), None) => signed.verify(&head.key),
            (Some(head), Some(key)) if key == head.key => signed.verify(&key),
            (Some(_), Some(_)) => {
                let why = format!("{agent} has a chain under another key here");
                Err(Fault::new(Code::PermissionDenied, why))
            }
            (None, Some(key)) => signed.verify(&key),
            (None, None) => Err(Fault::precondition(format!("no key of {agent} is known here"))),
        }
    }

    /// Checks everything but the signature: a batch that is `Ready` after that will be applied.
    pub fn check(&self, signed: &SignedBatch) -> Result<Standing, Fault> {
        let standing = self.standing(signed)?;
        if standing == Standing::Ready {
            let batch = signed.batch();
            self.check_lamport(batch)?;
            self.check_room(batch)?;
            self.seen_by(batch)?;
        }
        Ok(standing)
    }

    /// Applies a batch whose signature was checked, such as one from a log of one's own. Everything else
    /// is checked.
    pub fn apply_verified(&mut self, signed: &SignedBatch) -> Result<(), Fault> {
        match self.check(signed)? {
            Standing::Known => return Ok(()),
            Standing::Early(_) => {
                return Err(Fault::precondition("the batch rests on others that are not here"));
            }
            Standing::Ready => {}
        }
        let batch = signed.batch();
        let seen = self.seen_by(batch)?;
        let context = Seen { actor: &batch.agent, clock: &seen };
        for (index, operation) in batch.operations.iter().enumerate() {
            let stamp = Arc::new(batch.stamp(index));
            operation.apply(&mut self.cells, Author { seen: context, stamp: &stamp });
        }
        let key = match (self.heads.get(&batch.agent), batch.key) {
            (Some(head), _) => head.key,
            (None, Some(key)) => key,
            (None, None) => return Err(Fault::precondition("the chain has no key")),
        };
        self.lamport = self.lamport.max(batch.last_lamport());
        let (seq, hash, lamport) = (batch.seq, signed.hash(), batch.last_lamport());
        self.heads.insert(batch.agent.clone(), Head { seq, hash, lamport, key, seen });
        Ok(())
    }

    /// All that the author of a batch had seen.
    fn seen_by(&self, batch: &Batch) -> Result<VectorClock, Fault> {
        let head = self.heads.get(&batch.agent);
        let mut seen = head.map(|head| head.seen.clone()).unwrap_or_default();
        for (agent, seq) in &batch.seen {
            if seen.get(agent) >= *seq {
                return Err(Fault::invalid("seen", format!("{agent} was seen so far before")));
            }
            seen.raise(agent, *seq)?;
        }
        Ok(seen)
    }

    fn check_lamport(&self, batch: &Batch) -> Result<(), Fault> {
        let own = self.heads.get(&batch.agent).map_or(0, |head| head.lamport);
        if batch.lamport <= own {
            return Err(Fault::invalid("lamport", format!("must be above {own}")));
        }
        let most = self.lamport.saturating_add(MAX_LAMPORT_ADVANCE);
        if batch.lamport > most {
            return Err(Fault::invalid("lamport", format!("must be at most {most} now")));
        }
        Ok(())
    }

    /// The next batch of an agent's chain, unsigned: after all that is in the document now.
    pub fn next_batch(
        &self,
        agent: &AgentId,
        key: &AgentKey,
        on_behalf_of: Option<AgentId>,
        at: Timestamp,
        operations: Vec<Operation>,
    ) -> Result<Batch, Fault> {
        let head = self.heads.get(agent);
        if head.is_some_and(|head| head.key != key.public()) {
            let why = format!("{agent} has a chain under another key here");
            return Err(Fault::new(Code::PermissionDenied, why));
        }
        if head.is_none() && self.heads.len() >= MAX_ACTORS {
            return Err(Fault::exhausted("MAX_ACTORS", MAX_ACTORS));
        }
        let before = head.map(|head| &head.seen);
        let news = self.heads.iter().filter(|(other, _)| *other != agent);
        let seen = news
            .map(|(other, head)| (other.clone(), head.seq))
            .filter(|(other, seq)| before.is_none_or(|before| before.get(other) < *seq))
            .collect();
        Ok(Batch {
            object: self.object.clone(),
            kind: self.kind,
            agent: agent.clone(),
            on_behalf_of,
            seq: head.map_or(1, |head| head.seq + 1),
            previous: head.map_or_else(BatchHash::default, |head| head.hash),
            key: head.is_none().then(|| key.public()),
            seen,
            lamport: self.lamport + 1,
            at,
            operations,
        })
    }
}

fn forked(batch: &Batch) -> Fault {
    let why = format!(
        "batch {} of {} does not continue the chain that is known here",
        batch.seq, batch.agent
    );
    Fault::new(Code::Conflict, why).with("agent", batch.agent.as_str()).with("seq", batch.seq)
}
