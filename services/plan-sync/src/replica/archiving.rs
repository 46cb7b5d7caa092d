//! The archivist: brings snapshots and history of this replica's shards to the archive.
//!
//! Invariants: what is not stored in the log is not brought; a failure costs nothing but time, and is
//! told in `plan.stats`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_bus::port::World;
use troupe_contract::plan::Bytes64;
use troupe_domain::{Code, Fault};

use crate::handlers::{Router, Shard};
use crate::rules::keeping::Due;
use crate::rules::object::{Kept, replayed};
use crate::rules::request::PlanRequest;
use crate::store::archive::{Archive, ArchiveError};

/// How often it is looked for what is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long after a failure nothing is tried, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Objects of one shard that are brought in one round.
const MAX_DUE: usize = 16;

/// Why a piece is not in the archive.
#[derive(Debug, thiserror::Error)]
enum NotArchived {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// Brings what is due to the archive.
pub struct Archivist {
    /// Where the shards are.
    pub router: Arc<Router>,
    /// Where it goes.
    pub archive: Archive,
    /// Time.
    pub world: Arc<dyn World>,
}

impl std::fmt::Debug for Archivist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archivist").field("archive", &self.archive).finish_non_exhaustive()
    }
}

impl Archivist {
    /// Works until it is aborted.
    pub async fn run(self) {
        let mut wait = RETRY.0;
        loop {
            sleep(LOOK_EVERY).await;
            let mut failed = None;
            for shard in self.router.local() {
                if let Err(why) = self.bring_due(&shard).await {
                    shard.act(|state, _| state.archive_failed(why.to_string()));
                    failed = Some(why);
                }
            }
            match failed {
                None => wait = RETRY.0,
                Some(why) => {
                    tracing::warn!(%why, "the archive takes nothing; again in {wait:?}");
                    sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    async fn bring_due(&self, shard: &Arc<Shard>) -> Result<(), NotArchived> {
        let now = self.world.now();
        if shard.look(|state| state.due(now, 1).is_empty()) {
            return Ok(());
        }
        let due = shard.look_stored(|state| state.due(now, MAX_DUE)).await;
        for piece in due.into_iter().flatten() {
            self.bring(shard, piece).await?;
        }
        Ok(())
    }

    async fn bring(&self, shard: &Arc<Shard>, due: Due) -> Result<(), NotArchived> {
        let Due { object, kind, base, kept, first, through } = due;
        let id = object.clone();
        let made = tokio::task::spawn_blocking(move || {
            let snapshot = replayed(&id, kind, &base, &kept)?.encode();
            let new: Vec<Arc<Kept>> = kept.into_iter().filter(|k| k.sequence >= first).collect();
            Ok::<_, Fault>((snapshot, new))
        });
        let (snapshot, new) =
            made.await.map_err(|why| Fault::new(Code::Internal, why.to_string()))??;
        self.archive.put_history(&object, first, through, &new).await?;
        self.archive.put_snapshot(&object, through, &snapshot).await?;
        let snapshot = Bytes64::from(snapshot);
        let request = PlanRequest::Archived { object, first, through, snapshot };
        shard.call(request).await?;
        Ok(())
    }
}
