//! A replica: a document, the batches behind it, and those that wait for what they rest on.
//!
//! Invariant: what is in the history is in the document, and was verified. A batch that cannot be applied
//! yet waits; one that can never be is refused, and changes nothing.

use std::sync::Arc;

use troupe_domain::{AgentId, Code, Fault, Name, Timestamp, VectorClock};

use crate::batch::SignedBatch;
use crate::conflict::Applied;
use crate::document::{Document, Standing};
use crate::edit::Edit;
use crate::fork::ForkProof;
use crate::history::{History, apply_all};
use crate::key::AgentKey;
use crate::operation::{Kind, Operation};
use crate::pending::Pending;

/// Why a batch was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It is not what it should be.
    Fault(Fault),
    /// Its agent told another story before.
    Fork(Box<ForkProof>),
}

impl Refusal {
    /// As a caller is told.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Fault(fault) => fault.clone(),
            Self::Fork(proof) => {
                let (agent, seq) = (proof.agent(), proof.seq());
                let why = format!("{agent} signed two different batches with the number {seq}");
                Fault::new(Code::Conflict, why).with("agent", agent.as_str()).with("seq", seq)
            }
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What became of a batch that was received.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// What was applied: the batch, and those that had waited for it. Nothing if it was known.
    pub applied: Vec<Arc<SignedBatch>>,
    /// What is awaited if the batch waits now: each chain, and how far it must be known.
    pub awaited: Vec<(AgentId, u64)>,
    /// Batches that had waited and turned out to be no good, with the reason.
    pub dropped: Vec<(Arc<SignedBatch>, Fault)>,
}

/// What a replica lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// The document at the horizon, if the replica is before it.
    pub snapshot: Option<Arc<[u8]>>,
    /// What comes after, in an order in which it can be applied.
    pub batches: Vec<Arc<SignedBatch>>,
}

/// A replica of one document.
#[derive(Debug, Clone)]
pub struct Replica {
    document: Document,
    history: History,
    pending: Pending,
}

impl Replica {
    /// A replica to which nothing was done.
    pub fn new(object: Name, kind: Kind) -> Self {
        Self::of(Document::new(object, kind))
    }

    /// A replica that begins with a document: nothing before it is told batch by batch.
    pub fn of(document: Document) -> Self {
        let history = History::after(&document);
        Self { document, history, pending: Pending::default() }
    }

