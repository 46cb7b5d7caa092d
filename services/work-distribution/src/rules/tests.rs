//! The rules of a shard, driven without I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use troupe_domain::task::rules::{Holder, Profile};
use troupe_domain::task::spec::{Birth, TaskSpec};
use troupe_domain::task::{Dependency, OnFailure};
use troupe_domain::{Code, Name, Priority, Task, TaskStatus, Timestamp};

use super::commands::{Claimer, DueLease, HolderLife};
use super::leaving::Leaving;
use super::record::Record;
use super::state::{Settings, ShardState};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn settings() -> Settings {
    Settings {
        shard: 0,
        shards: 1,
        stalled_after_ms: 600_000,
        max_terminal_tasks: 1_000,
        max_open_tasks: 1_000,
        max_open_bytes: 64 * 1024 * 1024,
    }
}

fn anybody() -> Profile {
    Profile { role: name("implementer"), capabilities: Vec::new() }
}

fn claimer(agent: &str) -> Claimer {
    Claimer { agent: name(agent), claim_id: None }
}

fn task(id: &str, on: &[(&str, OnFailure)], now: i64) -> Task {
    let birth = Birth {
        id: name(id),
        at: at(now),
        by: name("operator"),
        trace: None,
        graph_id: None,
        default_lease_ms: 60_000,
    };
    let edge = |(id, on_failure): &(&str, OnFailure)| Dependency {
        task_id: name(id),
        on_failure: *on_failure,
        outcome: None,
        result: None,
    };
    let spec = TaskSpec { title: id.to_owned(), ..TaskSpec::default() };
    spec.into_task(birth, on.iter().map(edge).collect())
}

fn with(tasks: Vec<Task>) -> ShardState {
    let mut state = ShardState::new(settings());
    state.create(tasks, None, at(0)).unwrap();
    state
}

fn status(state: &ShardState, id: &str) -> TaskStatus {
    state.task(&name(id)).unwrap().status
}

fn finish(state: &mut ShardState, id: &str, succeed: bool, now: i64) {
    let claimed = state.claim(&name(id), &claimer("ann"), &anybody(), None, at(now)).unwrap();
    let holder = Holder { by: name("ann"), epoch: claimed.task.epoch };
    if succeed {
        state.complete(&name(id), &holder, None, Vec::new(), at(now)).unwrap();
    } else {
        state.fail(&name(id), &holder, "no", false, at(now), 0.0).unwrap();
    }
}

#[test]
fn a_failure_runs_down_the_graph_as_the_edges_say_and_a_revival_runs_after_it() {
    use OnFailure::{Block, Cancel, Continue};
    let mut state = with(vec![
        task("root", &[], 0),
        task("falls", &[("root", Cancel)], 0),
        task("falls_too", &[("falls", Cancel)], 0),
        task("waits", &[("root", Block)], 0),
        task("goes_on", &[("root", Continue)], 0),
    ]);
    finish(&mut state, "root", false, 1);
    let all = ["falls", "falls_too", "waits", "goes_on"].map(|id| status(&state, id));
    let (cancelled, blocked) = (TaskStatus::Cancelled, TaskStatus::Blocked);
    assert_eq!(all, [cancelled, cancelled, blocked, TaskStatus::Available]);
    let revived = state.revive(&name("root"), &name("operator"), "", at(2)).unwrap();
    assert_eq!(revived, ["root", "falls", "falls_too"].map(name));
    finish(&mut state, "root", true, 3);
    finish(&mut state, "falls", true, 4);
    let all = ["falls_too", "waits"].map(|id| status(&state, id));
    assert_eq!(all, [TaskStatus::Available, TaskStatus::Available]);
}

#[test]
fn consequences_that_a_crash_swallowed_are_drawn_again() {
    let mut state = with(vec![
        task("root", &[], 0),
        task("next", &[("root", OnFailure::Cancel)], 0),
        task("last", &[("next", OnFailure::Cancel)], 0),
    ]);
    finish(&mut state, "root", false, 1);
    let records = std::mem::take(&mut state.drafts.records);
    let failed = records
        .iter()
        .position(|r| {
            matches!(
                r,
                Record::Changed { change: troupe_domain::task::change::Change::Failed(_), .. }
            )
        })
        .unwrap();
    let mut cut = ShardState::new(settings());
    records[..=failed].iter().for_each(|record| cut.apply(record));
    assert_eq!(status(&cut, "last"), TaskStatus::Blocked);
    cut.reconcile(at(2));
    assert_eq!(status(&cut, "last"), TaskStatus::Cancelled);
}

