//! Who no longer holds a task writes nothing: paused agents, crashed agents, failed dependencies.

mod fleet;

use std::time::Duration;

use fleet::{Fleet, PATIENCE, connect, declaration, done, failed, hold, name, parts, proven, task};
use troupe_bus::Bus;
use troupe_contract::event::TaskEventKind as K;
use troupe_contract::registry::{Heartbeat, HeartbeatRequest, Register};
use troupe_contract::work::*;
use troupe_domain::agent::Timing;
use troupe_domain::task::spec::{DependencySpec, FullDependency, TaskSpec};
use troupe_domain::task::{ClaimedTask, OnFailure, Outcome};
use troupe_domain::{Code, Fault, Json, Task, TaskStatus};
use troupe_testkit::eventually;
use troupe_testkit::history::Acknowledged;
use troupe_work_distribution::Config;

const WRITES: [&str; 5] = ["start", "extend", "complete", "fail", "release"];

#[test]
fn plays_its_part() {
    parts::play();
}

async fn with_timing(timing: Timing) -> Fleet {
    let registry =
        troupe_registry::Settings { timing, ..troupe_registry::Config::default().settings() };
    Fleet::with(Config::default(), registry, 1).await
}

/// The next task of an agent that keeps saying it is there.
async fn wait_for_task(agent: &Bus) -> ClaimedTask {
    eventually("a task to be claimed", PATIENCE * 2, || async {
        let poll = NextRequest::waiting(500);
        agent.call::<Next>(&poll).await.unwrap().task
    })
    .await
}

fn stays_alive(agent: &Bus) -> tokio::task::JoinHandle<()> {
    let agent = agent.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            let _ = agent.call::<Heartbeat>(&HeartbeatRequest::default()).await;
        }
    })
}

#[tokio::test]
async fn an_agent_paused_past_its_lease_lands_no_write() {
    let timing = Timing { heartbeat_interval_ms: 200, ..parts::TIMING };
    let fleet = with_timing(timing).await;
    let clinger = parts::clinger(&fleet.nats, "ann");
    let spec = TaskSpec { lease_ms: Some(500), ..task("fenced") };
    let created = fleet.create(&spec).await;
    clinger.wait_for_output("@@holds", parts::START_WITHIN).await.unwrap();
    clinger.pause().unwrap();
    let bob = fleet.agent("bob", "implementer", &[]).await;
    let alive = stays_alive(&bob);
    let claimed = wait_for_task(&bob).await;
    assert_eq!((&claimed.task.id, claimed.task.epoch), (&created.id, 2));
    let held = hold(&claimed);
    bob.call::<Start>(&held).await.unwrap();
    let before = fleet.get(&created.id).await;
    clinger.resume().unwrap();
    clinger.wait_for_output("@@tried while", PATIENCE).await.unwrap();
    let after = fleet.get(&created.id).await;
    let settled = |task: &Task| Task { lease_expires_at: None, ..task.clone() };
    assert_eq!(settled(&after), settled(&before));
    bob.call::<Complete>(&done(&held, "bob's")).await.unwrap();
    clinger.wait_for_output("@@the end", PATIENCE).await.unwrap();
    for when in ["held-by-another", "done-by-another"] {
        for write in WRITES {
            let line = format!("@@{when} {write} stale_epoch");
            assert!(clinger.stdout().contains(&line), "{line}\n{}", clinger.quoted_output());
        }
    }
    alive.abort();
    let task = fleet.get(&created.id).await;
    assert_eq!((task.status, &task.result), (TaskStatus::Completed, &Some(Json::text("bob's"))));
    let acknowledged = Acknowledged {
        created: [created.id.clone()].into(),
        claimed: vec![(created.id.clone(), 1, name("ann")), (created.id.clone(), 2, name("bob"))],
        completed: vec![(created.id.clone(), 2, Some(Json::text("bob's")))],
    };
    let history = proven(&fleet.nats, &acknowledged, PATIENCE).await;
    let kinds: Vec<_> = history.of_task(&created.id).map(|event| event.event).collect();
    assert_eq!(
        kinds,
        [
            K::TaskCreated,
            K::TaskClaimed,
            K::TaskStarted,
            K::LeaseExpired,
            K::TaskClaimed,
            K::TaskStarted,
            K::TaskCompleted
        ]
    );
}

