//! Batches that came before what they rest on.
//!
//! Bounded in number and bytes: where there is no room, a batch is refused and comes again with the next
//! synchronisation. What waits is not verified yet, because its agent's key may not be known.

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_domain::{AgentId, Fault};

use crate::batch::SignedBatch;
use crate::limits::{MAX_PENDING_BATCHES, MAX_PENDING_BYTES};

type ByBytes = BTreeMap<Arc<[u8]>, Arc<SignedBatch>>;

/// What waits, by the first chain that it waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    /// By what is awaited: the agent, and the number that its chain must reach. Then by bytes, because
    /// what is not verified may share a content with what will be.
    waiting: BTreeMap<(AgentId, u64), ByBytes>,
    batches: usize,
    bytes: usize,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.batches
    }

    /// Keeps a batch until the first of what is missing is there.
    pub(crate) fn keep(
        &mut self,
        batch: Arc<SignedBatch>,
        missing: &[(AgentId, u64)],
    ) -> Result<(), Fault> {
        let Some(awaited) = missing.first() else { return Ok(()) };
        let same = self.waiting.get(awaited);
        if same.is_some_and(|same| same.contains_key(batch.bytes())) {
            return Ok(());
        }
        if self.batches >= MAX_PENDING_BATCHES {
            return Err(Fault::exhausted("MAX_PENDING_BATCHES", MAX_PENDING_BATCHES));
        }
        if self.bytes + batch.bytes().len() > MAX_PENDING_BYTES {
            return Err(Fault::exhausted("MAX_PENDING_BYTES", MAX_PENDING_BYTES));
        }
        self.batches += 1;
        self.bytes += batch.bytes().len();
        self.waiting.entry(awaited.clone()).or_default().insert(batch.shared_bytes(), batch);
        Ok(())
    }

    /// What waited for an agent's chain to reach `seq`, and need wait no more.
    pub(crate) fn take(&mut self, agent: &AgentId, seq: u64) -> Vec<Arc<SignedBatch>> {
        let span = (agent.clone(), 0)..=(agent.clone(), seq);
        let keys: Vec<_> = self.waiting.range(span).map(|(key, _)| key.clone()).collect();
        let mut taken = Vec::new();
        for batch in
            keys.iter().filter_map(|key| self.waiting.remove(key)).flat_map(BTreeMap::into_values)
        {
            self.batches -= 1;
            self.bytes -= batch.bytes().len();
            taken.push(batch);
        }
        taken
    }

    /// Everything that waits.
    pub(crate) fn take_all(&mut self) -> Vec<Arc<SignedBatch>> {
        (self.batches, self.bytes) = (0, 0);
        std::mem::take(&mut self.waiting).into_values().flat_map(BTreeMap::into_values).collect()
    }

    /// What is awaited, each chain with how far it must be known.
    pub(crate) fn awaited(&self) -> BTreeMap<AgentId, u64> {
        self.waiting.keys().cloned().collect()
    }
}