#[test]
fn a_task_that_ages_is_served_before_an_urgent_one_that_came_much_later() {
    let mut low = task("low", &[], 0);
    low.priority = Priority::Low;
    let late = 20 * 60 * 1000;
    let mut urgent = task("urgent", &[], late);
    urgent.priority = Priority::Critical;
    let mut state = with(vec![low, urgent]);
    let first = state.claim_best(&claimer("ann"), &anybody(), false, at(late)).unwrap().unwrap();
    assert_eq!(first.task.id, name("low"));
}

#[test]
fn a_due_lease_is_renewed_taken_back_or_given_one_grace() {
    let mut state = with(vec![task("t", &[], 0)]);
    state.claim_best(&claimer("ann"), &anybody(), false, at(0)).unwrap().unwrap();
    let due = |state: &mut ShardState, now| state.fire(at(now), 10, 1_000);
    assert_eq!(due(&mut state, 59_999), Vec::new());
    let leases = due(&mut state, 60_000);
    let lease = DueLease { task_id: name("t"), epoch: 1, holder: name("ann") };
    assert_eq!(leases, vec![lease.clone()]);
    state.judge_lease(&lease, HolderLife::AtWork, at(60_000));
    assert_eq!(due(&mut state, 119_999), Vec::new());
    assert_eq!(due(&mut state, 120_000).len(), 1);
    state.judge_lease(&lease, HolderLife::Unknown, at(120_000));
    assert_eq!(status(&state, "t"), TaskStatus::Claimed);
    assert_eq!(due(&mut state, 180_000).len(), 1);
    state.judge_lease(&lease, HolderLife::Unknown, at(180_000));
    assert_eq!(status(&state, "t"), TaskStatus::Available);
    assert_eq!(state.task(&name("t")).unwrap().lease_expiries, 1);
}

#[test]
fn memory_is_bounded_and_no_task_goes_that_an_open_one_looks_at() {
    let mut tasks: Vec<Task> = (0..20).map(|i| task(&format!("t{i}"), &[], 0)).collect();
    tasks.push(task("open", &[("t0", OnFailure::Cancel), ("t19", OnFailure::Cancel)], 0));
    let mut state = ShardState::new(Settings { max_terminal_tasks: 5, ..settings() });
    state.create(tasks, None, at(0)).unwrap();
    for i in 0..19 {
        finish(&mut state, &format!("t{i}"), true, i64::from(i));
        while let Some(leaving) = state.leaving() {
            leave(&mut state, leaving);
        }
    }
    assert!(state.task(&name("t0")).is_some(), "an open task depends on it");
    assert!(state.task(&name("t1")).is_none());
    assert!(state.len() <= 8, "{}", state.len());
    let full = Settings { max_open_tasks: 2, ..settings() };
    let mut state = ShardState::new(full);
    let three = ["a", "b", "c"].map(|id| task(id, &[], 0)).to_vec();
    assert_eq!(state.create(three, None, at(0)).unwrap_err().code, Code::ResourceExhausted);
    assert!(state.is_empty());
}

fn leave(state: &mut ShardState, leaving: Leaving) {
    let Leaving { first, pieces, mut spared } = leaving;
    let ended = |tasks: Vec<Arc<Task>>| {
        tasks.iter().map(|task| (task.id.clone(), task.completed_at)).collect::<Vec<_>>()
    };
    if pieces.is_empty() {
        state.leave(first, &[], spared);
        return;
    }
    for (number, tasks) in pieces.into_iter().enumerate() {
        state.leave(first + number as u64, &ended(tasks), std::mem::take(&mut spared));
    }
}

#[test]
fn many_leave_together_in_pieces_that_are_bounded() {
    let mut state = ShardState::new(Settings { max_terminal_tasks: 10, ..settings() });
    for i in 0..3_000 {
        let id = format!("t{i}");
        state.create(vec![task(&id, &[], 0)], None, at(0)).unwrap();
        finish(&mut state, &id, true, i64::from(i));
    }
    let leaving = state.leaving().unwrap();
    let sizes: Vec<usize> = leaving.pieces.iter().map(Vec::len).collect();
    assert_eq!((leaving.first, &*sizes), (1, [512, 512, 512, 512].as_slice()));
    leave(&mut state, leaving);
    let leaving = state.leaving().unwrap();
    let sizes: Vec<usize> = leaving.pieces.iter().map(Vec::len).collect();
    assert_eq!((leaving.first, &*sizes), (5, [512, 430].as_slice()), "ten stay");
    leave(&mut state, leaving);
    assert!(state.leaving().is_none() && state.len() == 10);
    let piece = |id: &str| state.task(&name(id)).is_none();
    assert!(piece("t0") && piece("t2989") && !piece("t2990"));
}

#[derive(Debug, Clone)]
struct Step {
    what: u8,
    id: u8,
    agent: u8,
    epoch: u64,
    after_ms: i64,
}

