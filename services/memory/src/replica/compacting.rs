//! Segments are written anew: at once where something deleted is in them, and when a part of them is not
//! wanted any more, or they are small and many.
//!
//! Invariants: a segment goes only when the log says where everything is that stood on it, and of what is
//! in two segments meanwhile the log says both; what cannot be taken along is read by itself, and damage
//! is told before what is damaged goes.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_bus::port::World;
use troupe_domain::Fault;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_segments::planning::{self, CompactionRules};
use troupe_segments::{OnDamage, SegmentId, Segments};

use super::cooling::{MAX_SEGMENT_BYTES, MAX_SEGMENT_ENTRIES, id_of, place_of};
use super::salvage::{MAX_READ_AT_ONCE, NotDone, salvage};
use crate::handlers::Shard;
use crate::rules::entry::ColdPlace;
use crate::rules::request::MemoryRequest;
use crate::rules::state::MemoryState;

/// The cold tier of one shard, while it is written anew.
pub(super) struct Compacting<'a> {
    pub(super) shard: &'a Arc<Shard>,
    pub(super) segments: &'a Segments,
    pub(super) world: &'a dyn World,
    pub(super) judged: &'a Judged,
}

/// How many entries stood on which segments when it was last looked whether any is worth it, as a digest:
/// where nothing changed since, the storage is not asked again.
#[derive(Debug, Default)]
pub struct Judged(Mutex<HashMap<(u16, Namespace), u64>>);

impl Judged {
    fn is_news(&self, shard: u16, namespace: &Namespace, digest: u64) -> bool {
        self.0.lock().get(&(shard, namespace.clone())) != Some(&digest)
    }

    fn keep(&self, digests: HashMap<Namespace, u64>, shard: u16) {
        let mut all = self.0.lock();
        all.retain(|(of, _), _| *of != shard);
        all.extend(digests.into_iter().map(|(name, digest)| ((shard, name), digest)));
    }
}

impl Compacting<'_> {
    /// Writes anew what something deleted is in.
    pub(super) async fn urgent(&self) -> Result<(), NotDone> {
        let urgent = self.shard.look_stored(MemoryState::urgent_segments).await;
        for (namespace, segments) in urgent.into_iter().flatten() {
            for segment in segments {
                self.renew(&namespace, &[segment]).await?;
            }
        }
        Ok(())
    }

    /// Writes anew what is worth it.
    pub(super) async fn worth(&self) -> Result<(), NotDone> {
        let rules = CompactionRules {
            target_raw_bytes: MAX_SEGMENT_BYTES as u64,
            max_entries: MAX_SEGMENT_ENTRIES,
            ..CompactionRules::default()
        };
        let live = self.shard.look_stored(MemoryState::live_segments).await;
        let (number, mut judged) = (self.shard.number(), HashMap::new());
        for (namespace, live) in live.into_iter().flatten() {
            let mut hasher = DefaultHasher::new();
            live.hash(&mut hasher);
            let digest = hasher.finish();
            judged.insert(namespace.clone(), digest);
            if !self.judged.is_news(number, &namespace, digest) {
                continue;
            }
            let listed = self.segments.manifest(&namespace).await?.segments;
            let standing: Vec<planning::Standing> = listed
                .into_iter()
                .filter_map(|info| Some(planning::Standing { live: *live.get(&info.id)?, info }))
                .collect();
            for group in planning::compactions(&standing, &rules) {
                self.renew(&namespace, &group).await?;
            }
        }
        self.judged.keep(judged, number);
        Ok(())
    }

    /// Makes one segment of what is wanted of some; none if that is nothing.
    async fn renew(&self, namespace: &Namespace, formers: &[SegmentId]) -> Result<(), NotDone> {
        if !self.is_there(namespace).await? {
            let why = "the cold tier holds nothing of a namespace that has segments: is it the right place?";
            return Err(Fault::precondition(why).with("namespace", namespace.as_str()).into());
        }
        let now = self.world.now();
        let id = SegmentId::new(now, self.world.random());
        let wanted = |state: &MemoryState| state.wanted_from(namespace, formers);
        let Some(wanted) = self.shard.look_stored(wanted).await else {
            return Err(Fault::precondition("the shard changed hands").into());
        };
        if !wanted.is_empty() {
            let keep = |from: SegmentId, id: &str| wanted.get(id) == Some(&from);
            let rewritten = self
                .segments
                .rewrite(namespace, formers, keep, OnDamage::LeaveOut, id, now)
                .await?;
            let written = rewritten.written.into_iter().flat_map(|written| written.places);
            let places: Vec<(MemoryId, ColdPlace)> = written
                .filter_map(|placed| Some((id_of(&placed)?, place_of(id, &placed))))
                .collect();
            if let [former, also @ ..] = formers
                && !places.is_empty()
            {
                let (namespace, former) = (namespace.clone(), *former);
                let also = also.to_vec();
                let request = MemoryRequest::Rewritten { namespace, former, also, places };
                self.shard.call(request).await?;
            }
        }
        self.leave(namespace, formers).await?;
        self.segments.erase(namespace, formers, now).await?;
        for segment in formers.iter().copied() {
            let namespace = namespace.clone();
            self.shard.call(MemoryRequest::Erased { namespace, segment }).await?;
        }
        Ok(())
    }

    /// Whether the storage is the one that the segments were written to: a folder that is not mounted is
    /// empty, and what is missing there is not lost.
    async fn is_there(&self, namespace: &Namespace) -> Result<bool, NotDone> {
        match self.segments.manifest(namespace).await {
            Ok(manifest) => Ok(manifest.number > 0),
            Err(why) if why.damage().is_some() => Ok(true),
            Err(why) => Err(why.into()),
        }
    }

    /// What still stands on segments that are about to go could not be taken along with the others: what
    /// can be read of it comes back to memory, and the rest is damaged.
    async fn leave(&self, namespace: &Namespace, formers: &[SegmentId]) -> Result<(), NotDone> {
        let standing = |state: &MemoryState| state.standing_in(namespace, formers);
        for some in self.shard.look(standing).chunks(MAX_READ_AT_ONCE) {
            for (id, _, content) in salvage(self.shard, self.segments, namespace, some).await?.read
            {
                let namespace = namespace.clone();
                self.shard.call(MemoryRequest::Warmed { namespace, id, content }).await?;
            }
        }
        if self.shard.look(standing).is_empty() {
            return Ok(());
        }
        let why = "contents of a damaged segment find no room in memory";
        Err(Fault::precondition(why).into())
    }
}

/// Removes segments that nobody stands on, as a crash leaves them: they may hold what was deleted.
pub(super) async fn clear(
    shard: &Arc<Shard>,
    segments: &Segments,
    namespace: &Namespace,
    world: &dyn World,
) -> Result<(), NotDone> {
    let mut strays = segments.there(namespace).await?;
    let standing = |state: &MemoryState| state.standing_segments().remove(namespace);
    let leave = |strays: &mut BTreeSet<SegmentId>, standing: Option<BTreeSet<SegmentId>>| {
        let standing = standing.unwrap_or_default();
        strays.retain(|id| !standing.contains(id));
    };
    leave(&mut strays, shard.look(standing));
    if !strays.is_empty() {
        // Whoever lost the shard, and does not know it, must remove nothing of the next owner: what is
        // stored now says that it is ours, after all of these were written.
        shard.call(MemoryRequest::Mark).await?;
        leave(&mut strays, shard.look(standing));
    }
    let strays: Vec<SegmentId> = strays.into_iter().collect();
    segments.remove_strays(namespace, &strays, world.now()).await?;
    Ok(())
}
