//! The service as a process of its own: killed, paused, asked to end.

mod stage;

use std::collections::BTreeSet;

use serde_json::json;
use stage::{SOON, Stage, beat, call, hasty, join};
use troupe_bus::port::World;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::event::AgentEvent;
use troupe_contract::event::AgentEventKind::{
    AgentRegistered, AgentStatusChanged, HeartbeatMissed,
};
use troupe_contract::registry::{Heartbeat, HeartbeatRequest, Register, RegistryStats};
use troupe_domain::AgentStatus;
use troupe_testkit::{Proc, eventually};

fn service(stage: &Stage) -> Proc {
    let timing = hasty();
    Proc::build("troupe-registry", env!("CARGO_BIN_EXE_troupe-registry"))
        .args(["--nats-url", &stage.nats.url()])
        .args(["--set", &format!("timing.heartbeat_interval_ms={}", timing.heartbeat_interval_ms)])
        .args(["--set", &format!("timing.offline_after_misses={}", timing.offline_after_misses)])
        .args(["--set", &format!("timing.crashed_after_misses={}", timing.crashed_after_misses)])
        .args(["--set", "timing.crashed_retention_ms=60000"])
        .start()
        .unwrap()
}

/// All join at once: the first is not to fall silent while the last still comes.
async fn agents(stage: &Stage, count: usize) -> Vec<Bus> {
    let joining = (0..count).map(|n| async move {
        let bus = stage.bus(&format!("a{n}")).await;
        eventually("the registry to answer", SOON, || async {
            call::<Register>(&bus, json!({"role": "worker"})).await.ok()
        })
        .await;
        bus
    });
    futures::future::join_all(joining).await
}

/// Everybody beats until `intervals` of the heartbeat have passed.
async fn beat_for(agents: &[Bus], intervals: u64) {
    let began = troupe_bus::port::System.now();
    eventually("some intervals of beating", SOON, || async {
        futures::future::join_all(agents.iter().map(beat)).await;
        let passed = troupe_bus::port::System.now().millis_since(began);
        (passed > intervals * hasty().heartbeat_interval_ms).then_some(())
    })
    .await;
}

/// A heartbeat whose answer is not waited for longer than an agent of this timing would.
async fn impatient_beat(agent: &Bus) {
    let patience = std::time::Duration::from_millis(hasty().heartbeat_interval_ms / 2);
    let options = CallOptions::within(patience);
    let _ = agent.call_with::<Heartbeat>(&HeartbeatRequest::default(), &options).await;
}

async fn pass(intervals: u64) {
    let began = troupe_bus::port::System.now();
    eventually("some intervals to pass", SOON, || async {
        let passed = troupe_bus::port::System.now().millis_since(began);
        (passed > intervals * hasty().heartbeat_interval_ms).then_some(())
    })
    .await;
}

async fn active(bus: &Bus) -> usize {
    let stats = call::<RegistryStats>(bus, json!({})).await.unwrap();
    stats.by_status[&AgentStatus::Active]
}

#[tokio::test]
async fn a_detector_that_was_paused_declares_a_healthy_fleet_neither_offline_nor_crashed() {
    let stage = Stage::start().await;
    let service = service(&stage);
    let agents = agents(&stage, 10).await;
    beat_for(&agents, 2).await;
    service.pause().unwrap();
    // Nobody answers, but everybody lives: far longer than it takes to be taken for dead.
    pass(15).await;
    service.resume().unwrap();
    // Nobody happens to beat at once either.
    pass(1).await;
    beat_for(&agents, 5).await;
    assert_eq!(active(&agents[0]).await, 10);
    service.terminate().unwrap();
    assert!(service.wait(SOON).await.unwrap().success(), "{}", service.quoted_output());
    let told = stage.events().await;
    let quiet = |event: &AgentEvent| [AgentRegistered, HeartbeatMissed].contains(&event.event);
    assert!(told.iter().all(quiet), "{told:?}");
}

#[tokio::test]
async fn a_service_that_was_down_discounts_its_absence() {
    let stage = Stage::start().await;
    let first = service(&stage);
    let agents = agents(&stage, 10).await;
    first.kill9().unwrap();
    pass(15).await;
    let second = service(&stage);
    eventually("it to answer again", SOON, || async { beat(&agents[0]).await.ok() }).await;
    beat_for(&agents, 5).await;
    assert_eq!(active(&agents[0]).await, 10);
    // What the first had not told when it was killed, the second tells a little later.
    let registered = |told: &[AgentEvent]| {
        let news = told.iter().filter(|event| event.event == AgentRegistered);
        news.map(|event| event.agent_id.clone()).collect::<BTreeSet<_>>().len()
    };
    let all_told = || Box::pin(async { (registered(&stage.events().await) == 10).then_some(()) });
    Box::pin(eventually("every registration to be told", SOON, all_told)).await;
    drop(second);
    let told = stage.events().await;
    // On a busy machine a beat may come late, and is missed; nobody is taken for gone because of it.
    let quiet = |event: &AgentEvent| [AgentRegistered, HeartbeatMissed].contains(&event.event);
    assert!(told.iter().all(quiet), "{told:?}");
}

#[tokio::test]
async fn when_one_replica_is_killed_the_other_answers_and_still_finds_the_silent() {
    let stage = Stage::start().await;
    let (first, second) = (service(&stage), service(&stage));
    let agents = agents(&stage, 4).await;
    first.kill9().unwrap();
    let lively = &agents[..3];
    eventually("the silent agent to be found by the other", SOON, || async {
        // A request that the killed one had taken is not answered: the next one is.
        futures::future::join_all(lively.iter().map(impatient_beat)).await;
        let stats = call::<RegistryStats>(&agents[0], json!({})).await.ok()?;
        (stats.by_status[&AgentStatus::Offline] == 1).then_some(())
    })
    .await;
    assert_eq!(active(&agents[0]).await, 3);
    assert!(!join(&agents[3]).await.created, "it is still known");
    second.terminate().unwrap();
    assert!(second.wait(SOON).await.unwrap().success(), "{}", second.quoted_output());
    let changes = stage.kinds("a3").await;
    let offline = changes.iter().filter(|kind| **kind == AgentStatusChanged).count();
    assert_eq!(offline, 2, "gone and back: {changes:?}");
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_name() {
    let wrong = Proc::build("troupe-registry", env!("CARGO_BIN_EXE_troupe-registry"))
        .args(["--set", "timing.offline_after_misses=0"])
        .start()
        .unwrap();
    assert!(!wrong.wait(SOON).await.unwrap().success());
    assert!(wrong.stderr().contains("timing.offline_after_misses"), "{}", wrong.stderr());
}