#[tokio::test]
async fn failure_6_a_crashed_owner_loses_its_task_and_cannot_complete_it() {
    let timing = Timing {
        heartbeat_interval_ms: 200,
        offline_after_misses: 5,
        crashed_after_misses: 8,
        crashed_retention_ms: 600_000,
    };
    let fleet = with_timing(timing).await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let spec = TaskSpec { lease_ms: Some(3_600_000), ..task("held for an hour") };
    let created = fleet.create(&spec).await;
    let held = hold(&fleet.claim(&ann).await);
    ann.call::<Start>(&held).await.unwrap();
    // Silence: the lease has an hour left, yet the registry's word is enough.
    let bob = connect(&fleet.nats, "bob").await;
    bob.call::<Register>(&declaration("implementer", &[])).await.unwrap();
    let alive = stays_alive(&bob);
    let claimed = wait_for_task(&bob).await;
    assert_eq!((&claimed.task.id, claimed.task.epoch), (&created.id, 2));
    let task = &claimed.task;
    assert_eq!((task.lease_expiries, task.failures), (1, 0));
    assert!(task.reasons[0].message.contains("ann is not there"), "{:?}", task.reasons);
    stale(ann.call::<Complete>(&done(&held, "too late")).await);
    // It comes back to life, and still holds nothing.
    ann.call::<Heartbeat>(&HeartbeatRequest::default()).await.unwrap();
    stale(ann.call::<Complete>(&done(&held, "too late")).await);
    stale(ann.call::<Fail>(&failed(&held, true)).await);
    bob.call::<Complete>(&done(&hold(&claimed), "bob's")).await.unwrap();
    stale(ann.call::<Complete>(&done(&held, "too late")).await);
    alive.abort();
    let acknowledged = Acknowledged {
        created: [created.id.clone()].into(),
        completed: vec![(created.id.clone(), 2, Some(Json::text("bob's")))],
        ..Acknowledged::default()
    };
    proven(&fleet.nats, &acknowledged, PATIENCE).await;
}

#[tokio::test]
async fn failure_6_an_agent_killed_at_work_loses_its_task() {
    let timing = Timing { heartbeat_interval_ms: 200, ..parts::TIMING };
    let fleet = with_timing(timing).await;
    let doomed = parts::clinger(&fleet.nats, "ann");
    let spec = TaskSpec { lease_ms: Some(3_600_000), ..task("held for an hour") };
    let created = fleet.create(&spec).await;
    doomed.wait_for_output("@@holds", parts::START_WITHIN).await.unwrap();
    doomed.kill9().unwrap();
    let bob = fleet.agent("bob", "implementer", &[]).await;
    let alive = stays_alive(&bob);
    let claimed = wait_for_task(&bob).await;
    bob.call::<Complete>(&done(&hold(&claimed), "bob's")).await.unwrap();
    alive.abort();
    let acknowledged = Acknowledged {
        created: [created.id.clone()].into(),
        completed: vec![(created.id.clone(), 2, Some(Json::text("bob's")))],
        ..Acknowledged::default()
    };
    proven(&fleet.nats, &acknowledged, PATIENCE).await;
}

/// How the dependency ends badly.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Failed,
    Dead,
    Cancelled,
}

