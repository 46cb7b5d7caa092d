//! The archive: snapshots and history leave memory, former versions come back from there, replicas
//! behind the horizon catch up, and an archive that cannot be reached holds no edit up.

mod stage;

use serde_json::json;
use stage::{Agent, PATIENCE, Stage};
use troupe_contract::plan::*;
use troupe_contract::registry::Empty;
use troupe_domain::Code;
use troupe_plan_sync::Config;
use troupe_plan_sync::config::ArchiveConfig;
use troupe_testkit::eventually;

fn archiving(folder: &std::path::Path, after_batches: usize) -> Config {
    let archive = ArchiveConfig {
        folder: Some(folder.to_owned()),
        after_batches,
        ..ArchiveConfig::default()
    };
    Config { archive, shards: 1, ..Config::default() }
}

async fn title(agent: &Agent, to: usize) -> PlanReceipt {
    let change = json!({"plan_id": "p", "item_id": "a", "change": {"title": format!("t{to}")}});
    agent.call::<UpdateItem>(change).await.unwrap()
}

async fn stats(agent: &Agent) -> PlanStatistics {
    agent.bus.call::<PlanStats>(&Empty {}).await.unwrap()
}

async fn until_archived(agent: &Agent) {
    eventually("everything to be archived", PATIENCE, || async {
        (stats(agent).await.unarchived_batches == 0).then_some(())
    })
    .await;
}

