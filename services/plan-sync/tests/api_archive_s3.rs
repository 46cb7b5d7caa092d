//! The archive in a bucket of a real S3 service.

mod stage;

use serde_json::json;
use stage::{Agent, PATIENCE, Stage};
use troupe_contract::plan::*;
use troupe_contract::registry::Empty;
use troupe_plan_sync::Config;
use troupe_plan_sync::config::ArchiveConfig;
use troupe_runtime::config::{Address, Secret};
use troupe_testkit::{S3Server, eventually};

const AFTER_BATCHES: usize = 5;

fn archiving(server: &S3Server) -> Config {
    let archive = ArchiveConfig {
        bucket: Some(S3Server::BUCKET.to_owned()),
        endpoint: Some(Address::new(server.endpoint()).unwrap()),
        region: Some(S3Server::REGION.to_owned()),
        access_key_id: Some(S3Server::ACCESS_KEY_ID.to_owned()),
        secret_access_key: Some(Secret::new(S3Server::SECRET_ACCESS_KEY)),
        after_batches: AFTER_BATCHES,
        ..ArchiveConfig::default()
    };
    Config { archive, shards: 1, ..Config::default() }
}

async fn title(agent: &Agent, to: usize) {
    let change = json!({"plan_id": "p", "item_id": "a", "change": {"title": format!("t{to}")}});
    agent.call::<UpdateItem>(change).await.unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_versions_come_back_from_a_bucket_and_its_death_holds_no_edit_up() {
    let server = S3Server::start().await.unwrap();
    let mut stage = Stage::with(archiving(&server), 1).await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a"]).await;
    for to in 1..2 * AFTER_BATCHES {
        title(&ann, to).await;
        if to % AFTER_BATCHES == AFTER_BATCHES - 1 {
            until_archived(&ann).await;
        }
    }
    let early = json!({"plan_id": "p", "at_sequence": 3});
    let got = ann.call::<GetPlan>(early.clone()).await.unwrap();
    assert_eq!(got.plan.items[0].title, "t2");

    // The service dies: edits go on, and the failure is told.
    server.kill9().unwrap();
    for to in 10..=10 + AFTER_BATCHES {
        title(&ann, to).await;
    }
    eventually("the failure to be told", PATIENCE, || async { stats(&ann).await.archive_error })
        .await;
    assert_eq!(ann.get("p").await.plan.items[0].title, format!("t{}", 10 + AFTER_BATCHES));

    // Once it is back it gets all of it, and whoever takes the shard over reads it there.
    server.restart().await.unwrap();
    let told = eventually("the archive to take it again", 4 * PATIENCE, || async {
        let stats = stats(&ann).await;
        (stats.unarchived_batches < AFTER_BATCHES).then_some(stats)
    })
    .await;
    assert!(told.archive_error.is_none(), "{told:?}");
    stage.add_replica().await;
    stage.replicas.remove(0).drain().await;
    let got = ann.call::<GetPlan>(early).await.unwrap();
    assert_eq!(got.plan.items[0].title, "t2");
}