async fn end_badly(fleet: &Fleet, agent: &Bus, first: &Task, end: End) {
    if end == End::Cancelled {
        let request = CancelRequest { task_id: first.id.clone(), reason: "no more".into() };
        fleet.operator.call::<Cancel>(&request).await.unwrap();
        return;
    }
    let claim = ClaimRequest { task_id: first.id.clone(), expected_epoch: None };
    let claimed = agent.call::<Claim>(&claim).await.unwrap().task.unwrap();
    let receipt = agent.call::<Fail>(&failed(&hold(&claimed), end == End::Dead)).await.unwrap();
    let wanted = if end == End::Dead { TaskStatus::Dead } else { TaskStatus::Failed };
    assert_eq!(receipt.status, wanted);
}

/// A dependent of a task that ends badly, in the same shard or in another one.
async fn dependent(fleet: &Fleet, first: &Task, policy: OnFailure, id: &str) -> TaskSpec {
    let edge = FullDependency { task: first.id.clone(), on_failure: policy };
    let spec =
        TaskSpec { id: Some(name(id)), depends_on: vec![DependencySpec::Full(edge)], ..task(id) };
    assert_eq!(fleet.create(&spec).await.status, TaskStatus::Blocked);
    spec
}

#[tokio::test]
async fn failure_5_each_edge_says_what_a_bad_end_does() {
    let fleet = Fleet::start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    for end in [End::Failed, End::Dead, End::Cancelled] {
        let spec = TaskSpec { max_retries: Some(0), ..task("first") };
        let first = fleet.create(&spec).await;
        let id = |policy: &str, n: usize| format!("{policy}-{n}-{end:?}");
        let mut all = Vec::new();
        // Several of each, so that they lie in several shards.
        for n in 0..4 {
            for (policy, word, wanted) in [
                (OnFailure::Cancel, "cancel", TaskStatus::Cancelled),
                (OnFailure::Continue, "go", TaskStatus::Available),
                (OnFailure::Block, "block", TaskStatus::Blocked),
            ] {
                let spec = dependent(&fleet, &first, policy, &id(word, n)).await;
                all.push((spec.id.unwrap(), wanted));
            }
        }
        end_badly(&fleet, &ann, &first, end).await;
        for (id, wanted) in &all {
            fleet.until_status(id, *wanted).await;
        }
        // The blocked ones know how it ended: that is what they wait to be mended.
        for (id, _) in all.iter().filter(|(_, wanted)| *wanted == TaskStatus::Blocked) {
            eventually("the edge to be settled", PATIENCE, || async {
                let outcome = fleet.get(id).await.dependencies[0].outcome;
                (outcome == Some(Outcome::DidNotSucceed)).then_some(())
            })
            .await;
            assert_eq!(fleet.status(id).await, TaskStatus::Blocked);
        }
        let went_on = fleet.get(&all[1].0).await;
        assert_eq!(went_on.dependencies[0].outcome, Some(Outcome::DidNotSucceed));
        let fell = fleet.get(&all[0].0).await;
        assert_eq!(fell.reasons.last().unwrap().task_id.as_ref(), Some(&first.id));
        // A dependent that comes after the bad end learns of it at once.
        let late =
            TaskSpec { depends_on: vec![DependencySpec::Plain(first.id.clone())], ..task("late") };
        assert_eq!(fleet.create(&late).await.status, TaskStatus::Cancelled);
        // Revived and completed, it lets all of them go on.
        let request = ReviveRequest { task_id: first.id.clone(), reason: "mended".into() };
        fleet.operator.call::<Revive>(&request).await.unwrap();
        fleet.until_status(&all[0].0, TaskStatus::Blocked).await;
        let claim = ClaimRequest { task_id: first.id.clone(), expected_epoch: None };
        let claimed = ann.call::<Claim>(&claim).await.unwrap().task.unwrap();
        ann.call::<Complete>(&done(&hold(&claimed), "mended")).await.unwrap();
        for (id, _) in &all {
            fleet.until_status(id, TaskStatus::Available).await;
        }
    }
}

fn stale<T: std::fmt::Debug>(answer: Result<T, Fault>) {
    assert_eq!(answer.unwrap_err().code, Code::StaleEpoch);
}