    /// A replica from a snapshot.
    pub fn of_snapshot(bytes: &[u8]) -> Result<Self, Fault> {
        Document::decode(bytes).map(Self::of)
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The batches that are kept.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// What they wait for: each chain, and how far it must be known.
    pub fn awaited(&self) -> Vec<(AgentId, u64)> {
        self.pending.awaited().into_iter().collect()
    }

    /// Takes a batch from anywhere. It is checked in full, then applied with all that waited for it, or
    /// kept until what it rests on is here.
    pub fn receive(&mut self, signed: Arc<SignedBatch>) -> Result<Receipt, Refusal> {
        let mut receipt = Receipt::default();
        match self.take(&signed)? {
            Standing::Known => {}
            Standing::Early(missing) => {
                self.check_early(&signed)?;
                self.pending.keep(signed, &missing)?;
                receipt.awaited = missing;
            }
            Standing::Ready => {
                receipt.applied.push(signed);
                self.settle(&mut receipt);
            }
        }
        Ok(receipt)
    }

    /// Applies one batch if it can be.
    fn take(&mut self, signed: &Arc<SignedBatch>) -> Result<Standing, Refusal> {
        self.check_fork(signed)?;
        let standing = self.document.apply(signed)?;
        if standing == Standing::Ready {
            self.history.push(signed.clone());
        }
        Ok(standing)
    }

    /// Applies what waited for what was just applied, and so on.
    fn settle(&mut self, receipt: &mut Receipt) {
        let mut done = 0;
        while let Some(applied) = receipt.applied.get(done).cloned() {
            done += 1;
            let agent = &applied.batch().agent;
            for next in self.pending.take(agent, applied.batch().seq) {
                self.take_waiting(next, receipt);
            }
        }
    }

    fn take_waiting(&mut self, next: Arc<SignedBatch>, receipt: &mut Receipt) {
        let kept = match self.take(&next) {
            Ok(Standing::Known) => Ok(()),
            Ok(Standing::Ready) => {
                receipt.applied.push(next);
                return;
            }
            Ok(Standing::Early(missing)) => self.pending.keep(next.clone(), &missing),
            Err(refusal) => Err(refusal.fault()),
        };
        if let Err(fault) = kept {
            receipt.dropped.push((next, fault));
        }
    }

    /// Refuses a batch that contradicts one that is here: with the proof if its agent signed both.
    fn check_fork(&self, signed: &SignedBatch) -> Result<(), Refusal> {
        let batch = signed.batch();
        let known = self.history.get(&batch.agent, batch.seq);
        let Some(known) = known.filter(|known| known.hash() != signed.hash()) else {
            return Ok(());
        };
        self.document.verify(signed)?;
        match self.document.heads().get(&batch.agent) {
            Some(head) => Err(Refusal::Fork(Box::new(ForkProof::of(head.key, known, signed)?))),
            None => Ok(()),
        }
    }

    /// What waits takes room: a stranger's signature is not enough, if the agent's key is known.
    fn check_early(&self, signed: &SignedBatch) -> Result<(), Fault> {
        let known = self.document.heads().contains_key(&signed.batch().agent);
        if known || signed.batch().key.is_some() { self.document.verify(signed) } else { Ok(()) }
    }

    /// Writes: signs operations as the agent's next batch, and applies it.
    pub fn write(
        &mut self,
        agent: &AgentId,
        key: &AgentKey,
        on_behalf_of: Option<AgentId>,
        at: Timestamp,
        operations: Vec<Operation>,
    ) -> Result<Arc<SignedBatch>, Fault> {
        let batch = self.document.next_batch(agent, key, on_behalf_of, at, operations)?;
        let signed = Arc::new(batch.sign(key)?);
        self.document.apply_verified(&signed)?;
        self.history.push(signed.clone());
        Ok(signed)
    }

    /// Writes what edits amount to here and now.
    pub fn edit(
        &mut self,
        agent: &AgentId,
        key: &AgentKey,
        on_behalf_of: Option<AgentId>,
        at: Timestamp,
        edits: &[Edit],
    ) -> Result<Arc<SignedBatch>, Fault> {
        let operations = self.document.operations(agent, edits)?;
        self.write(agent, key, on_behalf_of, at, operations)
    }

    /// Takes a batch that must be applicable now, and tells what it did to the conflicts. For who keeps
    /// the one order of a document: nothing waits here.
    ///
    /// `verified` says that the signature was checked before, as of what comes from one's own log.
    pub fn accept(
        &mut self,
        signed: Arc<SignedBatch>,
        verified: bool,
        window_ms: u64,
    ) -> Result<Applied, Refusal> {
        self.check_fork(&signed)?;
        let applied = if verified {
            self.document.apply_verified_observed(&signed, window_ms)?
        } else {
            self.document.apply_observed(&signed, window_ms)?
        };
        if applied.standing == Standing::Ready {
            self.history.push(signed);
        }
        Ok(applied)
    }

    /// Applies a batch from the own log: one whose signature was checked, and that rests on nothing
    /// that is not here.
    pub fn replay(&mut self, signed: Arc<SignedBatch>) -> Result<(), Fault> {
        if self.document.standing(&signed)? != Standing::Known {
            self.document.apply_verified(&signed)?;
            self.history.push(signed);
        }
        Ok(())
    }

    /// What a replica at this version lacks.
    pub fn missing(&self, vector: &VectorClock) -> Delta {
        if vector.covers(self.history.horizon()) {
            return Delta { snapshot: None, batches: self.history.since(vector) };
        }
        let batches = self.history.since(self.history.horizon());
        Delta { snapshot: Some(self.history.base().clone()), batches }
    }

    /// Takes a snapshot of somebody who is trusted in place of the own state. Batches of this replica
    /// that the snapshot does not know are applied to it again.
    ///
    /// Gives those batches: nobody else may have them.
    pub fn adopt(&mut self, snapshot: &[u8]) -> Result<Vec<Arc<SignedBatch>>, Fault> {
        let adopted = Document::decode(snapshot)?;
        if adopted.object != self.document.object || adopted.kind != self.document.kind {
            return Err(Fault::invalid("snapshot", "is of another document"));
        }
        let own = self.history.since(&adopted.vector());
        let waiting = self.pending.take_all();
        let mut replica = Self::of(adopted);
        apply_all(&mut replica.document, own.clone());
        let vector = replica.document.vector();
        let kept: Vec<_> = own
            .into_iter()
            .filter(|batch| batch.batch().seq <= vector.get(&batch.batch().agent))
            .collect();
        kept.iter().for_each(|batch| replica.history.push(batch.clone()));
        *self = replica;
        for batch in waiting {
            // What is no good any more is asked for again, or refused there.
            let _ = self.receive(batch);
        }
        Ok(kept)
    }

    /// Agents of whom another document knows another story than this replica, as far as the history
    /// tells.
    pub fn contradictions(&self, other: &Document) -> Vec<AgentId> {
        let heads = other.heads().iter();
        heads
            .filter(|(agent, head)| {
                let here = self.history.get(agent, head.seq);
                here.is_some_and(|batch| batch.hash() != head.hash)
            })
            .map(|(agent, _)| agent.clone())
            .collect()
    }

    /// Moves the horizon: history up to this version is kept as a snapshot only.
    pub fn compact(&mut self, cut: &VectorClock) -> Result<(), Fault> {
        self.history.compact(cut)
    }

    /// The document as it was at a version after the horizon.
    pub fn at(&self, vector: &VectorClock) -> Result<Document, Fault> {
        self.history.at(vector)
    }
}
