//! An agent's own replica of a plan, or of another shared object: edited online and offline.
//!
//! The replica lives in a folder. An edit is written there and flushed before it counts, so that an agent
//! that is killed goes on with its chain and never tells a second story under one number. While it is
//! linked, it brings its edits to the plan-sync service, hears those of others, and exchanges versions
//! with other replicas over the bus, which converge without the service.
//!
//! Invariants:
//! - One process, one folder for an agent and an object: a lock on the folder sees to that. Copying a
//!   folder makes a fork, which everybody will refuse and can prove.
//! - What a replica holds was verified batch by batch, or came in a snapshot of the service.

mod exchange;
mod folder;
mod gossip;
mod link;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use troupe_bus::port::{System, World};
use troupe_crdt::conflict::DEFAULT_WINDOW_MS;
use troupe_crdt::{
    AgentKey, Edit, ForkProof, Kind, Receipt, Refusal, Replica, SignedBatch, StateHash,
};
use troupe_domain::plan::{Conflict, ObjectId, Plan};
use troupe_domain::{AgentId, Fault, VectorClock};

use folder::Folder;

pub use link::{Link, LinkSettings};

/// Proofs of forks that are kept for whoever asks.
const MAX_FORKS: usize = 64;

/// How a replica stands to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncStatus {
    /// The service has everything that is here.
    Synced,
    /// An exchange with the service is going on.
    Syncing,
    /// Something here is not known to the service yet.
    Pending,
    /// The same, and there are conflicts that somebody should look at.
    Conflict,
    /// The service refuses something of this replica: see [`PlanReplica::last_fault`].
    Error,
}

/// A replica of a plan or another shared object. Cheap to clone; all clones are one replica.
#[derive(Debug, Clone)]
pub struct PlanReplica {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    agent: AgentId,
    object: ObjectId,
    key: AgentKey,
    state: Mutex<State>,
    /// Counts changes.
    changed: watch::Sender<u64>,
    /// The agent wrote something: for the exchange with the service, and for the peers.
    written: Notify,
    written_for_peers: Notify,
    /// A batch waits for one that is not here.
    gap: Notify,
    /// Something is amiss that an exchange with the service settles.
    amiss: Notify,
    /// The service was there, and is away now.
    away: Notify,
}

#[derive(Debug)]
struct State {
    replica: Replica,
    folder: Folder,
    /// What the service is known to have.
    service: VectorClock,
    /// Until an exchange says otherwise.
    service_is_up: bool,
    /// Its last answer did not come in time.
    was_late: bool,
    is_syncing: bool,
    fault: Option<Fault>,
    forks: Vec<ForkProof>,
}

