//! Segments in a bucket of a real S3 service.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use stage::{at, entries, entry, id, namespace, wanted};
use troupe_segments::location::{self, Bucket};
use troupe_segments::{OnDamage, SegmentError, Segments, Wanted};
use troupe_testkit::{S3Server, eventually};

const PATIENCE: Duration = Duration::from_secs(30);
const BRIEFLY: Duration = Duration::from_millis(500);

fn bucket(server: &S3Server) -> Arc<dyn ObjectStore> {
    location::bucket(Bucket {
        name: S3Server::BUCKET,
        endpoint: Some(&server.endpoint()),
        region: Some(S3Server::REGION),
        access_key_id: Some(S3Server::ACCESS_KEY_ID),
        secret_access_key: Some(S3Server::SECRET_ACCESS_KEY),
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_live_in_a_bucket() {
    let server = S3Server::start().await.unwrap();
    let store = bucket(&server);
    let segments = Segments::new(Arc::clone(&store));
    let all = entries(0..400, 2_000);
    let written = segments.write(&namespace(), id(1), all.clone(), at(1)).await.unwrap();
    assert_eq!(written, segments.write(&namespace(), id(1), all.clone(), at(1)).await.unwrap());
    let wants: Vec<Wanted> = written.places.iter().map(|p| wanted(id(1), p)).collect();
    let lines = segments.read_many(&namespace(), &wants).await.unwrap();
    assert!(lines.into_iter().zip(&all).all(|(line, entry)| line.unwrap() == entry.line));

    // What is there is not overwritten.
    let taken = Path::from(format!("fleet/team/manifest/{:020}.json", 1));
    let again = store.put_opts(&taken, "x".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again}");

    // Some go, the old object with them.
    let keep = |_, id: &str| id != "m7";
    let renewed = segments
        .rewrite(&namespace(), &[id(1)], keep, OnDamage::Refuse, id(2), at(2))
        .await
        .unwrap();
    segments.erase(&namespace(), &[id(1)], at(2)).await.unwrap();
    let error = segments.read(&namespace(), wants[8]).await.unwrap_err();
    assert!(matches!(error, SegmentError::Missing { .. }), "{error}");
    let renewed = renewed.written.unwrap();
    assert_eq!(renewed.places.len(), 399);
    let line = segments.read(&namespace(), wanted(id(2), &renewed.places[7])).await.unwrap();
    assert_eq!(line, entry(8, 2_000).line);

    // An orphan is swept, and what is stood on is not.
    segments.write(&namespace(), id(3), entries(900..903, 50), at(3)).await.unwrap();
    let swept = segments.sweep(&namespace(), &[id(2)].into(), at(5_000), 1_000).await.unwrap();
    assert_eq!((swept.deleted, swept.missing), (vec![id(3)], vec![]));
    assert!(swept.manifests_deleted > 0);

    // A flipped bit is seen.
    let path = Path::from(format!("fleet/team/2026/11/seg-{}.jsonl.zst", id(2)));
    let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[renewed.places[0].place.offset as usize + 20] ^= 1;
    store.put(&path, bytes.into()).await.unwrap();
    let error = segments.read(&namespace(), wanted(id(2), &renewed.places[0])).await.unwrap_err();
    assert!(error.damage().is_some_and(|damage| damage.entries.contains(&"m0".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_take_turns_by_the_numbers_of_manifests() {
    let server = S3Server::start().await.unwrap();
    let writers = (0..2).map(|writer| {
        let segments = Segments::new(bucket(&server));
        tokio::spawn(async move {
            for round in 0..5 {
                let number = writer * 5 + round;
                let entries = entries(number * 3..number * 3 + 3, 20);
                let id = id(number as i64);
                segments.write(&namespace(), id, entries, at(number as i64)).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let manifest = Segments::new(bucket(&server)).manifest(&namespace()).await.unwrap();
    assert_eq!((manifest.segments.len(), manifest.number), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_silent_dead_or_closed_is_told_apart_and_comes_back() {
    let server = S3Server::start().await.unwrap();
    let segments = Segments::new(bucket(&server)).with_deadlines(BRIEFLY, BRIEFLY);
    let patient = Segments::new(bucket(&server));
    let written = patient.write(&namespace(), id(1), entries(0..5, 20), at(1)).await.unwrap();
    let want = wanted(id(1), &written.places[0]);

    server.pause().unwrap();
    let error = segments.read(&namespace(), want).await.unwrap_err();
    assert!(matches!(error, SegmentError::TimedOut { .. }) && error.is_passing(), "{error}");
    server.resume().unwrap();
    eventually("the service to answer", PATIENCE, || async {
        patient.read(&namespace(), want).await.ok()
    })
    .await;

    server.kill9().unwrap();
    let error = patient.read(&namespace(), want).await.unwrap_err();
    assert!(matches!(error, SegmentError::Unusable { .. }) && error.is_passing(), "{error}");
    server.restart().await.unwrap();
    eventually("the segment to be there again", PATIENCE, || async {
        patient.read(&namespace(), want).await.ok()
    })
    .await;

    let stranger = location::bucket(Bucket {
        name: S3Server::BUCKET,
        endpoint: Some(&server.endpoint()),
        region: Some(S3Server::REGION),
        access_key_id: Some("somebody"),
        secret_access_key: Some("else"),
    });
    let error = Segments::new(stranger.unwrap()).read(&namespace(), want).await.unwrap_err();
    assert!(matches!(error, SegmentError::Unusable { .. }), "{error}");
}
