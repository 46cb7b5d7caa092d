//! What was deleted leaves the log: when it is gone from every tier, the log before its deletion is
//! purged, by taking two snapshots.
//!
//! Invariant: a deletion is said to be complete only when no message of the log can hold its content:
//! both snapshots that a replica may begin with were taken after the deletion was stored.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_domain::Fault;

use crate::handlers::{Router, Shard};
use crate::rules::request::MemoryRequest;
use crate::rules::tombstone::Tombstone;

/// How often it is looked for what is to be forgotten. What comes meanwhile goes together.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(120);

/// Purges the logs of this replica's shards.
#[derive(Debug)]
pub struct Forgetting {
    /// Where the shards are.
    pub router: Arc<Router>,
}

impl Forgetting {
    /// Works until it is aborted.
    pub async fn run(self) {
        loop {
            sleep(LOOK_EVERY).await;
            for shard in self.router.local() {
                if let Err(fault) = forget(&shard).await {
                    tracing::warn!(%fault, "what was deleted leaves the log later");
                }
            }
        }
    }
}

async fn forget(shard: &Arc<Shard>) -> Result<(), Fault> {
    let waiting = shard.look(|state| state.deletions(Tombstone::waits_for_log));
    if waiting.is_empty() {
        return Ok(());
    }
    for _ in 0..2 {
        // The log must go on for what is before it to go.
        shard.call(MemoryRequest::Mark).await?;
        let taken = tokio::time::timeout(SNAPSHOT_WITHIN, shard.snapshot_now()).await;
        if taken != Ok(true) {
            return Err(Fault::precondition("no snapshot was taken"));
        }
    }
    let keys = waiting;
    let buried = shard.look(|state| state.buried(&keys, Tombstone::waits_for_log));
    for (namespace, ids) in buried {
        shard.call(MemoryRequest::Gone { namespace, ids, tier: "log".to_owned() }).await?;
    }
    Ok(())
}
