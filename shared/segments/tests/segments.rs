//! Segments in memory and in a folder: reading, damage, many writers, silence.

mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use stage::{Mortal, at, entries, entry, id, namespace, wanted};
use troupe_segments::{OnDamage, SegmentError, Segments, Wanted, limits, location};

const BRIEFLY: Duration = Duration::from_millis(100);

fn in_memory() -> (Arc<InMemory>, Segments) {
    let store = Arc::new(InMemory::new());
    (Arc::clone(&store), Segments::new(store))
}

fn path(number: i64) -> Path {
    Path::from(format!("fleet/team/2026/11/seg-{}.jsonl.zst", id(number)))
}

#[tokio::test]
async fn each_entry_is_read_alone_and_many_are_read_together() {
    let (store, segments) = in_memory();
    let (first, second) = (entries(0..300, 2_000), entries(300..310, 10));
    let written = segments.write(&namespace(), id(1), first.clone(), at(1)).await.unwrap();
    let other = segments.write(&namespace(), id(2), second.clone(), at(2)).await.unwrap();
    assert_eq!(store.head(&path(1)).await.unwrap().size, written.info.bytes);
    assert!(written.info.bytes * 5 < written.info.raw_bytes, "{:?}", written.info);

    let all: Vec<Wanted> = written
        .places
        .iter()
        .map(|placed| wanted(id(1), placed))
        .chain(other.places.iter().map(|placed| wanted(id(2), placed)))
        .collect();
    // In another order than they were written.
    let order: Vec<usize> = (0..all.len()).map(|n| n * 7 % all.len()).collect();
    let shuffled: Vec<Wanted> = order.iter().map(|n| all[*n]).collect();
    let lines = segments.read_many(&namespace(), &shuffled).await.unwrap();
    for (number, line) in order.iter().zip(lines) {
        let expected = first.iter().chain(&second).nth(*number).unwrap();
        assert_eq!(line.unwrap(), expected.line);
    }
    let line = segments.read(&namespace(), all[42]).await.unwrap();
    assert_eq!(line, first[42].line);
    let too_many = vec![all[0]; limits::MAX_READ_ENTRIES + 1];
    let refused = segments.read_many(&namespace(), &too_many).await.unwrap_err();
    assert!(matches!(refused, SegmentError::TooLarge { .. }), "{refused}");

    let scan = segments.scan(&namespace(), id(1)).await.unwrap();
    assert_eq!(scan.entries.len(), 300);
    assert_eq!((scan.sha256, scan.bytes), (written.info.sha256, written.info.bytes));
    let manifest = segments.manifest(&namespace()).await.unwrap();
    assert_eq!((manifest.number, manifest.segments), (2, vec![written.info, other.info]));
}

#[tokio::test]
async fn the_same_again_is_the_same_and_another_under_its_name_is_refused() {
    let (_, segments) = in_memory();
    let written = segments.write(&namespace(), id(1), entries(0..9, 50), at(1)).await.unwrap();
    let again = segments.write(&namespace(), id(1), entries(0..9, 50), at(1)).await.unwrap();
    assert_eq!(written, again);
    assert_eq!(segments.manifest(&namespace()).await.unwrap().number, 1, "listed once");
    let other = segments.write(&namespace(), id(1), entries(9..12, 50), at(1)).await;
    assert!(matches!(other.unwrap_err(), SegmentError::Taken { .. }));
    let line = segments.read(&namespace(), wanted(id(1), &written.places[3])).await.unwrap();
    assert_eq!(line, entry(3, 50).line);
}

