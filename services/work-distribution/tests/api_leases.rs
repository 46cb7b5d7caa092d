//! Holding a task: leases, budgets, retries, verification, release; on real services in this process.

mod fleet;

use std::collections::BTreeSet;
use std::time::Duration;

use fleet::{Fleet, PATIENCE, done, failed, hold, name, parts, proven, task};
use parking_lot::Mutex;
use troupe_bus::Bus;
use troupe_contract::event::TaskEventKind as K;
use troupe_contract::registry::{Heartbeat, HeartbeatRequest};
use troupe_contract::work::*;
use troupe_domain::evidence::{Evidence, EvidenceKind, Verification};
use troupe_domain::retry::Backoff;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::task::{Budget, ReasonKind};
use troupe_domain::{Code, TaskId, TaskStatus};
use troupe_testkit::eventually;
use troupe_testkit::history::{Acknowledged, History};
use troupe_work_distribution::Config;

const LEASE_MS: u64 = 300;

async fn start() -> Fleet {
    let timing = troupe_domain::agent::Timing { heartbeat_interval_ms: 2_000, ..parts::TIMING };
    let registry =
        troupe_registry::Settings { timing, ..troupe_registry::Config::default().settings() };
    Fleet::with(Config::default(), registry, 1).await
}

fn short(title: &str) -> TaskSpec {
    TaskSpec { lease_ms: Some(LEASE_MS), ..task(title) }
}

/// An agent's heartbeats, and what they list.
struct Beats {
    listed: std::sync::Arc<Mutex<Vec<TaskId>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Heartbeats from now on; returns after the first.
async fn beats(agent: &Bus, listed: &[TaskId]) -> Beats {
    let listed = std::sync::Arc::new(Mutex::new(listed.to_vec()));
    let (agent, ids) = (agent.clone(), listed.clone());
    let beat = move || {
        let (agent, ids) = (agent.clone(), ids.lock().clone());
        async move {
            let request =
                HeartbeatRequest { running_task_ids: Some(ids), ..HeartbeatRequest::default() };
            agent.call::<Heartbeat>(&request).await
        }
    };
    beat().await.unwrap();
    let task = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let _ = beat().await;
        }
    });
    Beats { listed, task }
}

#[tokio::test]
async fn a_heartbeat_that_lists_a_task_renews_its_lease_and_one_that_does_not_lets_it_go() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let created = fleet.create(&short("held")).await;
    let beats = beats(&ann, std::slice::from_ref(&created.id)).await;
    let claimed = fleet.claim(&ann).await;
    let first = claimed.task.lease_expires_at.unwrap();
    ann.call::<Start>(&hold(&claimed)).await.unwrap();
    eventually("the lease to be renewed three times", PATIENCE, || async {
        let task = fleet.get(&created.id).await;
        assert_eq!((task.status, task.epoch), (TaskStatus::InProgress, 1));
        let until = task.lease_expires_at.unwrap();
        (until > first.plus_millis(3 * LEASE_MS)).then_some(())
    })
    .await;
    beats.listed.lock().clear();
    fleet.until_status(&created.id, TaskStatus::Available).await;
    let task = fleet.get(&created.id).await;
    assert_eq!((task.lease_expiries, task.failures, &task.claimed_by), (1, 0, &None));
    let reason = task.reasons.last().unwrap();
    assert_eq!(reason.kind, ReasonKind::LeaseExpired);
    assert!(reason.message.contains("does not work on the task"), "{}", reason.message);
    let fault = ann.call::<Complete>(&done(&hold(&claimed), "late")).await.unwrap_err();
    assert_eq!(fault.code, Code::StaleEpoch);
}

