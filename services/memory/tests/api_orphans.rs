//! A crash between a segment and the log leaves a segment that nobody stands on. It may hold what is
//! deleted later: no deletion is said to be done before it is gone.

mod stage;

use serde_json::json;
use stage::*;
use troupe_contract::memory::*;
use troupe_domain::Timestamp;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_memory::Config;
use troupe_memory::config::{ColdConfig, TierConfig};
use troupe_segments::{Entry, SegmentId, location};
use troupe_testkit::eventually;

const MINUTES_MS: i64 = 60 * 1000;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

async fn until_complete(bus: &troupe_bus::Bus, id: &MemoryId) {
    eventually("the deletion to be complete", 3 * PATIENCE, || async {
        let receipt = call::<GetDeletion>(bus, json!({ "id": id })).await.ok()?;
        receipt.complete.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_not_done_while_a_segment_of_a_crash_may_hold_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let cold = ColdConfig { folder: Some(folder.path().to_owned()), ..ColdConfig::default() };
    let tiers = TierConfig { cold_after_ms: 1, sweep_every_ms: 50, ..TierConfig::default() };
    let stage = Stage::with(Config { shards: 1, cold, tiers, ..lexical() }, 1).await;
    let ada = stage.bus("ada").await;
    let namespace = Namespace::default();
    let segments = location::segments_in_folder(folder.path()).unwrap();
    let kept =
        create(&ada, json!({"content": "kept", "type": "episodic", "importance": 0.1})).await;
    eventually("an entry to be cold", PATIENCE, || async {
        (stats(&ada).await.by_tier.get("cold") == Some(&1)).then_some(())
    })
    .await;
    // As an owner leaves it that was killed before the log said where its entries are: one of before,
    // one of just now, and a put that did not end.
    let deleted = fact(&ada, "said once").await;
    let leave = async |age_ms: i64, chance: u128| {
        let at = Timestamp::from_millis(now() - age_ms);
        let line = json!({"id": deleted, "content": "said once"}).to_string().into();
        let entry = Entry { id: deleted.to_string(), at, line };
        let segment = SegmentId::new(at, chance);
        segments.write(&namespace, segment, vec![entry], at).await.unwrap();
        segment
    };
    let (old, young) = (leave(10 * MINUTES_MS, 1).await, leave(0, 2).await);
    let unfinished = folder.path().join("default").join("seg.jsonl.zst#1");
    std::fs::write(&unfinished, "said once").unwrap();
    call::<DeleteMemory>(&ada, json!({ "id": deleted })).await.unwrap();
    until_complete(&ada, &deleted).await;
    for segment in [old, young] {
        assert!(segments.scan(&namespace, segment).await.is_err(), "{segment} is gone");
    }
    assert!(!unfinished.exists());
    // What somebody stands on is there.
    assert_eq!(get(&ada, &kept.id).await.content.as_deref(), Some("kept"));
}