#[tokio::test]
async fn a_flipped_bit_names_the_entries_that_it_hit_and_leaves_the_others() {
    let (store, segments) = in_memory();
    // Bytes that hardly compress, so that there are several frames.
    let all = entries(0..200, 3_000);
    let written = segments.write(&namespace(), id(1), all.clone(), at(1)).await.unwrap();
    let hit = written.places[100].place;
    let mut bytes = store.get(&path(1)).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[hit.offset as usize + hit.bytes as usize / 2] ^= 16;
    store.put(&path(1), bytes.into()).await.unwrap();

    let in_frame: Vec<String> = written
        .places
        .iter()
        .filter(|p| p.place.offset == hit.offset)
        .map(|p| p.id.clone())
        .collect();
    assert!(in_frame.len() < 200, "more than one frame");
    let error = segments.read(&namespace(), wanted(id(1), &written.places[100])).await.unwrap_err();
    let damage = error.damage().expect("damage");
    assert_eq!((damage.segment, &damage.entries), (Some(id(1)), &in_frame), "{error}");
    assert!(!error.is_passing());

    let wants: Vec<Wanted> = written.places.iter().map(|p| wanted(id(1), p)).collect();
    let lines = segments.read_many(&namespace(), &wants).await.unwrap();
    for (line, entry) in lines.into_iter().zip(&all) {
        match line {
            Ok(line) => assert_eq!(line, entry.line),
            Err(error) => {
                assert!(in_frame.contains(&entry.id) && error.damage().is_some(), "{error}");
            }
        }
    }
    let damaged = segments.verify(&namespace(), &written.info).await.unwrap();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].entries, in_frame);

    // A segment with damage is made anew only if somebody accepts the loss.
    let rewrite = async |on_damage| {
        segments.rewrite(&namespace(), &[id(1)], |_, _| true, on_damage, id(2), at(2)).await
    };
    assert!(rewrite(OnDamage::Refuse).await.unwrap_err().damage().is_some());
    let renewed = rewrite(OnDamage::LeaveOut).await.unwrap();
    assert_eq!(renewed.lost, damaged);
    assert_eq!(renewed.written.unwrap().places.len(), 200 - in_frame.len());
}

#[tokio::test]
async fn a_whole_segment_in_the_place_of_another_is_seen() {
    let (store, segments) = in_memory();
    let written = segments.write(&namespace(), id(1), entries(0..5, 20), at(1)).await.unwrap();
    store.delete(&path(1)).await.unwrap();
    let error = segments.read(&namespace(), wanted(id(1), &written.places[0])).await.unwrap_err();
    assert!(matches!(error, SegmentError::Missing { .. }), "{error}");
    // Somebody puts another one there: whole, and with other lines.
    segments.write(&namespace(), id(1), entries(5..10, 20), at(1)).await.unwrap();
    let damaged = segments.verify(&namespace(), &written.info).await.unwrap();
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    let error = segments.read(&namespace(), wanted(id(1), &written.places[0])).await.unwrap_err();
    assert!(error.damage().is_some(), "{error}");
}

