//! Several replicas, restarts, and a server that is killed.

mod stage;

use serde_json::json;
use stage::{SOON, Stage, beat, call, get, hasty, join, patient, until_status};
use troupe_bus::port::{Log, World};
use troupe_contract::event::AgentEventKind::{
    AgentCrashed, AgentRegistered, AgentStatusChanged, AgentUnregistered, HeartbeatMissed,
};
use troupe_contract::registry::{Heartbeat, ListAgents, RegistryStats};
use troupe_domain::{AgentStatus, Code};
use troupe_registry::rules::fleet::Registration;
use troupe_registry::rules::notes::{Cause, of_change};
use troupe_registry::store::record::Record;
use troupe_testkit::eventually;

#[tokio::test]
async fn what_one_replica_registers_the_other_knows_also_alone() {
    let stage = Stage::start().await;
    let first = stage.replica(patient()).await;
    let me = stage.bus("me").await;
    join(&me).await;
    let second = stage.replica(patient()).await;
    let you = stage.bus("you").await;
    join(&you).await;
    // Whoever of the two answered: both must know both.
    eventually("both replicas to know both agents", SOON, || async {
        let known = [&first, &second].map(|replica| replica.registry.fleet.read().len());
        (known == [2, 2]).then_some(())
    })
    .await;
    call::<Heartbeat>(&me, json!({"running_task_ids": ["t"]})).await.unwrap();
    eventually("both replicas to hear the heartbeat", SOON, || async {
        let heard = |replica: &troupe_registry::Replica| {
            let seen = replica.registry.fleet.read().get(&stage::name("me"));
            seen.is_some_and(|seen| seen.into_agent().current_task_ids.len() == 1)
        };
        (heard(&first) && heard(&second)).then_some(())
    })
    .await;
    first.drain().await;
    assert_eq!(get(&you, "me").await.unwrap().current_task_ids.len(), 1);
    assert!(beat(&me).await.unwrap().accepted);
    second.drain().await;
}

#[tokio::test]
async fn silence_is_told_step_by_step_and_each_step_once_by_two_replicas() {
    let stage = Stage::start().await;
    let replicas = [stage.replica(hasty()).await, stage.replica(hasty()).await];
    let (silent, lively) = (stage.bus("silent").await, stage.bus("lively").await);
    join(&silent).await;
    join(&lively).await;
    eventually("the silent agent to be forgotten", SOON, || async {
        beat(&lively).await.unwrap();
        get(&lively, "silent").await.err().filter(|fault| fault.code == Code::NotFound)
    })
    .await;
    assert_eq!(get(&lively, "lively").await.unwrap().status, AgentStatus::Active);
    for replica in replicas {
        replica.drain().await;
    }
    assert_eq!(
        stage.kinds("silent").await,
        [
            AgentRegistered,
            HeartbeatMissed,
            HeartbeatMissed,
            AgentStatusChanged,
            AgentStatusChanged,
            AgentCrashed,
            AgentUnregistered
        ]
    );
    assert_eq!(stage.kinds("lively").await, [AgentRegistered]);
}

#[tokio::test]
async fn an_agent_comes_back_with_a_heartbeat_and_whoever_said_goodbye_is_never_crashed() {
    let stage = Stage::start().await;
    let replica = stage.replica(hasty()).await;
    let (me, polite) = (stage.bus("me").await, stage.bus("polite").await);
    join(&me).await;
    join(&polite).await;
    call::<Heartbeat>(&polite, json!({"status": "shutting_down"})).await.unwrap();
    until_status(&me, "me", AgentStatus::Offline).await;
    assert!(beat(&me).await.unwrap().accepted);
    until_status(&me, "me", AgentStatus::Active).await;
    eventually("the polite agent to be forgotten", SOON, || async {
        beat(&me).await.unwrap();
        get(&me, "polite").await.err()
    })
    .await;
    replica.drain().await;
    let kinds = stage.kinds("polite").await;
    assert!(!kinds.contains(&AgentCrashed) && kinds.ends_with(&[AgentUnregistered]), "{kinds:?}");
}

#[tokio::test]
async fn a_restart_after_a_long_time_declares_nobody_crashed() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let agents = futures::future::join_all((0..20).map(|n| {
        let id = format!("a{n}");
        let stage = &stage;
        async move {
            let bus = stage.bus(&id).await;
            join(&bus).await;
            bus
        }
    }))
    .await;
    replica.drain().await;
    // With hasty timing, everything stored is older than any window before the first pulse.
    let oldest = get_registered_ms(&stage).await;
    eventually("the stored times to be old", SOON, || async {
        (now_ms() - oldest > 3 * hasty().heartbeat_interval_ms as i64).then_some(())
    })
    .await;
    let replica = stage.replica(hasty()).await;
    eventually("many windows to pass while everybody beats", SOON, || async {
        for agent in &agents {
            beat(agent).await.unwrap();
        }
        let heartbeats = call::<RegistryStats>(&agents[0], json!({})).await.unwrap().heartbeats;
        (heartbeats > 20 * 20).then_some(())
    })
    .await;
    let stats = call::<RegistryStats>(&agents[0], json!({})).await.unwrap();
    assert_eq!(stats.by_status[&AgentStatus::Active], 20);
    replica.drain().await;
    let told = stage.events().await;
    assert!(told.iter().all(|event| event.event == AgentRegistered), "{told:?}");
}

