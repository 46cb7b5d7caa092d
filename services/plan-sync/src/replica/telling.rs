//! Telling replicas of each batch that was taken in, in the order of the log.
//!
//! Invariants: nothing is told before it is stored; of one object each batch is told after those that it
//! rests on, so that who listens from the beginning can apply each as it comes. It is no promise: what
//! is lost with a connection or an owner is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_contract::subject;

use crate::handlers::{Router, Shard};

/// Tells the batches of this replica's shards.
#[derive(Debug)]
pub struct Telling {
    /// The bus.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
    /// Changes when some shard has something to tell.
    pub news: watch::Receiver<u64>,
}

/// The teller of one shard; it ends when this is dropped.
struct Teller {
    shard: Arc<Shard>,
    task: JoinHandle<()>,
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Telling {
    /// Tells until it is aborted.
    pub async fn run(self) {
        let mut changes = self.router.changes();
        let mut tellers: BTreeMap<u16, Teller> = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let owned = self.router.local();
            tellers.retain(|_, telling| owned.iter().any(|s| Arc::ptr_eq(s, &telling.shard)));
            for shard in owned {
                tellers.entry(shard.number()).or_insert_with(|| Teller {
                    task: tokio::spawn(tell(self.bus.clone(), shard.clone(), self.news.clone())),
                    shard,
                });
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Tells for one shard.
async fn tell(bus: Bus, shard: Arc<Shard>, mut news: watch::Receiver<u64>) {
    loop {
        news.borrow_and_update();
        if shard.look(|state| !state.outbox.is_empty()) {
            let Some((batches, end)) = shard.look_stored(|state| state.outbox.all()).await else {
                return;
            };
            for (object, batch) in batches {
                let body = bytes::Bytes::from_owner(batch);
                bus.tell(subject::object_batches(&object), body).await;
            }
            shard.act(|state, _| state.outbox.told(end));
        } else if news.changed().await.is_err() {
            return;
        }
    }
}
