//! What was lost in the cold tier is looked for in the log: what was written there once is there until it
//! is purged, in a record or in a snapshot.
//!
//! Invariants: a content comes back only if its digest is that of its entry; the search is beside the
//! requests, bounded, and one for everything that the same damage hit. What is not found stays damaged,
//! as it was reported.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_segments::{SegmentId, Segments};
use troupe_shard::Kept;

use super::salvage::{MAX_READ_AT_ONCE, NotDone, salvage};
use crate::handlers::{Router, Shard};
use crate::rules::entry::sha256_of;
use crate::rules::record::{Record, What};
use crate::rules::recovering::Standing;
use crate::rules::request::MemoryRequest;
use crate::rules::snapshot::SnapshotLine;
use crate::rules::state::{Key, MemoryState};

/// How often it is looked whether something is lost.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long after a failure nothing is looked for.
const RETRY: Duration = Duration::from_secs(5);
/// Entries that are looked for at once.
const MAX_SOUGHT: usize = 10_000;
/// Bytes of their contents: they are held until the log was read.
const MAX_SOUGHT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the log that are read in one search.
const MAX_SEARCHED_BYTES: u64 = 1024 * 1024 * 1024;

/// Finds contents that the cold tier lost.
#[derive(Debug)]
pub struct Recovering {
    /// Where the shards are.
    pub router: Arc<Router>,
    /// The cold tier.
    pub segments: Segments,
}

impl Recovering {
    /// Works until it is aborted.
    pub async fn run(self) {
        loop {
            sleep(LOOK_EVERY).await;
            for shard in self.router.local() {
                if let Err(why) = self.recover(&shard).await {
                    tracing::warn!(%why, "what the cold tier lost is looked for in the log later");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn recover(&self, shard: &Arc<Shard>) -> Result<(), NotDone> {
        let lost = |state: &MemoryState| state.lost(MAX_SOUGHT, MAX_SOUGHT_BYTES);
        let met = shard.look(lost);
        if met.is_empty() {
            return Ok(());
        }
        let segments: BTreeSet<(Namespace, SegmentId)> =
            met.into_iter().map(|(name, entry)| (name, entry.place.segment)).collect();
        for (namespace, segment) in segments {
            if let Err(why) = self.meet(shard, &namespace, segment).await {
                tracing::warn!(%why, %namespace, %segment, "what else is damaged is met later");
            }
        }
        let sought = shard.look(lost);
        let found = search(shard, &sought).await?;
        let mut missing: Vec<Key> = Vec::new();
        let mut recovered = 0;
        for (key, content) in found {
            let (namespace, id) = key.clone();
            match content {
                Some(content) => {
                    shard.call(MemoryRequest::Warmed { namespace, id, content }).await?;
                    recovered += 1;
                }
                None => missing.push(key),
            }
        }
        shard.act(|state, _| state.looked_for(&missing));
        if recovered > 0 {
            tracing::warn!(recovered, "contents that the cold tier lost were found in the log");
        }
        if let Some((namespace, id)) = missing.first() {
            let lost = missing.len();
            tracing::error!(lost, %namespace, first = %id, "contents that the cold tier lost are not in the log any more");
        }
        Ok(())
    }

    /// Meets whatever else is lost of a segment.
    async fn meet(
        &self,
        shard: &Arc<Shard>,
        namespace: &Namespace,
        segment: SegmentId,
    ) -> Result<(), NotDone> {
        let standing = shard.look(|state| state.standing_in(namespace, &[segment]));
        for some in standing.chunks(MAX_READ_AT_ONCE) {
            salvage(shard, &self.segments, namespace, some).await?;
        }
        Ok(())
    }
}

/// Reads what is still in the log until every content is found, or it is over.
async fn search(
    shard: &Arc<Shard>,
    sought: &[(Namespace, Standing)],
) -> Result<BTreeMap<Key, Option<String>>, NotDone> {
    let digests: BTreeMap<Key, &String> =
        sought.iter().map(|(name, one)| ((name.clone(), one.id.clone()), &one.sha256)).collect();
    let mut found: BTreeMap<Key, Option<String>> =
        digests.keys().map(|key| (key.clone(), None)).collect();
    let mut left = found.len();
    let mut each = |kept: Kept<MemoryState>| {
        if let Some((key, content)) = content_of(kept)
            && let Some(slot @ None) = found.get_mut(&key)
            && digests.get(&key).is_some_and(|sha256| **sha256 == sha256_of(&content))
        {
            *slot = Some(content);
            left -= 1;
        }
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    shard.read_kept(MAX_SEARCHED_BYTES, &mut each).await?;
    Ok(found)
}

/// The content that a part of the log holds, and whose it is.
fn content_of(kept: Kept<MemoryState>) -> Option<(Key, String)> {
    let of = |namespace: Namespace, id: MemoryId, content: Option<String>| {
        Some(((namespace, id), content?))
    };
    match kept {
        Kept::Record(Record { namespace, what, .. }) => match what {
            What::Created(created) => of(namespace?, created.memory.id, created.memory.content),
            What::Updated(updated) => of(namespace?, updated.id, updated.content),
            What::Warmed { id, content } => of(namespace?, id, Some(content)),
            _ => None,
        },
        Kept::Line(SnapshotLine::Entry(entry)) => {
            let memory = &entry.memory;
            of(memory.namespace.clone(), memory.id.clone(), memory.content.clone())
        }
        Kept::Line(_) => None,
    }
}
