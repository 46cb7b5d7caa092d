use super::*;
use crate::retry::Backoff;
use crate::task::spec::{Birth, TaskSpec};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn task() -> Task {
    let spec = TaskSpec { title: "a task".into(), ..TaskSpec::default() };
    let birth = Birth {
        id: name("t1"),
        at: at(0),
        by: name("operator"),
        trace: None,
        graph_id: None,
        default_lease_ms: 60_000,
    };
    spec.into_task(birth, Vec::new())
}

fn holder(by: &str, epoch: u64) -> Holder {
    Holder { by: name(by), epoch }
}

fn apply(task: &mut Task, decision: Decision, now: i64) {
    let change = decision.unwrap().expect("a change");
    task.apply(&change, at(now));
}

fn claimed_by(by: &str) -> Task {
    let mut task = task();
    let decision = task.claim(&name(by), None, at(1));
    apply(&mut task, decision, 1);
    task
}

#[test]
fn a_second_claim_is_a_conflict_that_names_the_holder() {
    let task = claimed_by("ann");
    let fault = task.claim(&name("bob"), None, at(2)).unwrap_err();
    assert_eq!(fault.code, Code::Conflict);
    assert_eq!(fault.details["claimed_by"], "ann");
    assert_eq!(fault.details["epoch"], 1);
}

#[test]
fn failure_6_a_holder_that_lost_its_lease_can_do_nothing() {
    let mut task = claimed_by("ann");
    let change = task.expire(1, "the agent crashed", at(100)).unwrap();
    task.apply(&change, at(100));
    let ann = holder("ann", 1);
    let stale = |decision: Decision| assert_eq!(decision.unwrap_err().code, Code::StaleEpoch);
    for task in [task.clone(), {
        let decision = task.claim(&name("bob"), None, at(101));
        apply(&mut task, decision, 101);
        task
    }] {
        stale(task.start(&ann));
        stale(task.extend(&ann, None, Some(50.0), at(102)));
        stale(task.complete(&ann, None, Vec::new()));
        stale(task.fail(&ann, "x", true, at(102), 0.0));
        stale(task.release(&ann, "", at(102)));
    }
}

#[test]
fn an_expired_lease_uses_up_no_retry_but_not_for_ever() {
    let mut task = task();
    for epoch in 1..=u64::from(MAX_LEASE_EXPIRIES) {
        assert_eq!(task.status, TaskStatus::Available);
        let decision = task.claim(&name("ann"), None, at(1));
        apply(&mut task, decision, 1);
        let change = task.expire(epoch, "silent", at(2)).unwrap();
        task.apply(&change, at(2));
        assert_eq!(task.failures, 0);
    }
    assert_eq!(task.status, TaskStatus::Dead);
    assert_eq!(task.reasons.last().unwrap().kind, ReasonKind::Exhausted);
}

#[test]
fn retries_back_off_and_what_exhausts_them_is_dead_and_can_be_revived() {
    let mut task = task();
    task.max_retries = 2;
    task.backoff = Some(Box::new(Backoff { initial_ms: 100, max_ms: 1_000, multiplier: 3.0 }));
    let mut now = 0;
    for (attempt, wait) in [(1, 100), (2, 300)] {
        let decision = task.claim(&name("ann"), None, at(now));
        apply(&mut task, decision, now);
        let decision = task.fail(&holder("ann", attempt), "boom", true, at(now), 0.0);
        apply(&mut task, decision, now);
        assert_eq!(task.retry_at, Some(at(now + wait)));
        let early = task.claim(&name("bob"), None, at(now + wait - 1)).unwrap_err();
        assert_eq!(early.code, Code::FailedPrecondition);
        now += wait;
    }
    let decision = task.claim(&name("ann"), None, at(now));
    apply(&mut task, decision, now);
    let decision = task.fail(&holder("ann", 3), "boom", true, at(now), 0.0);
    apply(&mut task, decision, now);
    assert_eq!((task.status, task.error.as_deref()), (TaskStatus::Dead, Some("boom")));
    assert_eq!(task.reasons.len(), 3);
    let decision = task.revive(&name("operator"), "fixed", at(now));
    apply(&mut task, decision, now);
    assert_eq!((task.status, task.failures), (TaskStatus::Available, 0));
}

#[test]
fn repeating_a_command_that_succeeded_is_answered_and_changes_nothing() {
    let mut task = claimed_by("ann");
    let ann = holder("ann", 1);
    let decision = task.start(&ann);
    apply(&mut task, decision, 2);
    assert_eq!(task.start(&ann).unwrap(), None);
    let mut failed = task.clone();
    let decision = failed.fail(&ann, "x", true, at(3), 0.0);
    apply(&mut failed, decision, 3);
    assert_eq!(failed.fail(&ann, "x", true, at(4), 0.0).unwrap(), None);
    let decision = task.complete(&ann, Some(Json::text("done")), Vec::new());
    apply(&mut task, decision, 3);
    assert_eq!(task.complete(&ann, None, Vec::new()).unwrap(), None);
    assert_eq!(task.result, Some(Json::text("done")));
}