#[tokio::test]
async fn extending_renews_a_lease_and_tells_progress() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    fleet.create(&short("extended")).await;
    let _beats = beats(&ann, &[]).await;
    let HoldRequest { task_id, epoch } = hold(&fleet.claim(&ann).await);
    let request = ExtendRequest {
        task_id: task_id.clone(),
        epoch,
        lease_ms: Some(3_600_000),
        progress_percent: Some(40.0),
    };
    let receipt = ann.call::<Extend>(&request).await.unwrap();
    let task = fleet.get(&task_id).await;
    assert_eq!(task.lease_expires_at, receipt.lease_expires_at);
    assert_eq!(task.progress_percent, Some(40.0));
    let lease = task.lease_expires_at.unwrap().millis_since(task.updated_at);
    assert_eq!(lease, 3_600_000);
    for (lease_ms, percent, field) in [
        (Some(1), None, "lease_ms"),
        (Some(u64::MAX), None, "lease_ms"),
        (None, Some(101.0), "progress_percent"),
    ] {
        let request = ExtendRequest { lease_ms, progress_percent: percent, ..request.clone() };
        let fault = ann.call::<Extend>(&request).await.unwrap_err();
        assert_eq!((fault.code, &fault.details["field"]), (Code::InvalidArgument, &field.into()));
    }
}

#[tokio::test]
async fn without_a_registry_a_lease_gets_one_grace_and_is_then_taken_back() {
    let mut fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let created = fleet.create(&short("orphan")).await;
    let claimed = fleet.claim(&ann).await;
    fleet.registry.take().unwrap().drain().await;
    fleet.until_status(&created.id, TaskStatus::Available).await;
    let task = fleet.get(&created.id).await;
    let reason = task.reasons.last().unwrap();
    assert!(reason.message.contains("nobody knows"), "{}", reason.message);
    let held = reason.at.millis_since(claimed.task.claimed_at.unwrap());
    assert!(held >= 2 * LEASE_MS, "taken back after {held} ms: without a grace");
    let fault = ann.call::<Complete>(&done(&hold(&claimed), "late")).await.unwrap_err();
    assert_eq!(fault.code, Code::StaleEpoch);
}

#[tokio::test]
async fn the_time_budget_of_an_attempt_is_enforced() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let budget = Budget { max_duration_ms: Some(1), ..Budget::default() };
    let spec = TaskSpec { budget: Some(budget), max_retries: Some(0), ..task("endless") };
    let created = fleet.create(&spec).await;
    let _beats = beats(&ann, std::slice::from_ref(&created.id)).await;
    let claimed = fleet.claim(&ann).await;
    ann.call::<Start>(&hold(&claimed)).await.unwrap();
    fleet.until_status(&created.id, TaskStatus::Dead).await;
    let error = fleet.get(&created.id).await.error.clone().unwrap();
    assert!(error.contains("budget"), "{error}");
    let fault = ann.call::<Complete>(&done(&hold(&claimed), "late")).await.unwrap_err();
    assert_eq!(fault.code, Code::StaleEpoch);
}

