//! What replicas tell each other over the bus, so that they converge without the service.
//!
//! A replica tells its version now and then: often while the service is away, seldom otherwise. Whoever
//! has more answers with what is missing, after a short random wait in which the answers of others count;
//! whoever has less tells its own version, which is the question. Only batches travel, never snapshots:
//! what a peer says is believed as far as it is signed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::plan::Bytes64;
use troupe_contract::subject;
use troupe_crdt::SignedBatch;
use troupe_domain::VectorClock;

use super::Shared;
use crate::Troupe;

/// Bytes of batches in one message to peers.
const MAX_TOLD_BYTES: usize = 256 * 1024;
/// Batches in one message to peers.
const MAX_TOLD_BATCHES: usize = 512;
/// Bytes of a message of a peer that are looked at.
const MAX_HEARD_BYTES: usize = 1024 * 1024;

/// What a replica tells its peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// What it has, and the hash of its state, hexadecimal.
    Digest {
        /// How many batches of each replica.
        vector: VectorClock,
        /// The hash at this version.
        state_hash: String,
        /// Whether the service does not answer this replica: then its peers are all that it has.
        #[serde(default)]
        alone: bool,
    },
    /// Batches that others may lack.
    Batches(Vec<Bytes64>),
}

/// What hearing something leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing.
    None,
    /// Versions differ: something is missing here, or the peer at this version lacks something, or both.
    Differ {
        /// Something is missing here.
        ask: bool,
        /// What the peer has, who lacks something.
        answer: Option<VectorClock>,
    },
    /// These batches are on the air: nobody needs to tell them again.
    Heard(Vec<Arc<SignedBatch>>),
    /// The states differ at one version: the service decides.
    Diverged,
}

impl Shared {
    pub(super) async fn tell_digest(&self, troupe: &Troupe) {
        let (vector, hash, alone) = {
            let state = self.state.lock();
            let document = state.replica.document();
            (document.vector(), document.hash(), !state.service_is_up)
        };
        let state_hash = hash.to_string();
        self.tell(troupe, &Told::Digest { vector, state_hash, alone }).await;
    }

    /// Tells what a replica at this version lacks, as far as it fits into one message. Gives how many
    /// bytes that was, and the version that it has then, if there is more.
    pub(super) async fn tell_missing(
        &self,
        troupe: &Troupe,
        mut vector: VectorClock,
    ) -> (usize, Option<VectorClock>) {
        let batches = {
            let state = self.state.lock();
            let history = state.replica.history();
            if !vector.covers(history.horizon()) {
                // It is behind the horizon: the service has a snapshot for it.
                return (0, None);
            }
            history.since(&vector)
        };
        let told = self.tell_batches(troupe, &batches).await;
        let mut bytes = 0;
        for batch in &batches[..told] {
            bytes += batch.bytes().len();
            // No more agents than the document has.
            let _ = vector.raise(&batch.batch().agent, batch.batch().seq);
        }
        (bytes, (told < batches.len()).then_some(vector))
    }

    /// Tells own batches after this number; gives the last one.
    pub(super) async fn tell_own(&self, troupe: &Troupe, after: u64) -> u64 {
        let own: Vec<_> = {
            let state = self.state.lock();
            let history = state.replica.history();
            let last = state.replica.document().seq(&self.agent);
            (after + 1..=last).filter_map(|seq| history.get(&self.agent, seq).cloned()).collect()
        };
        let told = self.tell_batches(troupe, &own).await;
        // What did not fit follows from the versions that peers exchange.
        own[..told].last().map_or(after, |batch| batch.batch().seq)
    }

    /// Tells the first batches, as many as fit. Gives how many those are.
    async fn tell_batches(&self, troupe: &Troupe, batches: &[Arc<SignedBatch>]) -> usize {
        let mut bytes = 0;
        let fitting = batches.iter().take(MAX_TOLD_BATCHES).take_while(|batch| {
            let is_first = bytes == 0;
            bytes += batch.bytes().len();
            is_first || bytes <= MAX_TOLD_BYTES
        });
        let batches: Vec<_> = fitting.map(|batch| Bytes64(batch.shared_bytes())).collect();
        let told = batches.len();
        if told > 0 {
            self.tell(troupe, &Told::Batches(batches)).await;
        }
        told
    }

    async fn tell(&self, troupe: &Troupe, told: &Told) {
        match serde_json::to_vec(told) {
            Ok(body) => {
                let to = subject::object_peer(&self.object, &self.agent);
                troupe.bus().tell(to, body.into()).await;
            }
            Err(why) => tracing::warn!(%why, "a message to peers cannot be written"),
        }
    }

    /// Hears what a peer tells. What is no good is said in the log, and changes nothing.
    pub(super) fn hear(&self, sender: &str, body: &[u8]) -> Reaction {
        if sender == self.agent.as_str() || body.len() > MAX_HEARD_BYTES {
            return Reaction::None;
        }
        match serde_json::from_slice(body) {
            Ok(Told::Digest { vector, state_hash, alone }) => {
                self.hear_digest(vector, &state_hash, alone)
            }
            Ok(Told::Batches(batches)) => {
                let taken = batches.iter().take(MAX_TOLD_BATCHES);
                Reaction::Heard(taken.filter_map(|b| self.hear_batch(sender, b.as_ref())).collect())
            }
            Err(why) => {
                tracing::debug!(sender, %why, "a peer told what is not understood");
                Reaction::None
            }
        }
    }

    /// While the service is there it settles what versions differ in, and peers say nothing: all of
    /// them would, whenever somebody writes. Only who is alone is answered.
    fn hear_digest(&self, theirs: VectorClock, state_hash: &str, alone: bool) -> Reaction {
        let state = self.state.lock();
        let document = state.replica.document();
        let ours = document.vector();
        if theirs == ours {
            let same = document.hash().to_string() == state_hash;
            return if same { Reaction::None } else { Reaction::Diverged };
        }
        if state.service_is_up && !alone {
            return Reaction::None;
        }
        let ask = !state.service_is_up && !document.covers(&theirs);
        // Names that nobody knows here are of no use for an answer.
        let answer = (!theirs.covers(&ours)).then(|| least(&ours, &theirs));
        Reaction::Differ { ask, answer }
    }

    /// Takes a batch from the air. Gives it if it is a batch, whatever became of it.
    pub(super) fn hear_batch(&self, sender: &str, bytes: &[u8]) -> Option<Arc<SignedBatch>> {
        let signed = match SignedBatch::decode(bytes) {
            Ok(signed) => Arc::new(signed),
            Err(fault) => {
                tracing::debug!(sender, %fault, "a peer told what is no batch");
                return None;
            }
        };
        match self.receive(signed.clone()) {
            Ok(receipt) if receipt.awaited.is_empty() => {}
            Ok(_) => self.gap.notify_one(),
            Err(refusal) => {
                tracing::debug!(sender, fault = %refusal.fault(), "a batch is refused");
            }
        }
        Some(signed)
    }
}

/// What both have.
pub(super) fn least(a: &VectorClock, b: &VectorClock) -> VectorClock {
    let mut both = VectorClock::default();
    for (name, count) in a.iter() {
        // No more names than `a` has.
        let _ = both.raise(name, count.min(b.get(name)));
    }
    both
}