impl PlanReplica {
    /// Opens the replica of an object in a folder of the agent's own, or begins one. Needs no
    /// connection.
    ///
    /// The folder holds the agent's private key, which it makes on first use: lose it, and the name has
    /// no voice in the plans that know the key.
    pub fn open(
        folder: &Path,
        agent: &AgentId,
        object: &ObjectId,
        kind: Kind,
    ) -> Result<Self, Fault> {
        let opened = Folder::open(folder, agent, object, kind)?;
        let state = State {
            replica: opened.replica,
            folder: opened.folder,
            service: VectorClock::default(),
            service_is_up: true,
            was_late: false,
            is_syncing: false,
            fault: None,
            forks: Vec::new(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                agent: agent.clone(),
                object: object.clone(),
                key: opened.key,
                state: Mutex::new(state),
                changed: watch::channel(0).0,
                written: Notify::new(),
                written_for_peers: Notify::new(),
                gap: Notify::new(),
                amiss: Notify::new(),
                away: Notify::new(),
            }),
        })
    }

    /// The object's id.
    pub fn object(&self) -> &ObjectId {
        &self.shared.object
    }

    /// Edits: all of them, or none. It counts when this returns, online or offline; it blocks for as
    /// long as the disk takes.
    pub fn edit(&self, edits: &[Edit]) -> Result<Arc<SignedBatch>, Fault> {
        let shared = &self.shared;
        let signed = {
            let mut state = shared.state.lock();
            let document = state.replica.document();
            let now = System.now();
            let signed = Arc::new(document.edit(&shared.agent, &shared.key, None, now, edits)?);
            // What is on the disk must be applicable for ever.
            document.check(&signed)?;
            state.folder.append_own(&signed)?;
            state.replica.replay(signed.clone())?;
            signed
        };
        shared.note_change();
        shared.written.notify_one();
        shared.written_for_peers.notify_one();
        Ok(signed)
    }

    /// Takes a batch that came some other way. It is checked like any other.
    pub fn receive(&self, batch: &[u8]) -> Result<(), Fault> {
        let signed = SignedBatch::decode(batch)?;
        self.shared.receive(Arc::new(signed)).map(drop).map_err(|refusal| refusal.fault())
    }

    /// Looks at the replica. Nothing else happens to it meanwhile: be brief.
    pub fn read<T>(&self, look: impl FnOnce(&Replica) -> T) -> T {
        look(&self.shared.state.lock().replica)
    }

    /// The plan as it is seen here.
    pub fn plan(&self) -> Option<Plan> {
        self.read(|replica| replica.document().plan())
    }

    /// The conflicts as they are seen here, with merged texts where there are some.
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.read(|replica| {
            let mut conflicts = replica.document().conflicts(DEFAULT_WINDOW_MS);
            replica.history().offer_merges(replica.document(), &mut conflicts);
            conflicts
        })
    }

    /// The version that is seen here.
    pub fn vector(&self) -> VectorClock {
        self.read(|replica| replica.document().vector())
    }

    /// The hash of the state that is seen here: equal wherever the version is.
    pub fn hash(&self) -> StateHash {
        self.read(|replica| replica.document().hash())
    }

    /// How the replica stands to the others.
    pub fn status(&self) -> SyncStatus {
        let state = self.shared.state.lock();
        if state.fault.is_some() {
            return SyncStatus::Error;
        }
        if state.is_syncing {
            return SyncStatus::Syncing;
        }
        if !state.service.covers(&state.replica.document().vector()) {
            return SyncStatus::Pending;
        }
        if state.replica.document().conflicts(DEFAULT_WINDOW_MS).is_empty() {
            return SyncStatus::Synced;
        }
        SyncStatus::Conflict
    }

    /// Why the service refused something of this replica the last time; nothing if it did not.
    pub fn last_fault(&self) -> Option<Fault> {
        self.shared.state.lock().fault.clone()
    }

    /// Proofs that agents told two stories under one number, as far as this replica met them.
    pub fn forks(&self) -> Vec<ForkProof> {
        self.shared.state.lock().forks.clone()
    }

    /// Tells whenever something changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Completes when a condition holds.
    pub async fn until(&self, mut holds: impl FnMut(&Replica) -> bool) {
        let mut changes = self.changes();
        while !self.read(&mut holds) {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Shared {
    fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Takes a batch from anywhere: applies it, or lets it wait; keeps what was applied.
    fn receive(&self, signed: Arc<SignedBatch>) -> Result<Receipt, Refusal> {
        let mut state = self.state.lock();
        let outcome = state.replica.receive(signed);
        match &outcome {
            Ok(receipt) if !receipt.applied.is_empty() => {
                // If the disk is full, the next exchange brings it again after a restart.
                if let Err(fault) = state.folder.append(&receipt.applied) {
                    tracing::warn!(%fault, object = %self.object, "a batch of a peer is not kept");
                }
                drop(state);
                self.note_change();
            }
            Err(Refusal::Fork(proof)) => {
                tracing::warn!(agent = %proof.agent(), seq = proof.seq(), "an agent told two stories");
                if state.forks.len() < MAX_FORKS && !state.forks.contains(proof) {
                    state.forks.push(proof.as_ref().clone());
                }
            }
            _ => {}
        }
        outcome
    }
}