async fn get_registered_ms(stage: &Stage) -> i64 {
    let told = stage.events().await;
    told.iter().map(|event| event.at.as_millis()).max().unwrap()
}

fn now_ms() -> i64 {
    troupe_bus::port::System.now().as_millis()
}

#[tokio::test]
async fn no_acknowledged_registration_is_lost_when_the_server_is_killed() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let bus = stage.bus("a0").await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let joining = (0..40).map(|n| {
            let stage = &stage;
            async move {
                let id = format!("r{round}n{n}");
                let bus = stage.bus(&id).await;
                join(&bus).await;
                id
            }
        });
        acknowledged.extend(futures::future::join_all(joining).await);
        stage.nats.kill9().unwrap();
        stage.nats.restart().await.unwrap();
    }
    let page = eventually("the registry to answer again", SOON, || async {
        call::<ListAgents>(&bus, json!({"limit": 1_000})).await.ok()
    })
    .await;
    let ids: Vec<&str> = page.agents.iter().map(|agent| agent.id.as_str()).collect();
    assert!(acknowledged.iter().all(|id| ids.contains(&id.as_str())));
    replica.drain().await;
    let fresh = stage.replica(patient()).await;
    assert_eq!(fresh.registry.fleet.read().len(), 120, "what is stored says the same");
    let told = eventually("every registration to be told", SOON, || {
        let events = Box::pin(stage.events());
        async move { Some(events.await).filter(|told| told.len() >= 120) }
    })
    .await;
    assert_eq!(told.len(), 120, "each once");
    fresh.drain().await;
}

/// What a replica leaves behind that dies between its write and the write's event.
async fn write_untold(stage: &Stage, id: &str) {
    let at = troupe_bus::port::System.now();
    let me = stage.bus(id).await;
    let mut agent = get(&me, "model").await.unwrap();
    agent.id = stage::name(id);
    let cause = Cause { declared: true, ..Cause::default() };
    let record = Record {
        notes: of_change(None, &agent, &cause, at),
        agent,
        removed: false,
        at,
        writer: stage::name("dead"),
        write_id: stage::name("w"),
        carried: Vec::new(),
        registration: Registration { command_id: None, created: true },
        trace: None,
    };
    let log = me.open_stream(&troupe_contract::stream::agents(), 1).await.unwrap();
    let subject = troupe_contract::subject::agent_state(&stage::name(id));
    log.append(&subject, record.encode().unwrap(), 0).await.unwrap();
}

#[tokio::test]
async fn an_event_whose_writer_died_is_told_by_a_living_replica_or_at_the_next_start() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    join(&stage.bus("model").await).await;
    write_untold(&stage, "while-alive").await;
    until_told(&stage, "while-alive").await;
    write_untold(&stage, "before-start").await;
    // Its follower may have seen it, but has not told it yet when it ends.
    replica.drain().await;
    assert!(stage.kinds("before-start").await.is_empty());
    let replica = stage.replica(patient()).await;
    until_told(&stage, "before-start").await;
    replica.drain().await;
    assert_eq!(stage.events().await.len(), 3, "each once");
}

async fn until_told(stage: &Stage, id: &str) {
    eventually(format!("{id} to be told"), SOON, || {
        let kinds = Box::pin(stage.kinds(id));
        async move { (kinds.await == [AgentRegistered]).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stands_still_makes_nobody_silent() {
    let stage = Stage::start().await;
    let replica = stage.replica(hasty()).await;
    let me = stage.bus("me").await;
    join(&me).await;
    beat(&me).await.unwrap();
    stage.nats.pause().unwrap();
    let paused = now_ms();
    eventually("many windows to pass", SOON, || async {
        (now_ms() - paused > 10 * hasty().heartbeat_interval_ms as i64).then_some(())
    })
    .await;
    stage.nats.resume().unwrap();
    // The agent does not happen to beat at once.
    let resumed = now_ms();
    eventually("an interval to pass", SOON, || async {
        (now_ms() - resumed > hasty().heartbeat_interval_ms as i64).then_some(())
    })
    .await;
    eventually("the agent to be heard again", SOON, || async { beat(&me).await.ok() }).await;
    assert_eq!(get(&me, "me").await.unwrap().status, AgentStatus::Active);
    replica.drain().await;
    assert!(!stage.kinds("me").await.contains(&AgentStatusChanged));
}