#[tokio::test]
async fn retries_back_off_until_the_task_is_dead_and_can_be_revived() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let backoff = |initial_ms| Some(Backoff { initial_ms, max_ms: 3_600_000, multiplier: 2.0 });
    let slow = fleet.create(&TaskSpec { backoff: backoff(600_000), ..task("slow") }).await;
    let claimed = fleet.claim(&ann).await;
    let receipt = ann.call::<Fail>(&failed(&hold(&claimed), true)).await.unwrap();
    assert_eq!(receipt.status, TaskStatus::Available);
    // Said twice, it counts once.
    ann.call::<Fail>(&failed(&hold(&claimed), true)).await.unwrap();
    let waiting = fleet.get(&slow.id).await;
    let wait = waiting.retry_at.unwrap().millis_since(waiting.updated_at);
    assert!((450_000..=600_000).contains(&wait) && waiting.failures == 1, "{wait}");
    assert!(fleet.next(&ann).await.unwrap().is_none());
    let claim = ClaimRequest { task_id: slow.id.clone(), expected_epoch: None };
    assert_eq!(ann.call::<Claim>(&claim).await.unwrap_err().code, Code::FailedPrecondition);

    let spec = TaskSpec { backoff: backoff(20), max_retries: Some(2), ..task("hopeless") };
    let hopeless = fleet.create(&spec).await;
    for attempt in 1..=3 {
        let claimed =
            eventually("the next attempt", PATIENCE, || async { fleet.next(&ann).await.unwrap() })
                .await;
        assert_eq!((&claimed.task.id, claimed.task.epoch), (&hopeless.id, attempt));
        ann.call::<Fail>(&failed(&hold(&claimed), true)).await.unwrap();
    }
    let dead = fleet.get(&hopeless.id).await;
    assert_eq!((dead.status, dead.reasons.len()), (TaskStatus::Dead, 3));
    let revive = ReviveRequest { task_id: hopeless.id.clone(), reason: "mended".into() };
    let revived = fleet.operator.call::<Revive>(&revive).await.unwrap();
    assert_eq!(revived.task_ids, std::slice::from_ref(&hopeless.id));
    let claimed = fleet.claim(&ann).await;
    assert_eq!((claimed.task.epoch, claimed.task.failures), (4, 0));
    ann.call::<Complete>(&done(&hold(&claimed), "at last")).await.unwrap();
    let fault = fleet.operator.call::<Revive>(&revive).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedPrecondition);
    let cancel = CancelRequest { task_id: slow.id.clone(), reason: String::new() };
    fleet.operator.call::<Cancel>(&cancel).await.unwrap();
    let history = proven(&fleet.nats, &Acknowledged::default(), PATIENCE).await;
    let kinds: Vec<_> = history.of_task(&hopeless.id).map(|event| event.event).collect();
    let retry = [K::TaskClaimed, K::TaskRetrying];
    let end = [K::TaskClaimed, K::TaskDead, K::TaskRevived, K::TaskClaimed, K::TaskCompleted];
    assert_eq!(kinds, [&[K::TaskCreated][..], &retry, &retry, &end].concat());
}

fn command(exit_code: i32) -> Evidence {
    Evidence::Command { command: "make test".into(), exit_code, output_sha256: None }
}

fn verdict(report: &HoldRequest, accept: bool, reason: &str) -> VerifyRequest {
    VerifyRequest {
        task_id: report.task_id.clone(),
        epoch: report.epoch,
        accept,
        reason: reason.into(),
        evidence: Vec::new(),
    }
}

#[tokio::test]
async fn a_report_needs_its_evidence_and_somebody_else_who_believes_it() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let bob = fleet.agent("bob", "auditor", &["audit:0.9"]).await;
    let eve = fleet.agent("eve", "auditor", &["audit:0.1"]).await;
    let verification = Verification {
        role: Some(name("auditor")),
        capabilities: vec!["audit:0.5".parse().unwrap()],
        evidence: vec![EvidenceKind::Command],
    };
    let spec = TaskSpec {
        required_role: Some(name("implementer")),
        verification: Some(verification),
        ..task("checked")
    };
    let created = fleet.create(&spec).await;
    let report = hold(&fleet.claim(&ann).await);
    let claim = |evidence| CompleteRequest { evidence, ..done(&report, "it works") };
    for unconvincing in
        [vec![], vec![command(1)], vec![Evidence::Observation { statement: "ok".into() }]]
    {
        let fault = ann.call::<Complete>(&claim(unconvincing)).await.unwrap_err();
        assert_eq!(
            (fault.code, &fault.details["field"]),
            (Code::FailedPrecondition, &"evidence".into())
        );
    }
    let receipt = ann.call::<Complete>(&claim(vec![command(0)])).await.unwrap();
    assert_eq!(receipt.status, TaskStatus::Reported);
    for wrong in [&ann, &eve, &fleet.operator] {
        let fault = wrong.call::<Verify>(&verdict(&report, true, "")).await.unwrap_err();
        assert_eq!(fault.code, Code::PermissionDenied, "{}", wrong.name());
    }
    let fault = bob.call::<Verify>(&verdict(&report, false, " ")).await.unwrap_err();
    assert_eq!((fault.code, &fault.details["field"]), (Code::InvalidArgument, &"reason".into()));
    let other = HoldRequest { epoch: 7, ..report.clone() };
    let fault = bob.call::<Verify>(&verdict(&other, true, "")).await.unwrap_err();
    assert_eq!(fault.code, Code::StaleEpoch);
    let receipt = bob.call::<Verify>(&verdict(&report, false, "no tests")).await.unwrap();
    assert_eq!(receipt.status, TaskStatus::Available);
    let rejected = fleet.get(&created.id).await;
    assert_eq!(rejected.reasons[0].message, "no tests");
    assert!(rejected.result.is_none() && rejected.evidence.is_empty());

    let report = hold(&fleet.claim(&ann).await);
    let request = CompleteRequest { evidence: vec![command(0)], ..done(&report, "with tests") };
    ann.call::<Complete>(&request).await.unwrap();
    let saw = Evidence::Observation { statement: "I ran them".into() };
    let accept = VerifyRequest { evidence: vec![saw.clone()], ..verdict(&report, true, "") };
    for _ in 0..2 {
        let receipt = bob.call::<Verify>(&accept).await.unwrap();
        assert_eq!(receipt.status, TaskStatus::Completed);
    }
    let task = fleet.get(&created.id).await;
    assert_eq!(
        (task.verified_by.clone(), &task.evidence),
        (Some(name("bob")), &vec![command(0), saw])
    );
    proven(&fleet.nats, &Acknowledged::default(), PATIENCE).await;
}

