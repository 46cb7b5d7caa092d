//! The cold tier follows the rules: what belongs there is written to a segment and then leaves memory,
//! what is read again comes back, and segments with what is not wanted any more are written anew.
//!
//! Invariants: nothing leaves memory before its segment can be read and the log says where it is; a
//! segment that something deleted is in goes at once, and is gone before the deletion is said to be
//! done; nor is it said to be done while there is a segment that nobody stands on, as a crash leaves it:
//! that may hold anything. What fails costs the cold tier time and nobody else anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use troupe_bus::port::World;
use troupe_domain::Name;
use troupe_domain::memory::{Memory, MemoryId, Namespace};
use troupe_segments::{Entry, Placed, SegmentId, Segments};

use super::compacting::{Compacting, Judged, clear};
use super::salvage::{MAX_READ_AT_ONCE, NotDone, salvage};
use crate::handlers::contents::{Line, is_lost};
use crate::handlers::{Router, Shard};
use crate::rules::entry::{ColdPlace, sha256_of};
use crate::rules::record::Archived;
use crate::rules::request::MemoryRequest;
use crate::rules::state::{Key, MemoryState};
use crate::rules::tombstone::Tombstone;
use crate::rules::work::Cursor;
use crate::store::cold::Health;

/// How often it is looked for what cannot wait.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long after a failure nothing is tried, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Entries that are looked at while requests wait.
const STEPS: u32 = 10_000;
/// Bytes of contents in one segment, about.
pub(super) const MAX_SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Entries in one segment.
pub(super) const MAX_SEGMENT_ENTRIES: usize = 10_000;
/// Entries that are deleted in one request, of those that were kept for long enough.
const MAX_LET_GO: usize = 1_000;
/// How old a segment that nobody stands on must be before it goes.
const GRACE_MS: u64 = 60 * 60 * 1000;
/// How often it is looked for such segments.
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// Segments that are read anew after a takeover, in one round.
const MAX_REREAD: usize = 4;

/// Keeps the cold tier as the shards of this replica say.
pub struct Cooling {
    /// Where the shards are.
    pub router: Arc<Router>,
    /// The cold tier.
    pub segments: Option<Segments>,
    /// How it is with it.
    pub health: Arc<Health>,
    /// How often it is looked for entries that belong in another tier.
    pub sweep_every: Duration,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// What was looked at for being written anew.
    pub judged: Judged,
}

impl std::fmt::Debug for Cooling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cooling").field("segments", &self.segments).finish_non_exhaustive()
    }
}

