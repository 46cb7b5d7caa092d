//! Agents that end with messages in their hands: what came by intent is the next best's within
//! seconds, long before its lease would end, and what was sent by name waits for its owner.

mod stage;

use std::time::Duration;

use serde_json::{Value, json};
use stage::{Agent, PATIENCE, Stage, ids, name};
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::port::{System, World};
use troupe_contract::registry::{AgentRef, GetAgent, Heartbeat, Register};
use troupe_contract::routing::*;
use troupe_domain::AgentStatus;
use troupe_domain::agent::Timing;
use troupe_semantic_routing::rules::resolve::Policy;
use troupe_semantic_routing::rules::score::Weights;
use troupe_testkit::eventually;

/// What the issue promises of failover.
const FAILOVER_WITHIN: Duration = Duration::from_secs(5);
/// A lease that ends long after every deadline here.
const LONG_LEASE_MS: u64 = 600_000;
const FAILURES_THAT_OPEN: usize = 5;

/// Who is silent for three seconds is taken for dead.
fn short() -> Timing {
    Timing {
        heartbeat_interval_ms: 500,
        offline_after_misses: 4,
        crashed_after_misses: 6,
        ..Timing::default()
    }
}

/// Who says that it is the best is chosen, whatever was measured.
async fn stage(timing: Timing) -> (troupe_registry::Replica, Stage) {
    let mut config = stage::without_model();
    let weights =
        Weights { semantic: 0.5, proficiency: 0.5, success: 0.0, load: 0.0, latency: 0.0 };
    config.intents.policy = Policy { weights, ..Policy::default() };
    Stage::with_registry_of(config, timing).await
}

async fn register(agent: &Agent, proficiency: f64) {
    let capability = json!({"name": "translate", "proficiency": proficiency});
    let declared = json!({"role": "r", "capabilities": [capability], "max_concurrent_tasks": 64});
    agent.call::<Register>(declared).await.unwrap();
}

/// The sign of life of a process, until it is killed.
fn beat(bus: Bus) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut timer = tokio::time::interval(Duration::from_millis(100));
        loop {
            timer.tick().await;
            let request = serde_json::from_value(json!({})).unwrap();
            // One that is not heard is followed by the next.
            drop(bus.call::<Heartbeat>(&request).await);
        }
    })
}

struct Cast {
    ann: Agent,
    eve: Agent,
    bob: Agent,
    cat: Agent,
}

/// `bob` is the best, `cat` is the next best, and routing knows both. What `ann` and `eve` send waits
/// for nothing of each other.
async fn cast(stage: &Stage) -> Cast {
    let (ann, eve) = (stage.agent("ann").await, stage.agent("eve").await);
    let (bob, cat) = (stage.agent("bob").await, stage.agent("cat").await);
    register(&bob, 1.0).await;
    register(&cat, 0.2).await;
    knows(stage, 2).await;
    Cast { ann, eve, bob, cat }
}

async fn knows(stage: &Stage, agents: usize) {
    eventually("routing to know everybody", PATIENCE, || async {
        (stage.replicas[0].intents().everybody().len() == agents).then_some(())
    })
    .await;
}

fn wanting(id: &str) -> Value {
    json!({"id": id, "intent": {
        "text": "please", "filters": {"capabilities": ["translate"]}, "fallback": "capability",
    }})
}

/// Takes everything, for very long.
async fn hold(agent: &Agent, count: usize) -> Vec<DeliveredMessage> {
    let poll = json!({"max_messages": 64, "wait_ms": 1_000, "ack_wait_ms": LONG_LEASE_MS});
    let mut held = Vec::new();
    while held.len() < count {
        held.extend(agent.poll(poll.clone()).await);
    }
    held
}

async fn is_declared_crashed(stage: &Stage, agent: &str) {
    let bus = stage.bus("watcher").await;
    let request = AgentRef { agent_id: name(agent) };
    eventually("the registry to say that it crashed", PATIENCE, || async {
        let agent = bus.call::<GetAgent>(&request).await.unwrap().agent;
        (agent.status == AgentStatus::Crashed).then_some(())
    })
    .await;
}

