//! A crash at any step: an owner works with segments and dies with each operation in turn, before or
//! after it was done. Whoever follows finds each entry that was acknowledged, once, and of what was
//! deleted nothing.

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use stage::{Mortal, at, entry, namespace, wanted};
use troupe_segments::{
    Entry, OnDamage, Placed, SegmentError, SegmentId, Segments, Written, location,
};

const GRACE_MS: u64 = 1_000;
const NEVER: i64 = i64::MAX;

/// Where an entry is.
#[derive(Debug, Clone)]
enum Tier {
    Warm(Entry),
    Cold(SegmentId, Placed),
}

/// What the owner's log says: it outlives every crash.
#[derive(Debug, Default)]
struct Log {
    entries: BTreeMap<String, Tier>,
    deleted: BTreeSet<String>,
    /// Segments to be erased, which nobody stands on any more.
    to_erase: BTreeSet<SegmentId>,
    /// For ids: counts on whatever happens.
    made: i64,
    time: i64,
}

impl Log {
    fn stands_on(&self) -> BTreeSet<SegmentId> {
        let cold = self.entries.values().filter_map(|tier| match tier {
            Tier::Cold(segment, _) => Some(*segment),
            Tier::Warm(_) => None,
        });
        cold.collect()
    }

    fn next_id(&mut self) -> SegmentId {
        self.made += 1;
        self.time += 10;
        stage::id(self.time)
    }

    fn archived(&mut self, written: Option<&Written>) {
        for placed in written.iter().flat_map(|written| &written.places) {
            let cold = Tier::Cold(written.unwrap().info.id, placed.clone());
            if !self.deleted.contains(&placed.id) {
                self.entries.insert(placed.id.clone(), cold);
            }
        }
    }
}

/// An owner of the log.
struct Owner<'a> {
    log: &'a mut Log,
    segments: Segments,
}

impl Owner<'_> {
    fn add(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let entry = entry(number, 40);
            self.log.entries.insert(entry.id.clone(), Tier::Warm(entry));
        }
    }

    async fn archive(&mut self) -> Result<(), SegmentError> {
        let warm = self.log.entries.values().filter_map(|tier| match tier {
            Tier::Warm(entry) => Some(entry.clone()),
            Tier::Cold(..) => None,
        });
        let warm: Vec<Entry> = warm.collect();
        if warm.is_empty() {
            return Ok(());
        }
        let id = self.log.next_id();
        let written = self.segments.write(&namespace(), id, warm, at(self.log.time)).await?;
        self.log.archived(Some(&written));
        Ok(())
    }

    /// Deletes what is told, from then on whatever happens.
    async fn delete(&mut self, ids: &[&str]) -> Result<(), SegmentError> {
        for id in ids {
            self.log.deleted.insert((*id).to_owned());
            if let Some(Tier::Cold(segment, _)) = self.log.entries.remove(*id) {
                self.log.to_erase.insert(segment);
            }
        }
        self.finish().await
    }

    /// Makes segments anew from which something goes, one by one, and erases the old ones.
    async fn finish(&mut self) -> Result<(), SegmentError> {
        while let Some(old) = self.log.to_erase.first().copied() {
            self.renew(&[old]).await?;
        }
        Ok(())
    }

    async fn renew(&mut self, old: &[SegmentId]) -> Result<(), SegmentError> {
        let stays: BTreeSet<(SegmentId, String)> = self
            .log
            .entries
            .iter()
            .filter_map(|(id, tier)| match tier {
                Tier::Cold(segment, _) => Some((*segment, id.clone())),
                Tier::Warm(_) => None,
            })
            .collect();
        let old_stands: Vec<SegmentId> =
            old.iter().copied().filter(|id| stays.iter().any(|(s, _)| s == id)).collect();
        if !old_stands.is_empty() {
            let id = self.log.next_id();
            let keep = |segment, id: &str| stays.contains(&(segment, id.to_owned()));
            let renewed = self
                .segments
                .rewrite(&namespace(), &old_stands, keep, OnDamage::Refuse, id, at(self.log.time))
                .await?;
            self.log.archived(renewed.written.as_ref());
        }
        self.log.to_erase.extend(old);
        self.segments.erase(&namespace(), old, at(self.log.time)).await?;
        self.log.to_erase.retain(|id| !old.contains(id));
        Ok(())
    }

    async fn compact(&mut self) -> Result<(), SegmentError> {
        let old: Vec<SegmentId> = self.log.stands_on().into_iter().take(3).collect();
        self.renew(&old).await
    }

    async fn sweep(&mut self, grace_ms: u64) -> Result<(), SegmentError> {
        self.log.time += 10;
        let stands_on = self.log.stands_on();
        let swept =
            self.segments.sweep(&namespace(), &stands_on, at(self.log.time), grace_ms).await?;
        assert_eq!(swept.missing, [], "nothing that the log stands on is ever gone");
        Ok(())
    }
}