impl Cooling {
    /// Works until it is aborted.
    pub async fn run(self) {
        let (mut wait, mut walk_at) = (RETRY.0, Instant::now() + self.sweep_every);
        let mut sweep_at = Instant::now() + SWEEP_EVERY;
        loop {
            sleep(LOOK_EVERY).await;
            let (walks, sweeps) = (Instant::now() >= walk_at, Instant::now() >= sweep_at);
            let mut failed = None;
            for shard in self.router.local() {
                if let Err(why) = self.round(&shard, walks, sweeps).await {
                    failed = Some(why);
                }
            }
            if walks {
                walk_at = Instant::now() + self.sweep_every;
            }
            if sweeps {
                sweep_at = Instant::now() + SWEEP_EVERY;
            }
            match failed {
                None => {
                    wait = RETRY.0;
                    self.health.set(None);
                }
                Some(why) => {
                    tracing::warn!(%why, "the cold tier is not as it should be; again in {wait:?}");
                    self.health.set(Some(why.to_string()));
                    sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    async fn round(&self, shard: &Arc<Shard>, walks: bool, sweeps: bool) -> Result<(), NotDone> {
        let walked = if walks { self.walk(shard).await } else { Ok(()) };
        let Some(segments) = &self.segments else {
            self.bury(shard).await?;
            return walked;
        };
        let (world, judged) = (&*self.world, &self.judged);
        let compacting = Compacting { shard, segments, world, judged };
        if shard.look(MemoryState::has_urgent_segments) {
            compacting.urgent().await?;
        }
        if walks {
            compacting.worth().await?;
        }
        self.bury(shard).await?;
        self.reread(shard, segments).await?;
        if sweeps {
            self.sweep(shard, segments).await?;
        }
        walked
    }

    /// Deleted entries of which no segment holds a copy are gone from here.
    async fn bury(&self, shard: &Arc<Shard>) -> Result<(), NotDone> {
        let is_gone = |t: &Tombstone| t.cold.is_none() && t.copies.is_empty();
        let gone = shard.look(|state| state.deletions(is_gone));
        let mut by_namespace: BTreeMap<Namespace, Vec<MemoryId>> = BTreeMap::new();
        for (namespace, id) in gone {
            by_namespace.entry(namespace).or_default().push(id);
        }
        for (namespace, ids) in by_namespace {
            if let Some(segments) = &self.segments {
                clear(shard, segments, &namespace, &*self.world).await?;
            }
            shard.call(MemoryRequest::Gone { namespace, ids, tier: "cold".to_owned() }).await?;
        }
        Ok(())
    }

    /// Walks over all entries: each goes where it belongs.
    async fn walk(&self, shard: &Arc<Shard>) -> Result<(), NotDone> {
        let mut cursor = Cursor::default();
        loop {
            let now = self.world.now();
            let due = shard.look(|state| state.due(&mut cursor, STEPS, now));
            for (namespace, ids) in due.retier {
                shard.call(MemoryRequest::Retier { namespace, ids }).await?;
            }
            if let Some(segments) = &self.segments {
                for (namespace, entries) in due.archive {
                    self.archive(shard, segments, &namespace, entries).await?;
                }
                for (key, place) in due.warm {
                    self.warm(shard, segments, key, place).await?;
                }
                for (namespace, ids) in due.outlived {
                    self.let_go(shard, &namespace, &ids).await?;
                }
            }
            if due.is_over || shard.closed().is_some() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Deletes what was kept for as long as it is to be.
    async fn let_go(
        &self,
        shard: &Arc<Shard>,
        namespace: &Namespace,
        ids: &[MemoryId],
    ) -> Result<(), NotDone> {
        let by = Name::parse_field("by", crate::NAME)?;
        for some in ids.chunks(MAX_LET_GO) {
            let (namespace, ids, by) = (namespace.clone(), some.to_vec(), by.clone());
            let salt = self.world.ulid().to_string();
            shard.call(MemoryRequest::Outlived { namespace, ids, by, salt }).await?;
        }
        Ok(())
    }

    async fn archive(
        &self,
        shard: &Arc<Shard>,
        segments: &Segments,
        namespace: &Namespace,
        entries: Vec<(Memory, String)>,
    ) -> Result<(), NotDone> {
        let (mut some, mut bytes) = (Vec::new(), 0);
        for (memory, sha256) in entries {
            bytes += memory.content.as_deref().map_or(0, str::len);
            some.push((memory, sha256));
            if bytes >= MAX_SEGMENT_BYTES || some.len() >= MAX_SEGMENT_ENTRIES {
                self.write(shard, segments, namespace, std::mem::take(&mut some)).await?;
                bytes = 0;
            }
        }
        self.write(shard, segments, namespace, some).await
    }

    async fn write(
        &self,
        shard: &Arc<Shard>,
        segments: &Segments,
        namespace: &Namespace,
        entries: Vec<(Memory, String)>,
    ) -> Result<(), NotDone> {
        if entries.is_empty() {
            return Ok(());
        }
        let now = self.world.now();
        let id = SegmentId::new(now, self.world.random());
        let lines = entries.iter().map(|(memory, _)| Entry {
            id: memory.id.to_string(),
            at: memory.created_at,
            line: line_of(memory),
        });
        let written = segments.write(namespace, id, lines.collect(), now).await?;
        let digests: BTreeMap<&str, &String> =
            entries.iter().map(|(memory, sha256)| (memory.id.as_str(), sha256)).collect();
        let archived = written.places.iter().filter_map(|placed| {
            let sha256 = (*digests.get(placed.id.as_str())?).clone();
            Some(Archived { id: id_of(placed)?, sha256, place: place_of(id, placed) })
        });
        let entries = archived.collect();
        let request = MemoryRequest::Archived { namespace: namespace.clone(), entries };
        shard.call(request).await?;
        Ok(())
    }

    /// Brings the content of an entry back to memory.
    async fn warm(
        &self,
        shard: &Arc<Shard>,
        segments: &Segments,
        (namespace, id): Key,
        place: ColdPlace,
    ) -> Result<(), NotDone> {
        let line = match segments.read(&namespace, place.wanted()).await {
            Ok(line) => line,
            Err(why) if is_lost(&why) => {
                let (entries, reason) = (vec![(id, place.segment)], why.to_string());
                shard.call(MemoryRequest::Damaged { namespace, entries, reason }).await?;
                return Ok(());
            }
            Err(why) => return Err(why.into()),
        };
        if let Ok(Line { content }) = serde_json::from_slice(&line) {
            shard.call(MemoryRequest::Warmed { namespace, id, content }).await?;
        }
        Ok(())
    }

    /// After a takeover: reads the words of the cold tier, which are in no snapshot.
    async fn reread(&self, shard: &Arc<Shard>, segments: &Segments) -> Result<(), NotDone> {
        let due = shard.look(|state| state.unindexed_segments(MAX_REREAD));
        for (namespace, segment) in due {
            let scan = match segments.scan(&namespace, segment).await {
                Ok(scan) => scan,
                Err(why) if is_lost(&why) => {
                    self.read_singly(shard, segments, &namespace, segment).await?;
                    continue;
                }
                Err(why) => return Err(why.into()),
            };
            let read: Vec<(MemoryId, String, String)> = scan
                .entries
                .iter()
                .filter_map(|(entry, placed)| {
                    let line: Line = serde_json::from_slice(&entry.line).ok()?;
                    Some((id_of(placed)?, sha256_of(&line.content), line.content))
                })
                .collect();
            shard.act(|state, _| state.reread(&namespace, &read));
            self.read_singly(shard, segments, &namespace, segment).await?;
        }
        Ok(())
    }

    /// What was not found in a segment as a whole may be read by itself, or is damaged.
    async fn read_singly(
        &self,
        shard: &Arc<Shard>,
        segments: &Segments,
        namespace: &Namespace,
        segment: SegmentId,
    ) -> Result<(), NotDone> {
        let left = shard.look(|state| state.unindexed_in(namespace, segment));
        for some in left.chunks(MAX_READ_AT_ONCE) {
            let read = salvage(shard, segments, namespace, some).await?.read;
            shard.act(|state, _| state.reread(namespace, &read));
        }
        Ok(())
    }

    /// Removes segments that nobody stands on, such as those of a crash between two steps.
    async fn sweep(&self, shard: &Arc<Shard>, segments: &Segments) -> Result<(), NotDone> {
        let standing = shard.look_stored(MemoryState::standing_segments).await;
        for (namespace, standing) in standing.into_iter().flatten() {
            let swept = segments.sweep(&namespace, &standing, self.world.now(), GRACE_MS).await?;
            for segment in swept.missing {
                tracing::error!(%namespace, %segment, "a segment of the cold tier is not there");
            }
        }
        Ok(())
    }
}

/// An entry as a line: what is in the state beside its content is there, and stays there.
fn line_of(memory: &Memory) -> bytes::Bytes {
    let line = Memory { details: None, ..memory.clone() };
    // A tree of plain fields always serialises.
    serde_json::to_vec(&line).unwrap_or_default().into()
}

pub(super) fn id_of(placed: &Placed) -> Option<MemoryId> {
    Name::parse(&placed.id).ok()
}

pub(super) fn place_of(segment: SegmentId, placed: &Placed) -> ColdPlace {
    ColdPlace { segment, place: placed.place, digest: placed.digest }
}