#[test]
fn a_report_without_the_evidence_asked_for_is_refused_and_nobody_verifies_itself() {
    let mut task = claimed_by("ann");
    task.verification = Some(Box::new(crate::evidence::Verification {
        evidence: vec![crate::evidence::EvidenceKind::Command],
        ..Default::default()
    }));
    let ann = holder("ann", 1);
    let bare = task.complete(&ann, None, Vec::new()).unwrap_err();
    assert_eq!(bare.details["missing"], "command");
    let ran = Evidence::Command { command: "make test".into(), exit_code: 0, output_sha256: None };
    let decision = task.complete(&ann, None, vec![ran]);
    apply(&mut task, decision, 2);
    assert_eq!(task.status, TaskStatus::Reported);
    let verdict = |by: &str, accept, reason: &str| Verdict {
        by: name(by),
        epoch: 1,
        accept,
        reason: reason.into(),
        evidence: Vec::new(),
    };
    let own = task.verify(&verdict("ann", true, ""), at(3)).unwrap_err();
    assert_eq!(own.code, Code::PermissionDenied);
    assert!(task.verify(&verdict("bob", false, " "), at(3)).unwrap_err().message.contains("why"));
    let mut back = task.clone();
    let decision = back.verify(&verdict("bob", false, "the test is empty"), at(3));
    apply(&mut back, decision, 3);
    assert_eq!(
        (back.status, back.error.as_deref()),
        (TaskStatus::Available, Some("the test is empty"))
    );
    let decision = task.verify(&verdict("bob", true, ""), at(3));
    apply(&mut task, decision, 3);
    assert_eq!(task.status, TaskStatus::Completed);
}

#[test]
fn failure_5_a_dependent_of_a_failed_task_does_not_stay_blocked() {
    for (policy, expected) in [
        (OnFailure::Cancel, TaskStatus::Cancelled),
        (OnFailure::Continue, TaskStatus::Available),
        (OnFailure::Block, TaskStatus::Blocked),
    ] {
        let mut task = task();
        task.status = TaskStatus::Blocked;
        task.dependencies = vec![crate::task::Dependency {
            task_id: name("dep"),
            on_failure: policy,
            outcome: None,
            result: None,
        }];
        assert_eq!(task.follow_dependencies(at(1)), None);
        let settled =
            Change::Settled { on: name("dep"), outcome: Outcome::DidNotSucceed, result: None };
        task.apply(&settled, at(1));
        if let Some(change) = task.follow_dependencies(at(1)) {
            task.apply(&change, at(1));
        }
        assert_eq!(task.status, expected);
        assert_eq!(task.fell_with(&name("dep")), expected == TaskStatus::Cancelled);
    }
}

/// Any command, from any agent, with any epoch, at any moment.
fn command() -> impl Strategy<Value = (u8, u8, u64)> {
    (0_u8..9, 0_u8..3, 0_u64..6)
}

proptest! {
    /// Whatever is tried: the epoch never falls, a held task has a holder and a lease, only a claim
    /// raises the epoch and by one, and folding a change that went through the wire gives the same.
    #[test]
    fn invariants_hold_under_any_commands(commands in prop::collection::vec(command(), 1..80)) {
        let mut task = task();
        let agents = ["ann", "bob", "eve"];
        for (step, (what, who, epoch)) in commands.into_iter().enumerate() {
            let now = at(step as i64 * 1_000_000);
            let by = holder(agents[who as usize], epoch);
            let before = (task.epoch, task.claimed_by.clone(), task.status);
            let decision = match what {
                0 | 1 => task.claim(&by.by, None, now),
                2 => task.start(&by),
                3 => task.extend(&by, None, None, now),
                4 => task.complete(&by, None, Vec::new()),
                5 => task.fail(&by, "x", who != 0, now, 0.5),
                6 => task.release(&by, "", now),
                7 => Ok(task.expire(epoch, "silent", now)),
                _ => task.revive(&by.by, "", now),
            };
            let Ok(Some(change)) = decision else { continue };
            let wire = serde_json::to_string(&change).unwrap();
            let change: Change = serde_json::from_str(&wire).unwrap();
            task.apply(&change, now);
            let is_claim = matches!(change, Change::Claimed { .. });
            prop_assert_eq!(task.epoch, before.0 + u64::from(is_claim));
            if matches!(what, 2..=6) {
                prop_assert!(before.2.is_held() && before.1 == Some(by.by) && before.0 == epoch);
            }
            if task.status.is_held() {
                prop_assert!(task.claimed_by.is_some() && task.lease_expires_at.is_some());
            } else {
                prop_assert!(task.lease_expires_at.is_none());
            }
            let text = serde_json::to_string(&task).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Task>(&text).unwrap(), &task);
        }
    }
}
