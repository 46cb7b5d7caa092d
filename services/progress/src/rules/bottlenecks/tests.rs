use super::*;
use crate::rules::estimate::tests::{network, node};

#[test]
fn what_most_waits_for_comes_first_and_only_what_can_be_worked_on() {
    // 0 -> 1 -> 2, 0 -> 3; 4 -> 5
    let nodes = vec![
        node(0, &[]),
        node(1, &[0]),
        node(2, &[1]),
        node(3, &[0]),
        node(4, &[]),
        node(5, &[4]),
    ];
    let found = bottlenecks(&network(nodes, &[10; 8]), 10);
    let rows: Vec<(&str, u64)> =
        found.bottlenecks.iter().map(|row| (row.task_id.as_str(), row.blocks)).collect();
    assert_eq!(rows, [("t0", 3), ("t4", 1)]);
    let path: Vec<&str> = found.critical_path.iter().map(|step| step.task_id.as_str()).collect();
    assert_eq!((path, found.critical_path_minutes), (vec!["t0", "t1", "t2"], Some(30.0)));
    assert_eq!(found.open_tasks, 6);
}

#[test]
fn a_diamond_counts_each_once() {
    let nodes = vec![node(0, &[]), node(1, &[0]), node(2, &[0]), node(3, &[1, 2])];
    let found = bottlenecks(&network(nodes, &[]), 10);
    assert_eq!(found.bottlenecks[0].blocks, 3);
    assert_eq!(found.critical_path_minutes, None, "nothing is known of durations");
    assert_eq!(found.critical_path.len(), 3, "the longest chain is found all the same");
}

#[test]
fn long_work_decides_the_path_and_not_the_number_of_steps() {
    let long = Node { said_ms: Some(3_600_000), ..node(0, &[]) };
    let nodes = vec![long, node(1, &[]), node(2, &[1]), node(3, &[2])];
    let found = bottlenecks(&network(nodes, &[10; 8]), 10);
    assert_eq!(found.critical_path.len(), 1);
    assert_eq!(found.critical_path_minutes, Some(60.0));
}

#[test]
fn what_nothing_frees_is_told_apart() {
    let nodes = vec![Node { stuck: true, ..node(0, &[]) }, node(1, &[0]), node(2, &[])];
    let found = bottlenecks(&network(nodes, &[10; 8]), 10);
    assert_eq!(found.stuck.len(), 1);
    assert_eq!((found.stuck[0].task_id.as_str(), found.stuck[0].blocks), ("t0", 1));
    assert!(found.bottlenecks.is_empty());
}
