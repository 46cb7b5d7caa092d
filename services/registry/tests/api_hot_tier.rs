//! The hot tier: what it remembers, and that nothing needs it.

mod stage;

use serde_json::json;
use stage::{SOON, Stage, beat, call, get, join, name, patient};
use troupe_contract::registry::{Discover, Heartbeat};
use troupe_registry::Settings;
use troupe_testkit::{ValkeyServer, eventually};

fn settings(valkey: &ValkeyServer) -> Settings {
    Settings { timing: patient(), redis_url: Some(valkey.url()), ..Settings::default() }
}

#[tokio::test]
async fn a_restarted_replica_shows_what_was_heard_before() {
    let (stage, valkey) = (Stage::start().await, ValkeyServer::start().await.unwrap());
    let replica = stage.replica_with(settings(&valkey)).await;
    let me = stage.bus("me").await;
    join(&me).await;
    call::<Heartbeat>(&me, json!({"running_task_ids": ["t1"]})).await.unwrap();
    let before = get(&me, "me").await.unwrap();
    replica.drain().await;

    let replica = stage.replica_with(settings(&valkey)).await;
    let after = get(&me, "me").await.unwrap();
    assert_eq!(after.last_heartbeat, before.last_heartbeat);
    assert_eq!(after.current_task_ids, [name("t1")]);
    replica.drain().await;
}

#[tokio::test]
async fn without_it_only_freshness_is_lost() {
    let (stage, valkey) = (Stage::start().await, ValkeyServer::start().await.unwrap());
    let replica = stage.replica_with(settings(&valkey)).await;
    let me = stage.bus("me").await;
    join(&me).await;
    let hot_tier = replica.hot_tier.clone().unwrap();
    eventually("the hot tier to be in use", SOON, || async { hot_tier.is_healthy().then_some(()) })
        .await;

    valkey.kill9().unwrap();
    eventually("its death to be noticed", SOON, || async {
        beat(&me).await.unwrap();
        (!hot_tier.is_healthy()).then_some(())
    })
    .await;
    call::<Heartbeat>(&me, json!({"running_task_ids": ["t1"]})).await.unwrap();
    assert_eq!(get(&me, "me").await.unwrap().current_task_ids, [name("t1")]);
    assert_eq!(call::<Discover>(&me, json!({"active_within_ms": 60_000})).await.unwrap().total, 1);

    let second = stage.replica_with(settings(&valkey)).await;
    assert_eq!(second.registry.fleet.read().len(), 1, "a replica starts without it");
    second.drain().await;

    valkey.restart().await.unwrap();
    eventually("it to be in use again", SOON, || async {
        beat(&me).await.unwrap();
        hot_tier.is_healthy().then_some(())
    })
    .await;
    replica.drain().await;
}