#[tokio::test]
async fn a_released_task_goes_to_somebody_else_and_uses_up_nothing() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let bob = fleet.agent("bob", "implementer", &[]).await;
    let created = fleet.create(&task("handed on")).await;
    let held = hold(&fleet.claim(&ann).await);
    let back = ReleaseRequest {
        task_id: held.task_id.clone(),
        epoch: held.epoch,
        reason: "not mine".into(),
    };
    for _ in 0..2 {
        assert_eq!(ann.call::<Release>(&back).await.unwrap().status, TaskStatus::Available);
    }
    let claimed = fleet.claim(&bob).await;
    assert_eq!((&claimed.task.id, claimed.task.epoch), (&created.id, 2));
    assert_eq!((claimed.task.failures, claimed.task.lease_expiries), (0, 0));
    assert_eq!(claimed.task.reasons[0].message, "not mine");
    assert_eq!(ann.call::<Release>(&back).await.unwrap_err().code, Code::StaleEpoch);
    bob.call::<Complete>(&done(&hold(&claimed), "")).await.unwrap();
    proven(&fleet.nats, &Acknowledged::default(), PATIENCE).await;
}

#[tokio::test]
async fn cancelling_takes_the_parts_and_the_dependents_along() {
    let fleet = start().await;
    let ann = fleet.agent("ann", "implementer", &[]).await;
    let whole = fleet.create(&task("whole")).await;
    let claimed = fleet.claim(&ann).await;
    let mut wanted = BTreeSet::new();
    for number in 0..6 {
        // Ids of the caller's own land in any shard.
        let part = TaskSpec {
            id: Some(name(&format!("part-{number}"))),
            parent_task_id: Some(whole.id.clone()),
            ..task("part")
        };
        let part = fleet.create(&part).await;
        let after = TaskSpec {
            id: Some(name(&format!("after-{number}"))),
            depends_on: vec![troupe_domain::task::spec::DependencySpec::Plain(part.id.clone())],
            ..task("after")
        };
        wanted.insert(part.id.clone());
        wanted.insert(fleet.create(&after).await.id.clone());
    }
    eventually("the whole to know its parts", PATIENCE, || async {
        (fleet.get(&whole.id).await.subtask_ids.len() == 6).then_some(())
    })
    .await;
    let cancel = CancelRequest { task_id: whole.id.clone(), reason: "no need".into() };
    let cancelled = fleet.operator.call::<Cancel>(&cancel).await.unwrap();
    assert_eq!(cancelled.task_ids[0], whole.id);
    for id in &wanted {
        fleet.until_status(id, TaskStatus::Cancelled).await;
    }
    let fault = ann.call::<Complete>(&done(&hold(&claimed), "late")).await.unwrap_err();
    assert_eq!(fault.code, Code::StaleEpoch);
    assert!(fleet.operator.call::<Cancel>(&cancel).await.is_ok());
    let history: History = proven(&fleet.nats, &Acknowledged::default(), PATIENCE).await;
    assert_eq!(history.count(K::TaskCancelled), 13);
}
