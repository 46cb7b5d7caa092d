//! The exchange with the service: take what is missing, bring what it lacks, compare.
//!
//! Invariant: every step can be repeated. What the service has is asked, never assumed; batches that it
//! knows are known, and an answer that was lost is found again by the next exchange.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use troupe_bus::CallOptions;
use troupe_bus::port::{System, World};
use troupe_contract::plan::{
    Apply, ApplyRequest, Bytes64, Digest as CompareDigest, DigestRequest, Relation, Snapshot,
    SnapshotRequest, Sync, SyncRequest,
};
use troupe_crdt::limits::MAX_SNAPSHOT_BYTES;
use troupe_crdt::{Document, SignedBatch};
use troupe_domain::limits::{MAX_APPLY_BATCHES, MAX_APPLY_BYTES};
use troupe_domain::{AgentId, Code, Fault, VectorClock};

use super::{PlanReplica, Shared};
use crate::Troupe;

/// How long one call waits for its answer.
const CALL_TIMEOUT_MS: u64 = 5_000;
/// How long it takes at most until what others wrote is brought for them.
const RELAY_SPREAD: Duration = Duration::from_secs(1);
/// How often a snapshot is begun anew because it was replaced while it was read.
const MAX_SNAPSHOT_ATTEMPTS: usize = 5;
/// Bytes of batches in one request: base64 and the rest must fit as well.
const MAX_REQUEST_BYTES: usize = MAX_APPLY_BYTES / 2;

/// Whether an exchange brings what others wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relay {
    /// At once.
    Now,
    /// After a moment, if the service lacks it still.
    Later,
    /// Not this time.
    Never,
}

impl PlanReplica {
    /// One whole exchange with the service: afterwards both have everything that either had.
    pub async fn sync(&self, troupe: &Troupe) -> Result<(), Fault> {
        self.shared.exchange(troupe, Relay::Now).await.map(drop)
    }
}

impl Shared {
    /// One whole exchange. Says whether the service has all that was written here: it may rest on
    /// what somebody else must bring first.
    pub(super) async fn exchange(&self, troupe: &Troupe, relay: Relay) -> Result<bool, Fault> {
        self.state.lock().is_syncing = true;
        let outcome = self.exchange_all(troupe, relay).await;
        self.note_outcome(&outcome);
        outcome.map(|()| self.has_brought_all())
    }

    /// Brings what was written here. What others wrote they bring themselves; an exchange in full
    /// brings that too.
    pub(super) async fn bring(&self, troupe: &Troupe) -> Result<bool, Fault> {
        let outcome = self.push_own(troupe).await;
        self.note_outcome(&outcome);
        outcome.map(|()| self.has_brought_all())
    }

    fn has_brought_all(&self) -> bool {
        self.next_for_service(&BTreeSet::new(), true).is_empty()
    }

    /// Brings what was written here, as far as it does not rest on what is still to come.
    async fn push_own(&self, troupe: &Troupe) -> Result<(), Fault> {
        match self.push(troupe, true).await {
            Err(fault) if fault.code == Code::FailedPrecondition => Ok(()),
            other => other,
        }
    }

    fn note_outcome(&self, outcome: &Result<(), Fault>) {
        let mut state = self.state.lock();
        state.is_syncing = false;
        let is_late = |fault: &Fault| fault.code == Code::DeadlineExceeded;
        // One answer that is late may be a busy moment, here or there.
        let is_first_late = outcome.as_ref().is_err_and(is_late) && !state.was_late;
        state.was_late = outcome.as_ref().is_err_and(is_late);
        let is_away =
            outcome.as_ref().is_err_and(is_away) && !(state.service_is_up && is_first_late);
        if is_away && state.service_is_up {
            self.away.notify_one();
        }
        state.service_is_up = !is_away;
        if !is_away {
            state.fault = outcome.as_ref().err().cloned();
        }
        drop(state);
        self.note_change();
    }

    async fn exchange_all(&self, troupe: &Troupe, relay: Relay) -> Result<(), Fault> {
        self.pull(troupe).await?;
        if relay == Relay::Now {
            self.push(troupe, false).await?;
            return self.compare(troupe).await;
        }
        self.push_own(troupe).await?;
        if relay == Relay::Later && !self.next_for_service(&BTreeSet::new(), false).is_empty() {
            // Whoever wrote it brings it, or another peer does: not all of them at once.
            tokio::time::sleep(RELAY_SPREAD.mul_f64(System.fraction())).await;
            self.pull(troupe).await?;
            self.push(troupe, false).await?;
        }
        self.compare(troupe).await
    }