fn shown(reply: &PlanReply) -> &str {
    &reply.plan.items[0].title
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_versions_come_back_from_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(archiving(folder.path(), 10), 1).await;
    let ann = stage.agent("ann").await;
    let mut early = ann.copy_of("p");
    ann.make("p", &["a"]).await;
    early.pull(&ann.bus).await;
    let mut receipts = Vec::new();
    for round in 0..4 {
        for n in 1..=10 {
            receipts.push(title(&ann, round * 10 + n).await);
        }
        until_archived(&ann).await;
    }
    let kept = stats(&ann).await;
    assert!(kept.retained_batches < 41, "{kept:?}");
    // By sequence, by version and by time, before the horizon of memory and after it.
    for at in [2, 9, 11, 25, 41] {
        let by_sequence = json!({"plan_id": "p", "at_sequence": at});
        let got = ann.call::<GetPlan>(by_sequence).await.unwrap();
        assert_eq!((shown(&got), got.sequence), (format!("t{}", at - 1).as_str(), at));
        let version = &receipts[at as usize - 2].version;
        let by_version = json!({"plan_id": "p", "at_version": version});
        let got = ann.call::<GetPlan>(by_version).await.unwrap();
        assert_eq!(shown(&got), format!("t{}", at - 1));
    }
    let all = json!({"plan_id": "p", "limit": 100});
    let page = ann.call::<History>(all).await.unwrap();
    let sequences: Vec<u64> = page.entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=41).rev().collect::<Vec<_>>());
    assert_eq!(page.horizon, 1);
    let then = page.entries.iter().find(|entry| entry.sequence == 9).unwrap().at;
    let got = ann.call::<GetPlan>(json!({"plan_id": "p", "at_time": then})).await.unwrap();
    assert!(got.sequence >= 9 && got.sequence <= 10, "{}", got.sequence);
    // A page at a time is the same.
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let request = json!({"plan_id": "p", "limit": 7, "before": before});
        let page = ann.call::<History>(request).await.unwrap();
        paged.extend(page.entries.iter().map(|entry| entry.sequence));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, sequences);

    // A replica that was away since the first version is behind the horizon, and catches up.
    let request = SyncRequest {
        object_id: stage::name("p"),
        vector: early.copy.document().vector(),
        max_bytes: None,
    };
    assert!(ann.bus.call::<Sync>(&request).await.unwrap().snapshot_needed);
    early.pull(&ann.bus).await;
    let request = SyncRequest { vector: early.copy.document().vector(), ..request };
    let now = ann.bus.call::<Sync>(&request).await.unwrap();
    assert_eq!(early.hash(), now.state_hash);

    // Whoever takes the shard over reads the same.
    let before = ann.get("p").await;
    stage.add_replica().await;
    stage.replicas.remove(0).drain().await;
    assert_eq!(ann.get("p").await, before);
    let got = ann.call::<GetPlan>(json!({"plan_id": "p", "at_sequence": 9})).await.unwrap();
    assert_eq!(shown(&got), "t8");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_that_was_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::with(archiving(folder.path(), 5), 1).await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a"]).await;
    for n in 0..20 {
        title(&ann, n).await;
        if n % 5 == 4 {
            until_archived(&ann).await;
        }
    }
    let first = json!({"plan_id": "p", "at_sequence": 1});
    assert_eq!(shown(&ann.call::<GetPlan>(first.clone()).await.unwrap()), "Do a");
    for piece in std::fs::read_dir(folder.path().join("plans/p")).unwrap() {
        let path = piece.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let fault = ann.call::<GetPlan>(first).await.unwrap_err();
    assert_eq!(fault.code, Code::Internal);
    assert!(fault.message.contains("damaged"), "{fault}");
    assert_eq!(shown(&ann.get("p").await), "t19");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_cannot_be_reached_holds_no_edit_up() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let stage = Stage::with(archiving(&root, 5), 1).await;
    let ann = stage.agent("ann").await;
    // A file in the place of the folder: nothing can be written below it.
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::write(&root, b"in the way").unwrap();
    ann.make("p", &["a"]).await;
    for n in 0..30 {
        title(&ann, n).await;
    }
    let told = eventually("the failure to be told", PATIENCE, || async {
        let stats = stats(&ann).await;
        stats.archive_error.is_some().then_some(stats)
    })
    .await;
    assert_eq!(told.unarchived_batches, 31);
    assert_eq!(shown(&ann.get("p").await), "t29");
    assert_eq!(ann.call::<History>(json!({"plan_id": "p"})).await.unwrap().entries.len(), 31);
    // Once it can be reached, it gets all of it.
    std::fs::remove_file(&root).unwrap();
    std::fs::create_dir(&root).unwrap();
    until_archived(&ann).await;
    assert!(stats(&ann).await.archive_error.is_none());
    assert!(root.join("plans/p").is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_archive_history_ends_where_memory_does() {
    let archive = ArchiveConfig { max_kept_bytes_per_object: 4_000, ..ArchiveConfig::default() };
    let stage = Stage::with(Config { archive, ..Config::default() }, 1).await;
    let ann = stage.agent("ann").await;
    let mut early = ann.copy_of("p");
    ann.make("p", &["a"]).await;
    early.pull(&ann.bus).await;
    for n in 0..60 {
        title(&ann, n).await;
    }
    let kept = stats(&ann).await;
    assert!(kept.retained_bytes <= 4_000 && kept.retained_batches < 61, "{kept:?}");
    let page = ann.call::<History>(json!({"plan_id": "p", "limit": 100})).await.unwrap();
    assert_eq!((page.entries.len(), page.next_before), (kept.retained_batches, None));
    assert!(page.horizon > 1);
    let first = json!({"plan_id": "p", "at_sequence": 1});
    let fault = ann.call::<GetPlan>(first).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedPrecondition);
    assert_eq!(fault.details["horizon"], page.horizon);
    let last = json!({"plan_id": "p", "at_sequence": page.horizon});
    assert_eq!(shown(&ann.call::<GetPlan>(last).await.unwrap()), format!("t{}", page.horizon - 2));
    early.pull(&ann.bus).await;
    let item = early.copy.document().item(&stage::name("a")).unwrap();
    assert_eq!(item.title, "t59");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_items_are_forgotten_and_late_edits_of_them_are_not_lost() {
    let stage = Stage::with(Config { purge_after_ms: 1, ..Config::default() }, 1).await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    ann.make("p", &["a", "b", "c"]).await;
    let mut away = bob.copy_of("p");
    away.pull(&bob.bus).await;
    ann.call::<DeleteItem>(json!({"plan_id": "p", "item_id": "b"})).await.unwrap();
    // Deletions are looked at after changes.
    let mut changes = 0;
    eventually("the deleted item to be forgotten", PATIENCE, || {
        changes += 1;
        let ann = &ann;
        async move {
            title(ann, changes).await;
            (stats(ann).await.items == 2).then_some(())
        }
    })
    .await;
    let mut fresh = ann.copy_of("p");
    fresh.pull(&ann.bus).await;
    assert_eq!(fresh.copy.document().entities(), 2);
    // Somebody who was away worked on it meanwhile.
    let change = troupe_crdt::ItemChange {
        title: Some("my work".to_owned()),
        ..troupe_crdt::ItemChange::default()
    };
    let late = away.edit(&[troupe_crdt::Edit::UpdateItem {
        item: stage::name("b"),
        change,
        rests_on: None,
    }]);
    stage::bring(&bob.bus, &[late]).await.unwrap();
    let plan = ann.get("p").await.plan;
    assert!(plan.items.iter().any(|item| item.title == "my work"), "{plan:?}");
    let told = ann.call::<Conflicts>(json!({"plan_id": "p"})).await.unwrap().conflicts;
    assert!(told.iter().any(|conflict| conflict.item_id == Some(stage::name("b"))), "{told:?}");
    fresh.pull(&ann.bus).await;
    away.pull(&bob.bus).await;
    assert_eq!(fresh.hash(), away.hash());
}