/// Everything that reaches an agent within the time that failover may take.
async fn gets(agent: &Agent, count: usize) -> Vec<DeliveredMessage> {
    tokio::time::timeout(FAILOVER_WITHIN, hold(agent, count)).await.expect("the next best has it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_agent_had_in_its_hands_is_the_next_bests() {
    let (registry, stage) = stage(short()).await;
    let Cast { ann, eve, bob, cat } = cast(&stage).await;
    let (alive, _also) = (beat(bob.bus.clone()), beat(cat.bus.clone()));
    // Of two senders, too.
    let dan = stage.agent("dan").await;
    for (sender, id) in [(&ann, "i1"), (&dan, "i2")] {
        assert_eq!(sender.send(wanting(id)).await.recipient_id, Some(name("bob")));
    }
    eve.send(json!({"id": "named", "recipient_id": "bob"})).await;
    let held = hold(&bob, 3).await;
    alive.abort();
    is_declared_crashed(&stage, "bob").await;

    let got = gets(&cat, 2).await;
    assert_eq!(ids(&got), ["i1", "i2"], "and nothing that was sent by name");
    assert!(got.iter().all(|one| one.delivery_attempts == 1));
    // It was only deaf, and says now that it is done. That counts for nothing.
    for late in held.iter().filter(|one| one.message.id != name("named")) {
        assert_eq!(bob.ack(late).await, AckEffect::Unknown);
    }
    for one in &got {
        assert_eq!(cat.ack(one).await, AckEffect::Done);
    }
    // Its own message is there when it is back.
    register(&bob, 1.0).await;
    let again = gets(&bob, 1).await;
    assert_eq!((ids(&again), again[0].delivery_attempts), (vec!["named"], 2));
    let former = held.iter().find(|one| one.message.id == name("named")).unwrap();
    assert_eq!(bob.ack(former).await, AckEffect::Stale);
    assert_eq!(bob.ack(&again[0]).await, AckEffect::Done);
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_restarts_before_anybody_missed_it_finds_what_it_held() {
    let (registry, stage) = stage(Timing::default()).await;
    let Cast { ann, eve, bob, cat } = cast(&stage).await;
    ann.send(wanting("intent")).await;
    eve.send(json!({"id": "named", "recipient_id": "bob"})).await;
    let held = hold(&bob, 2).await;
    // The same name with another life: a process that began anew, which takes a tick of the clock.
    let held_at = System.now();
    eventually("the clock to go on", PATIENCE, || async { (System.now() > held_at).then_some(()) })
        .await;
    register(&bob, 1.0).await;
    let again = gets(&bob, 1).await;
    assert_eq!((ids(&again), again[0].delivery_attempts), (vec!["named"], 2));
    assert_eq!(ids(&gets(&cat, 1).await), ["intent"], "its delivery failed: the next best has it");
    for late in &held {
        assert!(matches!(bob.ack(late).await, AckEffect::Stale | AckEffect::Unknown));
    }
    assert_eq!(bob.ack(&again[0]).await, AckEffect::Done);
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_holds_when_its_breaker_opens_is_the_next_bests() {
    let (registry, stage) = stage(Timing::default()).await;
    let Cast { ann, bob, cat, .. } = cast(&stage).await;
    let all = FAILURES_THAT_OPEN + 1;
    for number in 0..all {
        let sent = ann.send(wanting(&format!("i{number}"))).await;
        assert_eq!(sent.recipient_id, Some(name("bob")));
    }
    let held = hold(&bob, all).await;
    let (last, failed) = held.split_last().unwrap();
    for one in failed {
        bob.end(one, json!({"outcome": "rejected", "reason": "I cannot"})).await;
    }
    // One after the other, because they are of one sender.
    let mut got = Vec::new();
    while got.len() < all {
        for one in gets(&cat, 1).await {
            assert_eq!(cat.ack(&one).await, AckEffect::Done);
            got.push(one.message.id.clone());
        }
    }
    assert!(got.contains(&last.message.id), "{got:?}");
    assert_eq!(bob.ack(last).await, AckEffect::Unknown);
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_crashes_while_no_replica_is_there_is_looked_after_by_the_next_one() {
    let (registry, mut stage) = stage(short()).await;
    let Cast { ann, bob, cat, .. } = cast(&stage).await;
    let (alive, _also) = (beat(bob.bus.clone()), beat(cat.bus.clone()));
    ann.send(wanting("i1")).await;
    hold(&bob, 1).await;
    stage.replicas.remove(0).drain().await;
    alive.abort();
    is_declared_crashed(&stage, "bob").await;
    stage.add_replica().await;
    assert_eq!(ids(&gets(&cat, 1).await), ["i1"]);
    registry.drain().await;
}