    /// Takes what is missing here.
    async fn pull(&self, troupe: &Troupe) -> Result<(), Fault> {
        let mut snapshots = 0;
        loop {
            let vector = self.vector();
            let request = SyncRequest {
                object_id: self.object.clone(),
                vector: vector.clone(),
                max_bytes: None,
            };
            let reply = match troupe.call_with::<Sync>(&request, &once()).await {
                // Nobody brought anything yet.
                Err(fault) if fault.code == Code::NotFound => {
                    self.state.lock().service = VectorClock::default();
                    return Ok(());
                }
                other => other?,
            };
            if reply.snapshot_needed {
                snapshots += 1;
                if snapshots > MAX_SNAPSHOT_ATTEMPTS {
                    return Err(Fault::new(Code::Unavailable, "no snapshot was new enough"));
                }
                self.adopt_snapshot(troupe).await?;
                continue;
            }
            for batch in &reply.batches {
                let signed = Arc::new(SignedBatch::decode(batch.as_ref())?);
                let is_own = signed.batch().agent == self.agent;
                if let Err(refusal) = self.receive(signed) {
                    if is_own {
                        return Err(self.forked_itself());
                    }
                    // The next comparison finds out what this means.
                    tracing::warn!(fault = %refusal.fault(), "the service has what is refused here");
                }
            }
            if !reply.more || self.vector() == vector {
                self.service_has(&reply.vector);
                return Ok(());
            }
        }
    }

    /// Brings what the service lacks, the oldest first: own batches, and those of others that it can
    /// check.
    async fn push(&self, troupe: &Troupe, only_own: bool) -> Result<(), Fault> {
        let mut refused: BTreeSet<AgentId> = BTreeSet::new();
        loop {
            let batches = self.next_for_service(&refused, only_own);
            if batches.is_empty() {
                return Ok(());
            }
            let bytes = batches.iter().map(|batch| Bytes64(batch.shared_bytes())).collect();
            let request = ApplyRequest { batches: bytes };
            let reply = match troupe.call_with::<Apply>(&request, &once()).await {
                Ok(reply) => reply,
                // None of them was taken: the first says why.
                Err(fault) if fault.code.is_transient() => return Err(fault),
                Err(fault) => {
                    self.refused(&batches[0], fault, &mut refused)?;
                    continue;
                }
            };
            self.service_has(&reply.vector);
            if let (Some(fault), Some(batch)) = (reply.refused, batches.get(reply.results.len())) {
                self.refused(batch, fault, &mut refused)?;
            }
        }
    }

    /// The service has at least this. What was heard meanwhile may be more.
    fn service_has(&self, vector: &VectorClock) {
        let mut state = self.state.lock();
        for (agent, seq) in vector.iter() {
            // As many agents as the document may have.
            let _ = state.service.raise(agent, seq);
        }
        drop(state);
        self.note_change();
    }

    /// A batch of somebody else that is refused is that agent's affair; an own one may rest on it, and
    /// then waits until that agent comes.
    fn refused(
        &self,
        batch: &SignedBatch,
        fault: Fault,
        refused: &mut BTreeSet<AgentId>,
    ) -> Result<(), Fault> {
        let agent = &batch.batch().agent;
        let waits = fault.code == Code::FailedPrecondition && !refused.is_empty();
        if *agent == self.agent && !waits {
            return Err(fault);
        }
        tracing::debug!(%agent, %fault, "the service does not take a batch of this agent now");
        refused.insert(agent.clone());
        Ok(())
    }

    fn next_for_service(
        &self,
        refused: &BTreeSet<AgentId>,
        only_own: bool,
    ) -> Vec<Arc<SignedBatch>> {
        let state = self.state.lock();
        let missing = state.replica.history().since(&state.service);
        let mut bytes = 0;
        missing
            .into_iter()
            .filter(|batch| !only_own || batch.batch().agent == self.agent)
            .filter(|batch| !refused.contains(&batch.batch().agent))
            .take(MAX_APPLY_BATCHES)
            .take_while(|batch| {
                let is_first = bytes == 0;
                bytes += batch.bytes().len();
                is_first || bytes <= MAX_REQUEST_BYTES
            })
            .collect()
    }