#[tokio::test]
async fn a_damaged_manifest_is_passed_over_and_made_anew() {
    let (store, segments) = in_memory();
    for number in 1..=3 {
        let entries = entries(number as usize * 10..number as usize * 10 + 5, 20);
        segments.write(&namespace(), id(number), entries, at(number)).await.unwrap();
    }
    let newest = Path::from(format!("fleet/team/manifest/{:020}.json", 3));
    let mut bytes = store.get(&newest).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[90] ^= 1;
    store.put(&newest, bytes.into()).await.unwrap();
    assert_eq!(segments.manifest(&namespace()).await.unwrap().number, 2);
    let stands_on: BTreeSet<_> = (1..=3).map(id).collect();
    let swept = segments.sweep(&namespace(), &stands_on, at(10), 0).await.unwrap();
    assert_eq!((swept.listed_again, swept.deleted), (vec![id(3)], vec![]));
    let manifest = segments.manifest(&namespace()).await.unwrap();
    assert_eq!((manifest.number, manifest.segments.len()), (4, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_lose_no_segment_from_the_manifest() {
    let (_, segments) = in_memory();
    let writers = (0..4).map(|writer| {
        let segments = segments.clone();
        tokio::spawn(async move {
            for round in 0..8 {
                let number = writer * 8 + round;
                let entries = entries(number * 3..number * 3 + 3, 20);
                let id = id(number as i64);
                segments.write(&namespace(), id, entries, at(number as i64)).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let manifest = segments.manifest(&namespace()).await.unwrap();
    assert_eq!((manifest.segments.len(), manifest.number), (32, 32));
}

#[tokio::test]
async fn the_young_are_left_alone_and_what_is_missing_is_told() {
    let (store, segments) = in_memory();
    segments.write(&namespace(), id(1), entries(0..3, 20), at(1)).await.unwrap();
    segments.write(&namespace(), id(500), entries(3..6, 20), at(500)).await.unwrap();
    store.put(&Path::from("fleet/team/notes.txt"), "foreign".into()).await.unwrap();
    store.put(&Path::from("fleet/team/a/2026/11/seg-x"), "foreign".into()).await.unwrap();
    let gone = id(77);
    let swept = segments.sweep(&namespace(), &[gone].into(), at(1_000), 600).await.unwrap();
    assert_eq!((swept.deleted, swept.waiting), (vec![id(1)], vec![id(500)]));
    assert_eq!(swept.missing, [gone]);
    assert!(store.head(&Path::from("fleet/team/notes.txt")).await.is_ok());
    let manifest = segments.manifest(&namespace()).await.unwrap();
    assert!(manifest.lists(id(500)) && !manifest.lists(id(1)));
}

#[tokio::test]
async fn storage_that_falls_silent_is_given_up_after_the_deadline() {
    let inner = Arc::new(InMemory::new());
    let whole = Segments::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    let written = whole.write(&namespace(), id(1), entries(0..5, 20), at(1)).await.unwrap();
    let silent = || {
        let store = Mortal::silent(Arc::clone(&inner) as Arc<dyn ObjectStore>, 0);
        Segments::new(Arc::new(store)).with_deadlines(BRIEFLY, BRIEFLY)
    };
    let want = wanted(id(1), &written.places[0]);
    let entries = entries(5..8, 20);
    for error in [
        silent().read(&namespace(), want).await.unwrap_err(),
        silent().scan(&namespace(), id(1)).await.unwrap_err(),
        silent().manifest(&namespace()).await.unwrap_err(),
        silent().write(&namespace(), id(2), entries, at(2)).await.unwrap_err(),
        silent().erase(&namespace(), &[id(1)], at(2)).await.unwrap_err(),
        silent().sweep(&namespace(), &BTreeSet::new(), at(9), 0).await.unwrap_err(),
    ] {
        assert!(matches!(error, SegmentError::TimedOut { .. }) && error.is_passing(), "{error}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_says_so_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cold");
    let segments = location::segments_in_folder(&root).unwrap();
    std::fs::remove_dir(&root).unwrap();
    std::fs::write(&root, b"in the way").unwrap();
    let write = async || segments.write(&namespace(), id(1), entries(0..3, 20), at(1)).await;
    let error = write().await.unwrap_err();
    assert!(matches!(error, SegmentError::Unusable { .. }) && error.is_passing(), "{error}");
    std::fs::remove_file(&root).unwrap();
    write().await.unwrap();
    assert_eq!(segments.manifest(&namespace()).await.unwrap().segments.len(), 1);
}

#[tokio::test]
async fn what_a_killed_put_left_behind_goes_with_its_segment() {
    let folder = tempfile::tempdir().unwrap();
    let segments = location::segments_in_folder(folder.path()).unwrap();
    let written = segments.write(&namespace(), id(1), entries(0..3, 20), at(1)).await.unwrap();
    segments.write(&namespace(), id(2), entries(3..6, 20), at(2)).await.unwrap();
    let file = folder.path().join(path(1).as_ref());
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    // As `object_store` leaves it: the same bytes, and no listing shows it.
    let left = file.with_file_name(format!("{name}#1"));
    std::fs::copy(&file, &left).unwrap();
    let other = file.with_file_name("seg-other.jsonl.zst#7");
    std::fs::write(&other, b"half of one").unwrap();

    segments.erase(&namespace(), &[id(1)], at(3)).await.unwrap();
    assert!(!file.exists() && !left.exists());
    let error = segments.read(&namespace(), wanted(id(1), &written.places[0])).await.unwrap_err();
    assert!(matches!(error, SegmentError::Missing { .. }), "{error}");
    assert!(other.exists(), "its put may be under way");
    // By the clock of the files, long after.
    let written = std::fs::metadata(&other).unwrap().modified().unwrap();
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let later = troupe_domain::Timestamp::from_millis(written + 5_000);
    segments.sweep(&namespace(), &[id(2)].into(), later, 1_000).await.unwrap();
    assert!(!other.exists());
    assert!(segments.manifest(&namespace()).await.unwrap().lists(id(2)));
}
