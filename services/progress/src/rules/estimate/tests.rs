use super::*;
use crate::rules::network::Node;
use crate::rules::tests::{at, name};

/// A task that waits for others by place.
pub(in crate::rules) fn node(id: usize, waits_for: &[u32]) -> Node {
    Node {
        id: name(&format!("t{id}")),
        title: format!("task {id}"),
        status: if waits_for.is_empty() { TaskStatus::Available } else { TaskStatus::Blocked },
        holder: None,
        role: Some(name("implementer")),
        waits_for: waits_for.to_vec(),
        outside: false,
        stuck: false,
        waits_for_unknown: false,
        spent_ms: 0,
        said_ms: None,
        estimated_ms: None,
        percentage: 0.0,
        since: at(0),
        stalled: false,
        blocked: false,
    }
}

pub(in crate::rules) fn network(nodes: Vec<Node>, minutes: &[u64]) -> Network {
    let mut durations = Durations::default();
    for minute in minutes {
        durations.completed(Some(&name("implementer")), None, minute * 60_000);
    }
    Network { nodes, durations, at_work: 0, at_work_in_fleet: 0, at: at(0) }
}

fn minutes(reply: &EstimateReply) -> (f64, f64) {
    (reply.p50_minutes.unwrap(), reply.p90_minutes.unwrap())
}

#[test]
fn what_rests_on_too_little_is_unknown_and_says_so() {
    let reply = estimate(&network(vec![node(0, &[])], &[5; 7]), None, 1);
    assert!(reply.unknown && reply.p50_minutes.is_none());
    assert_eq!(reply.basis.without_basis, 1);
    assert!(reply.unknown_because.unwrap().contains("nothing is known"));
}

#[test]
fn tasks_that_always_take_ten_minutes_take_ten_minutes_each() {
    let chain = vec![node(0, &[]), node(1, &[0]), node(2, &[1])];
    let reply = estimate(&network(chain, &[10; 20]), Some(5), 1);
    assert_eq!(minutes(&reply), (30.0, 30.0));
    assert_eq!((reply.basis.by_role, reply.basis.fewest_samples), (3, Some(20)));
    let side_by_side: Vec<Node> = (0..6).map(|id| node(id, &[])).collect();
    let reply = estimate(&network(side_by_side.clone(), &[10; 20]), Some(3), 1);
    assert_eq!(minutes(&reply), (20.0, 20.0));
    let reply = estimate(&network(side_by_side, &[10; 20]), None, 1);
    assert_eq!((minutes(&reply), reply.basis.workers), ((60.0, 60.0), 1));
}

#[test]
fn the_same_seed_gives_the_same_and_spread_is_told() {
    let tasks = || network((0..20).map(|id| node(id, &[])).collect(), &[1, 2, 3, 4, 5, 6, 7, 30]);
    let reply = estimate(&tasks(), Some(2), 7);
    assert_eq!(reply, estimate(&tasks(), Some(2), 7));
    assert_ne!(reply, estimate(&tasks(), Some(2), 8));
    let (p50, p90) = minutes(&reply);
    assert!(p50 < p90, "{p50} {p90}");
    // Twenty tasks of 7.25 minutes on average, two at a time.
    assert!((50.0..110.0).contains(&p50), "{p50}");
    assert_eq!(reply.p50_at, Some(at(0).plus_millis((p50 * 60_000.0) as u64)));
}

#[test]
fn few_measurements_make_the_answer_wide() {
    let tasks = || (0..10).map(|id| node(id, &[])).collect::<Vec<_>>();
    let few = [1, 3, 5, 7, 9, 11, 13, 40];
    let many: Vec<u64> = few.iter().copied().cycle().take(few.len() * 32).collect();
    let width = |minutes: &[u64]| {
        let reply = estimate(&network(tasks(), minutes), Some(1), 3);
        reply.p90_minutes.unwrap() - reply.p50_minutes.unwrap()
    };
    assert!(width(&few) > width(&many), "{} {}", width(&few), width(&many));
}

#[test]
fn a_task_at_work_has_only_its_rest_ahead() {
    let running = |spent_minutes: u64| Node {
        status: TaskStatus::InProgress,
        holder: Some(name("ann")),
        spent_ms: spent_minutes * 60_000,
        ..node(0, &[])
    };
    let rest = |spent| minutes(&estimate(&network(vec![running(spent)], &[10; 20]), None, 1)).0;
    assert!((rest(4) - 6.0).abs() < 1e-9);
    // It took longer than any before: as long again.
    assert!((rest(25) - 25.0).abs() < 1e-9);
    let said = Node { said_ms: Some(120_000), ..running(4) };
    let reply = estimate(&network(vec![said], &[]), None, 1);
    assert_eq!((minutes(&reply).0, reply.basis.by_holder), (2.0, 1));
}

#[test]
fn a_creators_estimate_counts_as_such_estimates_turned_out() {
    let mut tasks = network(vec![Node { estimated_ms: Some(600_000), ..node(0, &[]) }], &[]);
    for _ in 0..10 {
        tasks.durations.completed(None, Some(60_000), 120_000);
    }
    let reply = estimate(&tasks, None, 1);
    assert_eq!((minutes(&reply).0, reply.basis.by_creator), (20.0, 1));
}

#[test]
fn what_is_stuck_is_left_out_and_counted_with_what_waits_for_it() {
    let nodes = vec![Node { stuck: true, ..node(0, &[]) }, node(1, &[0]), node(2, &[])];
    let reply = estimate(&network(nodes, &[10; 8]), None, 1);
    assert_eq!((minutes(&reply).0, reply.basis.stuck_tasks), (10.0, 2));
    let blind = vec![Node { waits_for_unknown: true, ..node(0, &[]) }];
    assert!(estimate(&network(blind, &[10; 8]), None, 1).unknown);
}

#[test]
fn nothing_to_do_takes_no_time() {
    let reply = estimate(&network(Vec::new(), &[]), None, 1);
    assert_eq!(minutes(&reply), (0.0, 0.0));
}