    /// Compares states. Equal versions with unequal hashes are repaired by the service's snapshot.
    async fn compare(&self, troupe: &Troupe) -> Result<(), Fault> {
        let (vector, hash) = {
            let state = self.state.lock();
            let document = state.replica.document();
            (document.vector(), document.hash())
        };
        let request = DigestRequest {
            object_id: self.object.clone(),
            vector: vector.clone(),
            state_hash: hash.to_string(),
        };
        let reply = match troupe.call_with::<CompareDigest>(&request, &once()).await {
            Err(fault) if fault.code == Code::NotFound => return Ok(()),
            other => other?,
        };
        if reply.diverged {
            tracing::error!(object = %self.object, "the replica has diverged, and is repaired");
            return self.adopt_snapshot(troupe).await;
        }
        if reply.relation == Relation::Equal {
            self.compact(&vector);
        }
        let mut state = self.state.lock();
        if !reply.vector.covers(&state.service) {
            // It has less than it had: it was put back to an older state, and is told again.
            state.service = reply.vector;
            self.amiss.notify_one();
        }
        Ok(())
    }

    /// Lets go of history that the service has, once there is much of it.
    fn compact(&self, vector: &VectorClock) {
        let mut state = self.state.lock();
        if !state.folder.is_large() {
            return;
        }
        let state = &mut *state;
        let compacted = state.replica.compact(vector);
        if let Err(fault) = compacted.and_then(|()| state.folder.rewrite(&state.replica)) {
            tracing::warn!(%fault, object = %self.object, "the replica's file stays as it is");
        }
    }

    /// Takes the service's snapshot. What only this replica has stays.
    async fn adopt_snapshot(&self, troupe: &Troupe) -> Result<(), Fault> {
        let bytes = self.snapshot(troupe).await?;
        let document = Document::decode(&bytes)?;
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.replica.contradictions(&document).contains(&self.agent) {
            return Err(self.forked_itself());
        }
        state.replica.adopt(&bytes)?;
        state.folder.rewrite(&state.replica)?;
        self.note_change();
        Ok(())
    }

    /// This replica's folder was copied or put back: what it wrote since cannot be told to anybody.
    fn forked_itself(&self) -> Fault {
        let why = format!(
            "{} told the service another story than this replica holds: begin a new folder, under a \
             new name",
            self.agent
        );
        Fault::new(Code::Conflict, why).with("agent", self.agent.as_str())
    }

    async fn snapshot(&self, troupe: &Troupe) -> Result<Vec<u8>, Fault> {
        let mut fault = Fault::new(Code::Unavailable, "no snapshot was there for long enough");
        for _ in 0..MAX_SNAPSHOT_ATTEMPTS {
            match self.read_snapshot(troupe).await {
                Err(why) if why.code == Code::Conflict => fault = why,
                other => return other,
            }
        }
        Err(fault)
    }

    async fn read_snapshot(&self, troupe: &Troupe) -> Result<Vec<u8>, Fault> {
        let (mut bytes, mut offset, mut through) = (Vec::new(), 0, None);
        loop {
            let request = SnapshotRequest { object_id: self.object.clone(), offset, through };
            let piece = troupe.call_with::<Snapshot>(&request, &once()).await?;
            if bytes.len() + piece.chunk.len() > MAX_SNAPSHOT_BYTES {
                return Err(Fault::exhausted("MAX_SNAPSHOT_BYTES", MAX_SNAPSHOT_BYTES));
            }
            bytes.extend_from_slice(piece.chunk.as_ref());
            through = Some(piece.sequence);
            match piece.next_offset {
                Some(next) if next > offset => offset = next,
                Some(_) => return Err(Fault::new(Code::Internal, "a snapshot does not go on")),
                None if hex(&Sha256::digest(&bytes)) == piece.sha256 => return Ok(bytes),
                None => return Err(Fault::new(Code::Conflict, "the snapshot's hash does not fit")),
            }
        }
    }

    pub(super) fn vector(&self) -> VectorClock {
        self.state.lock().replica.document().vector()
    }
}

/// Whether a fault says that the service cannot answer now, rather than that it refuses.
pub(super) fn is_away(fault: &Fault) -> bool {
    fault.code.is_transient() || fault.code == Code::Internal
}

/// One attempt: whoever calls comes again.
fn once() -> CallOptions {
    let timeout = Duration::from_millis(CALL_TIMEOUT_MS);
    CallOptions { timeout, retry_unheard: false, ..CallOptions::default() }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
