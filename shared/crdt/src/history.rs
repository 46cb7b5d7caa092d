//! The batches that a replica still has, after the horizon.
//!
//! The horizon is a version: what is in it is kept as a snapshot only, what came later as batches too.
//! Any version from the horizon on can be told again, and any replica that is at least there can be
//! given just what it lacks. Where the horizon is, is each replica's own affair: it changes neither the
//! state nor its hash.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use troupe_domain::{AgentId, Fault, VectorClock};

use crate::batch::SignedBatch;
use crate::document::{Document, Standing};

/// Batches after a horizon, by agent.
#[derive(Debug, Clone)]
pub struct History {
    horizon: VectorClock,
    base: Arc<[u8]>,
    chains: BTreeMap<AgentId, VecDeque<Arc<SignedBatch>>>,
    batches: usize,
    bytes: usize,
}

impl History {
    /// No batches after this document.
    pub fn after(document: &Document) -> Self {
        let base = document.encode().into();
        let horizon = document.vector();
        Self { horizon, base, chains: BTreeMap::new(), batches: 0, bytes: 0 }
    }

    /// The version before which nothing is told batch by batch.
    pub fn horizon(&self) -> &VectorClock {
        &self.horizon
    }

    /// The document at the horizon, as bytes.
    pub fn base(&self) -> &Arc<[u8]> {
        &self.base
    }

    /// How many batches there are.
    pub fn len(&self) -> usize {
        self.batches
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// Bytes of all batches.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch with this number, if it is after the horizon.
    pub fn get(&self, agent: &AgentId, seq: u64) -> Option<&Arc<SignedBatch>> {
        let index = seq.checked_sub(self.horizon.get(agent) + 1)?;
        self.chains.get(agent)?.get(usize::try_from(index).ok()?)
    }

    /// Takes the next batch of a chain; others are not taken.
    pub(crate) fn push(&mut self, batch: Arc<SignedBatch>) {
        let agent = &batch.batch().agent;
        let chain = self.chains.entry(agent.clone()).or_default();
        if batch.batch().seq == self.horizon.get(agent) + chain.len() as u64 + 1 {
            self.batches += 1;
            self.bytes += batch.bytes().len();
            chain.push_back(batch);
        }
    }

    /// All batches in the order in which their operations are shown: by Lamport time, then by name. It
    /// respects what each had seen, if all agents are honest.
    pub fn in_order(&self) -> Vec<&Arc<SignedBatch>> {
        let mut all: Vec<_> = self.chains.values().flatten().collect();
        all.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
        all
    }

    /// Batches that are not in a version, each chain in order, the oldest first.
    pub fn since(&self, vector: &VectorClock) -> Vec<Arc<SignedBatch>> {
        let mut missing = Vec::new();
        for (agent, chain) in &self.chains {
            let known = vector.get(agent).saturating_sub(self.horizon.get(agent));
            let known = usize::try_from(known).unwrap_or(usize::MAX);
            missing.extend(chain.iter().skip(known).cloned());
        }
        missing.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
        missing
    }

    /// The document as it was at a version, if that is after the horizon and was ever whole: what a
    /// batch in it had seen is in it too.
    pub fn at(&self, vector: &VectorClock) -> Result<Document, Fault> {
        if !vector.covers(&self.horizon) {
            return Err(Fault::precondition("the version is before the horizon"));
        }
        let mut document = Document::decode(&self.base)?;
        let wanted =
            |batch: &&Arc<SignedBatch>| batch.batch().seq <= vector.get(&batch.batch().agent);
        apply_all(&mut document, self.in_order().into_iter().filter(wanted).cloned().collect());
        if document.vector() != *vector {
            return Err(Fault::precondition("the version was never there, or is not here yet"));
        }
        Ok(document)
    }

    /// Moves the horizon to a version, as far as the history knows it.
    pub(crate) fn compact(&mut self, cut: &VectorClock) -> Result<(), Fault> {
        let document = self.at(cut)?;
        let (horizon, base) = (document.vector(), document.encode().into());
        for (agent, chain) in &mut self.chains {
            while chain.front().is_some_and(|batch| batch.batch().seq <= horizon.get(agent)) {
                let Some(gone) = chain.pop_front() else { break };
                self.batches -= 1;
                self.bytes -= gone.bytes().len();
            }
        }
        self.chains.retain(|_, chain| !chain.is_empty());
        (self.horizon, self.base) = (horizon, base);
        Ok(())
    }
}

fn order_of(batch: &SignedBatch) -> (u64, &AgentId, u64) {
    let batch = batch.batch();
    (batch.lamport, &batch.agent, batch.seq)
}

/// Applies batches that were verified before, in any order that works. What rests on something that is
/// neither there nor among them is left out, and so is what does not fit the chains that are there.
pub(crate) fn apply_all(document: &mut Document, mut batches: Vec<Arc<SignedBatch>>) {
    // The usual order works in one pass. A dishonest Lamport time may need more.
    while !batches.is_empty() {
        let before = batches.len();
        let mut left = Vec::new();
        for batch in batches {
            match document.standing(&batch) {
                // Refused only where there is no room: then the version that is asked for is not reached.
                Ok(Standing::Ready) => drop(document.apply_verified(&batch)),
                Ok(Standing::Early(_)) => left.push(batch),
                Ok(Standing::Known) | Err(_) => {}
            }
        }
        if left.len() == before {
            break;
        }
        batches = left;
    }
}