/// What owners do, in an order that meets each pair of steps.
async fn work(owner: &mut Owner<'_>) -> Result<(), SegmentError> {
    owner.add(0..5);
    owner.archive().await?;
    owner.add(5..9);
    owner.archive().await?;
    owner.delete(&["m1", "m6"]).await?;
    owner.add(9..12);
    owner.archive().await?;
    owner.sweep(GRACE_MS).await?;
    owner.compact().await?;
    owner.add(12..14);
    owner.archive().await?;
    // All of one segment goes.
    owner.delete(&["m12", "m13"]).await?;
    owner.log.time += GRACE_MS.cast_signed() + 1;
    owner.sweep(GRACE_MS).await?;
    owner.compact().await
}

/// Whoever follows sets things right, and everything is as the log says.
async fn recover_and_check(log: &mut Log, segments: Segments, store: &dyn ObjectStore, what: &str) {
    let mut owner = Owner { log, segments };
    owner.finish().await.unwrap();
    owner.archive().await.unwrap();
    owner.log.time += GRACE_MS.cast_signed() + 1;
    owner.sweep(0).await.unwrap();
    let Owner { log, segments } = owner;
    let namespace = namespace();
    for (id, tier) in &log.entries {
        let Tier::Cold(segment, placed) = tier else { panic!("{what}: {id} is warm") };
        let line = segments.read(&namespace, wanted(*segment, placed)).await.unwrap();
        let number: usize = id[1..].parse().unwrap();
        assert_eq!(line, entry(number, 40).line, "{what}");
    }
    let manifest = segments.manifest(&namespace).await.unwrap();
    let listed: BTreeSet<SegmentId> = manifest.segments.iter().map(|info| info.id).collect();
    assert_eq!(listed, log.stands_on(), "{what}: the manifest says what there is");
    let mut seen = BTreeSet::new();
    for info in &manifest.segments {
        assert_eq!(segments.verify(&namespace, info).await.unwrap(), [], "{what}");
        for (entry, _) in segments.scan(&namespace, info.id).await.unwrap().entries {
            assert!(!log.deleted.contains(&entry.id), "{what}: {} was deleted", entry.id);
            assert!(seen.insert(entry.id.clone()), "{what}: {} is there twice", entry.id);
        }
    }
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    let others = objects.len() - listed.len();
    assert!((1..=2).contains(&others), "{what}: {others} objects beside the segments");
}

/// How many operations the whole work takes.
async fn operations(store: Arc<dyn ObjectStore>) -> i64 {
    let mortal = Mortal::new(store, NEVER, false);
    let mut log = Log::default();
    let segments = Segments::new(Arc::new(mortal.clone()));
    work(&mut Owner { log: &mut log, segments }).await.unwrap();
    NEVER - mortal.left()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_loses_nothing_and_leaves_nothing_in_memory() {
    let total = operations(Arc::new(InMemory::new())).await;
    assert!(total > 80, "the work has many steps: {total}");
    for after in 0..=total {
        for does_the_last in [false, true] {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let mortal = Mortal::new(Arc::clone(&store), after, does_the_last);
            let mut log = Log::default();
            let segments = Segments::new(Arc::new(mortal));
            let worked = work(&mut Owner { log: &mut log, segments }).await;
            assert_eq!(worked.is_ok(), after == total, "{worked:?}");
            let what = format!("killed at {after} of {total}, done: {does_the_last}");
            let segments = Segments::new(Arc::clone(&store));
            recover_and_check(&mut log, segments, &*store, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_loses_nothing_and_leaves_nothing_in_a_folder() {
    let total = operations(Arc::new(InMemory::new())).await;
    let step = if std::env::var_os("TROUPE_FULL").is_some() { 1 } else { 5 };
    for after in (0..=total).step_by(step) {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> =
            Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let mortal = Mortal::new(Arc::clone(&store), after, after % 2 == 0);
        let mut log = Log::default();
        let segments = Segments::new(Arc::new(mortal));
        let _ = work(&mut Owner { log: &mut log, segments }).await;
        let segments = location::segments_in_folder(folder.path()).unwrap();
        let what = format!("killed at {after} of {total}");
        recover_and_check(&mut log, segments, &*store, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_whoever_follows_sets_things_right_changes_nothing() {
    let total = operations(Arc::new(InMemory::new())).await;
    for first in (0..=total).step_by(7) {
        for second in (0..=20).step_by(3) {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let mut log = Log::default();
            let mortal = |after| Arc::new(Mortal::new(Arc::clone(&store), after, after % 2 == 1));
            let segments = Segments::new(mortal(first));
            let _ = work(&mut Owner { log: &mut log, segments }).await;
            let segments = Segments::new(mortal(second));
            let mut owner = Owner { log: &mut log, segments };
            if owner.finish().await.is_ok() && owner.archive().await.is_ok() {
                let _ = owner.sweep(0).await;
            }
            let what = format!("killed at {first}, and again after {second}");
            let segments = Segments::new(Arc::clone(&store));
            recover_and_check(&mut log, segments, &*store, &what).await;
        }
    }
}
