//! Each rule must be able to fail.

use std::sync::Arc;

use troupe_domain::task::spec::{Birth, TaskSpec};
use troupe_domain::{Name, Task, Timestamp};

use super::*;
use TaskEventKind as K;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn task(holder: &str, epoch: u64, result: &str) -> Arc<Task> {
    let birth = Birth {
        id: name("t"),
        at: Timestamp::from_millis(0),
        by: name("me"),
        trace: None,
        graph_id: None,
        default_lease_ms: 1_000,
    };
    let mut task = TaskSpec::default().into_task(birth, Vec::new());
    task.claimed_by = Some(name(holder));
    task.epoch = epoch;
    task.result = Some(Json::text(result));
    Arc::new(task)
}

fn event(kind: K, epoch: u64, by: &str) -> TaskEvent {
    TaskEvent {
        event: kind,
        task_id: name("t"),
        status: TaskStatus::Available,
        epoch,
        at: Timestamp::from_millis(0),
        by: Some(name(by)),
        reason: None,
        graph_id: None,
        task: (kind == K::TaskCompleted).then(|| task(by, epoch, "done")),
    }
}

/// A history with one place after the other.
fn history(events: &[(K, u64, &str)]) -> History {
    let told = events.iter().enumerate().map(|(index, (kind, epoch, by))| {
        (format!("work-0-{}-0", index + 1), event(*kind, *epoch, by))
    });
    History::of(told).unwrap()
}

fn acknowledged(result: &str) -> Acknowledged {
    Acknowledged {
        created: [name("t")].into(),
        claimed: vec![(name("t"), 2, name("bob"))],
        completed: vec![(name("t"), 2, Some(Json::text(result)))],
    }
}

const GOOD: &[(K, u64, &str)] = &[
    (K::TaskCreated, 0, "me"),
    (K::TaskClaimed, 1, "ann"),
    (K::TaskStarted, 1, "ann"),
    (K::LeaseExpired, 1, "ann"),
    (K::TaskClaimed, 2, "bob"),
    (K::TaskStarted, 2, "bob"),
    (K::TaskCompleted, 2, "bob"),
];

/// The rules that `events` break.
fn broken(events: &[(K, u64, &str)]) -> Vec<Rule> {
    let found = history(events).check_ended(&Acknowledged::default());
    found.into_iter().map(|violation| violation.rule).collect()
}

/// [`GOOD`] with `events` in the place of what is there from `from` to `to`.
fn with(from: usize, to: usize, events: &[(K, u64, &'static str)]) -> Vec<(K, u64, &'static str)> {
    [&GOOD[..from], events, &GOOD[to..]].concat()
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(history(GOOD).check_ended(&acknowledged("done")), Vec::new());
}

#[test]
fn what_comes_twice_or_late_counts_once_and_in_its_place() {
    let mut told: Vec<(String, TaskEvent)> = GOOD
        .iter()
        .enumerate()
        .map(|(index, (kind, epoch, by))| {
            (format!("work-0-{}-0", index + 1), event(*kind, *epoch, by))
        })
        .collect();
    told.push(told[2].clone());
    told.swap(4, 5);
    let history = History::of(told).unwrap();
    assert_eq!((history.repeated, history.late), (1, 1));
    assert_eq!(history.check_ended(&acknowledged("done")), Vec::new());
    assert!(History::of([("elsewhere-1".to_owned(), event(K::TaskCreated, 0, "me"))]).is_err());
}

#[test]
fn an_event_of_a_task_that_was_never_created_is_found() {
    assert_eq!(broken(&GOOD[1..]).first(), Some(&Rule::CreatedOnce));
}

#[test]
fn a_second_creation_is_found() {
    assert_eq!(broken(&with(1, 1, &[(K::TaskCreated, 0, "me")])), [Rule::CreatedOnce]);
}

#[test]
fn two_holders_of_one_epoch_are_found() {
    let twice = with(2, 2, &[(K::TaskClaimed, 1, "eve")]);
    assert_eq!(broken(&twice), [Rule::OneHolderPerEpoch]);
    let same = with(2, 2, &[(K::TaskClaimed, 1, "ann")]);
    assert_eq!(broken(&same), [Rule::OneHolderPerEpoch]);
}

#[test]
fn a_claim_of_what_is_held_is_found() {
    assert_eq!(broken(&with(3, 4, &[])), [Rule::OneHolderPerEpoch]);
}

#[test]
fn an_epoch_that_does_not_follow_is_found() {
    let skipped = with(4, 7, &[(K::TaskClaimed, 3, "bob"), (K::TaskCompleted, 3, "bob")]);
    assert_eq!(broken(&skipped), [Rule::EpochsIncrease]);
}

#[test]
fn a_write_of_a_former_epoch_is_found() {
    assert_eq!(
        broken(&with(6, 7, &[(K::TaskCompleted, 1, "ann")])),
        [Rule::NothingFromAStaleEpoch]
    );
    let started = with(5, 5, &[(K::TaskStarted, 1, "ann")]);
    assert_eq!(broken(&started), [Rule::NothingFromAStaleEpoch]);
}

#[test]
fn a_write_after_the_hold_ended_is_found() {
    let between = with(4, 4, &[(K::TaskStarted, 1, "ann")]);
    assert_eq!(broken(&between), [Rule::NothingFromAStaleEpoch]);
    let done = with(4, 7, &[(K::TaskCompleted, 1, "ann")]);
    assert_eq!(broken(&done), [Rule::NothingFromAStaleEpoch]);
}

#[test]
fn a_write_of_somebody_else_is_found() {
    assert_eq!(
        broken(&with(6, 7, &[(K::TaskCompleted, 2, "ann")])),
        [Rule::NothingFromAStaleEpoch]
    );
}

#[test]
fn a_second_end_is_found() {
    assert_eq!(broken(&with(7, 7, &[(K::TaskDead, 2, "bob")])), [Rule::OneOutcome]);
    assert_eq!(broken(&with(7, 7, &[(K::TaskClaimed, 3, "eve")])), [Rule::OneOutcome]);
}

#[test]
fn a_revival_begins_anew_and_must_end_again() {
    let again = with(
        6,
        7,
        &[
            (K::TaskFailed, 2, "bob"),
            (K::TaskRevived, 2, "me"),
            (K::TaskClaimed, 3, "eve"),
            (K::TaskCompleted, 3, "eve"),
        ],
    );
    assert_eq!(broken(&again), []);
    assert_eq!(broken(&again[..again.len() - 1]), [Rule::EveryTaskEnds]);
}

#[test]
fn a_task_that_does_not_end_is_found() {
    assert_eq!(broken(&GOOD[..6]), [Rule::EveryTaskEnds]);
}

#[test]
fn lost_acknowledgements_are_found() {
    let rules = |history: &History, acknowledged: &Acknowledged| -> Vec<Rule> {
        history.check(acknowledged).into_iter().map(|violation| violation.rule).collect()
    };
    let lost = Acknowledged { created: [name("gone")].into(), ..Acknowledged::default() };
    assert_eq!(rules(&history(GOOD), &lost), [Rule::AcknowledgedCreates]);
    let other =
        Acknowledged { claimed: vec![(name("t"), 2, name("ann"))], ..Acknowledged::default() };
    assert_eq!(rules(&history(GOOD), &other), [Rule::AcknowledgedClaims]);
    assert_eq!(rules(&history(GOOD), &acknowledged("else")), [Rule::AcknowledgedCompletions]);
    let unfinished = history(&GOOD[..6]);
    assert_eq!(rules(&unfinished, &acknowledged("done")), [Rule::AcknowledgedCompletions]);
}