fn step() -> impl Strategy<Value = Step> {
    (0_u8..14, 0_u8..12, 0_u8..3, 0_u64..4, 0_i64..90_000)
        .prop_map(|(what, id, agent, epoch, after_ms)| Step { what, id, agent, epoch, after_ms })
}

fn carry_out(state: &mut ShardState, step: &Step, now: Timestamp) {
    let id = name(&format!("t{}", step.id));
    let agent = format!("agent{}", step.agent);
    let holder = Holder { by: name(&agent), epoch: step.epoch };
    // Refusals are a part of the play.
    match step.what {
        0..=2 => {
            let policies = [OnFailure::Cancel, OnFailure::Block, OnFailure::Continue];
            let policy = policies[usize::from(step.agent)];
            let before: Vec<String> = (0..step.id).rev().take(2).map(|i| format!("t{i}")).collect();
            let on: Vec<(&str, OnFailure)> = before
                .iter()
                .filter(|id| state.task(&name(id)).is_some())
                .map(|id| (id.as_str(), policy))
                .collect();
            let _ = state.create(vec![task(id.as_str(), &on, now.as_millis())], None, now);
        }
        3..=5 => drop(state.claim_best(&claimer(&agent), &anybody(), false, now)),
        6 => drop(state.start(&id, &holder, now)),
        7 => drop(state.complete(&id, &holder, None, Vec::new(), now)),
        8 => drop(state.fail(&id, &holder, "x", step.agent > 0, now, 0.5)),
        9 => drop(state.release(&id, &holder, "", now)),
        10 => drop(state.cancel(&id, &holder.by, "", now)),
        11 => drop(state.revive(&id, &holder.by, "", now)),
        12 => drop(state.extend(&id, &holder, None, Some(10.0), now)),
        _ => {
            for lease in state.fire(now, 100, 1_000) {
                let lives = [HolderLife::AtWork, HolderLife::Gone, HolderLife::Unknown];
                state.judge_lease(&lease, lives[usize::from(step.agent)], now);
            }
        }
    }
}

/// What a snapshot holds, as text, without what is only in memory.
fn stored(state: &ShardState) -> Vec<String> {
    state.snapshot().iter().map(|line| serde_json::to_string(line).unwrap()).collect()
}

fn check_indexes(state: &ShardState) {
    let ready: BTreeSet<_> = state.heads(1_000).into_iter().map(|(place, _)| place.1).collect();
    for task in state.tasks.values() {
        let queued = ready.contains(&task.id);
        let claimable = task.status == TaskStatus::Available && task.retry_at.is_none();
        assert_eq!(queued, claimable, "{} {:?}", task.id, task.status);
        let held = state.held.values().any(|held| held.contains(&task.id));
        assert_eq!(held, task.status.is_held(), "{}", task.id);
        if task.status == TaskStatus::Blocked {
            assert_ne!(task.waiting_status(), TaskStatus::Available, "{} is stuck", task.id);
        }
    }
    let counted: u64 = TaskStatus::ALL.iter().map(|s| state.tally.in_status(*s)).sum();
    assert_eq!(counted, state.tasks.len() as u64);
    assert_eq!(state.queued(), ready.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens: the indexes follow the tasks, nothing is stuck, and replaying the records
    /// (through their JSON) gives the same state, as does a snapshot with the records after it.
    #[test]
    fn a_replay_gives_the_same_state(steps in prop::collection::vec(step(), 1..120), cut in 0_usize..120) {
        let mut state = ShardState::new(settings());
        let (mut log, mut now) = (Vec::new(), 0);
        let mut snapshot = None;
        for (index, step) in steps.iter().enumerate() {
            now += step.after_ms;
            carry_out(&mut state, step, at(now));
            for record in std::mem::take(&mut state.drafts.records) {
                log.push(serde_json::to_string(&record).unwrap());
            }
            if index == cut {
                snapshot = Some((stored(&state), log.len()));
            }
            check_indexes(&state);
        }
        // A retry that came due is put back into the queue in memory only.
        let settle = |state: &mut ShardState| { state.fire(at(now), 10_000, 1_000); state.drafts.records.clear(); };
        settle(&mut state);
        let mut replayed = ShardState::new(settings());
        for record in &log {
            replayed.apply(&serde_json::from_str(record).unwrap());
        }
        settle(&mut replayed);
        prop_assert_eq!(stored(&replayed), stored(&state));
        if let Some((lines, from)) = snapshot {
            let mut restored = ShardState::new(settings());
            for line in &lines {
                restored.restore(serde_json::from_str(line).unwrap());
            }
            for record in &log[from..] {
                restored.apply(&serde_json::from_str(record).unwrap());
            }
            settle(&mut restored);
            check_indexes(&restored);
            prop_assert_eq!(stored(&restored), stored(&state));
        }
    }
}
