//! The router: a request finds the owner of its shard, in this process or at a peer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_contract::subject;
use troupe_domain::{Code, Fault};

use crate::machine::Machine;
use crate::owner::Shard;

const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_millis(200);

/// Where the shards are.
pub struct Router<M: Machine> {
    bus: Bus,
    shards: u16,
    local: RwLock<BTreeMap<u16, Arc<Shard<M>>>>,
    /// Counts the changes of `local`.
    changes: watch::Sender<u64>,
}

impl<M: Machine> std::fmt::Debug for Router<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl<M: Machine> Router<M> {
    /// A router over `shards` shards, none of them here yet.
    pub fn new(bus: Bus, shards: u16) -> Self {
        Self { bus, shards, local: RwLock::default(), changes: watch::channel(0).0 }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The shards that this process owns.
    pub fn local(&self) -> Vec<Arc<Shard<M>>> {
        self.local.read().values().cloned().collect()
    }

    /// One shard, if this process owns it.
    pub fn find(&self, shard: u16) -> Option<Arc<Shard<M>>> {
        self.local.read().get(&shard).cloned()
    }

    /// This process owns the shard from now on.
    pub fn add(&self, shard: Arc<Shard<M>>) {
        self.local.write().insert(shard.number(), shard);
        self.changes.send_modify(|count| *count += 1);
    }

    /// It no longer does.
    pub fn remove(&self, shard: u16) {
        self.local.write().remove(&shard);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes whenever this process owns other shards than before.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks the owner of `shard`, wherever it is, until `deadline`. While the shard changes hands
    /// nothing was carried out, and the request is sent again.
    pub async fn call(
        &self,
        shard: u16,
        mut request: M::Request,
        deadline: Instant,
    ) -> Result<M::Reply, Fault> {
        let mut encoded: Option<Bytes> = None;
        let mut wait = FIRST_RETRY;
        loop {
            let result = if let Some(owner) = self.find(shard) {
                match owner.try_call(request).await {
                    Ok(result) => return result,
                    Err((again, why)) => {
                        request = *again;
                        Err(Fault::new(Code::Unavailable, why))
                    }
                }
            } else {
                // In a box: what is rarely gone through must not make every request's future large.
                Box::pin(self.ask_peer(shard, &request, &mut encoded, deadline)).await
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match result {
                Err(fault) if fault.code == Code::Unavailable && left > wait => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LAST_RETRY);
                }
                result => return result,
            }
        }
    }

    async fn ask_peer(
        &self,
        shard: u16,
        request: &M::Request,
        encoded: &mut Option<Bytes>,
        deadline: Instant,
    ) -> Result<M::Reply, Fault> {
        let internal = |why: serde_json::Error| Fault::new(Code::Internal, why.to_string());
        let body = match encoded {
            Some(body) => body.clone(),
            None => encoded.insert(serde_json::to_vec(request).map_err(internal)?.into()).clone(),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let answer =
            self.bus.ask_peer(&subject::shard_owner(M::SERVICE, shard), body, left).await?;
        serde_json::from_slice(&answer).map_err(internal)
    }

    /// Asks every shard at once.
    pub async fn call_all(
        &self,
        request: M::Request,
        deadline: Instant,
    ) -> Result<Vec<M::Reply>, Fault> {
        let calls = (0..self.shards).map(|shard| self.call(shard, request.clone(), deadline));
        futures::future::try_join_all(calls).await
    }
}
