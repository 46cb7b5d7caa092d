//! A crash between a segment and the log leaves a segment that nobody stands on. It may hold what is
//! deleted later: no deletion is said to be done before it is gone.

mod stage;

use serde_json::json;
use stage::*;
use troupe_contract::memory::*;
use troupe_domain::Timestamp;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_memory::Config;
use troupe_memory::config::ColdConfig;
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
    let stage = Stage::with(Config { shards: 1, cold, ..lexical() }, 1).await;
    let ada = stage.bus("ada").await;
    let namespace = Namespace::default();
    let segments = location::segments_in_folder(folder.path()).unwrap();
    // As an owner leaves it that was killed before the log said where its entries are.
    let leave = async |id: &MemoryId, age_ms: i64, chance: u128| {
        let at = Timestamp::from_millis(now() - age_ms);
        let line = json!({"id": id, "content": "said once"}).to_string().into();
        let entry = Entry { id: id.to_string(), at, line };
        let segment = SegmentId::new(at, chance);
        segments.write(&namespace, segment, vec![entry], at).await.unwrap();
        segment
    };

    // An old one goes with the first deletion that would be wrong beside it.
    let first = fact(&ada, "said once").await;
    let old = leave(&first, 10 * MINUTES_MS, 1).await;
    call::<DeleteMemory>(&ada, json!({ "id": first })).await.unwrap();
    until_complete(&ada, &first).await;
    assert!(segments.scan(&namespace, old).await.is_err(), "it is gone");

    // A young one may be in the making by somebody: the deletion waits for it.
    let second = fact(&ada, "said twice").await;
    let young = leave(&second, 0, 2).await;
    call::<DeleteMemory>(&ada, json!({ "id": second })).await.unwrap();
    // That of another namespace, which is looked at after this one, waits for nothing.
    let note = json!({"content": "elsewhere", "type": "semantic", "namespace": "elsewhere"});
    let other = create(&ada, note).await.id;
    call::<DeleteMemory>(&ada, json!({ "id": other })).await.unwrap();
    until_complete(&ada, &other).await;
    let receipt = call::<GetDeletion>(&ada, json!({ "id": second })).await.unwrap();
    let cold = receipt.tiers.iter().find(|tier| tier.tier == "cold").unwrap();
    assert!(!receipt.complete && cold.done_at.is_none(), "{receipt:?}");
    segments.erase(&namespace, &[young], Timestamp::from_millis(now())).await.unwrap();
    until_complete(&ada, &second).await;
}
