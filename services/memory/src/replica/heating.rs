//! The hot tier follows the state: what is hot is copied to Redis, what is not any more is removed.
//!
//! Invariants: only what is stored in the log is copied; one shard's copies are written one after the
//! other, so that a removal is never overtaken; a removal that was not done stays to be done.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_bus::port::World;
use troupe_domain::memory::{MemoryId, Namespace};

use crate::handlers::{Router, Shard};
use crate::rules::request::MemoryRequest;
use crate::store::hot::Hot;

/// How often it is looked for what changed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long after a failure nothing is tried.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Copies that are written together.
const MAX_TOGETHER: usize = 256;

/// Keeps the hot tier as the shards of this replica say.
pub struct Heating {
    /// Where the shards are.
    pub router: Arc<Router>,
    /// The hot tier; without one nothing is there, and nothing must be removed.
    pub hot: Option<Arc<Hot>>,
    /// Time.
    pub world: Arc<dyn World>,
}

impl std::fmt::Debug for Heating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heating").finish_non_exhaustive()
    }
}

impl Heating {
    /// Works until it is aborted.
    pub async fn run(self) {
        loop {
            let (mut done, mut failed) = (0, false);
            for shard in self.router.local() {
                match self.follow(&shard).await {
                    Some(count) => done += count,
                    None => failed = true,
                }
            }
            if failed {
                sleep(AGAIN_AFTER).await;
            } else if done == 0 {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Writes some changes; none if they could not be written.
    async fn follow(&self, shard: &Arc<Shard>) -> Option<usize> {
        if shard.look(|state| !state.has_hot_changes()) {
            return Some(0);
        }
        let now = self.world.now();
        let keys = shard.act(|state, _| state.take_hot_changes(MAX_TOGETHER))?;
        let changes = shard.look_stored(|state| state.hot_changes(&keys, now)).await?;
        let is_done = match &self.hot {
            Some(hot) => hot.apply(&changes).await,
            None => true,
        };
        if !is_done {
            shard.act(|state, _| state.hot_again(keys));
            return None;
        }
        let count = keys.len();
        self.bury(shard, keys).await;
        Some(count)
    }

    /// What was deleted is gone from the hot tier.
    async fn bury(&self, shard: &Arc<Shard>, keys: Vec<(Namespace, MemoryId)>) {
        let buried = shard.look(|state| state.buried(&keys, |tombstone| tombstone.hot.is_none()));
        for (namespace, ids) in buried {
            let request = MemoryRequest::Gone { namespace, ids, tier: "hot".to_owned() };
            if let Err(fault) = shard.call(request).await {
                tracing::debug!(%fault, "the end of what was deleted is written down later");
                shard.act(|state, _| state.hot_again(keys.clone()));
                return;
            }
        }
    }
}
