//! The shards of work distribution under a seeded model of JetStream: thousands of small histories of
//! agents, operators and replicas in a world that loses, delays, repeats and reorders.
//!
//! `TROUPE_SIM_SEEDS=20000` runs more seeds; `TROUPE_SIM_SEED=7` runs one and prints what happens.

#[path = "simulation/agents.rs"]
mod agents;
#[path = "simulation/check_tests.rs"]
mod check_tests;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/cluster.rs"]
mod cluster;
#[path = "simulation/history.rs"]
mod history;
#[path = "simulation/operators.rs"]
mod operators;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/registry.rs"]
mod registry;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/shadow.rs"]
mod shadow;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use plan::Plan;
use run::{Verdict, run};
use troupe_bus::model::Defect;

/// Seeds that run where nothing else is said.
const SEEDS: u64 = 2_000;
/// Seeds that fail are printed up to this many.
const MAX_SHOWN_FAILURES: usize = 5;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|why| panic!("{variable}={text}: {why}")))
}

fn show(seed: u64, verdict: &Verdict) -> String {
    let most = verdict.wrong.len().min(12);
    format!(
        "seed {seed} fails (replay: TROUPE_SIM_SEED={seed} cargo test -p troupe-work-distribution \
         --test simulation -- --nocapture one_seed):\n  {}\n",
        verdict.wrong[..most].join("\n  ")
    )
}

#[test]
fn every_seed_ends_well() {
    let seeds = number("TROUPE_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let (failures, sums) = (Mutex::new(Vec::new()), Mutex::new((0, 0)));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || failures.lock().len() >= MAX_SHOWN_FAILURES {
                        return;
                    }
                    let verdict = run(Plan::of(seed));
                    let mut sums = sums.lock();
                    *sums = (sums.0 + verdict.tasks, sums.1 + verdict.ops);
                    if !verdict.wrong.is_empty() {
                        failures.lock().push(show(seed, &verdict));
                    }
                }
            });
        }
    });
    let (tasks, ops) = *sums.lock();
    println!("{seeds} seeds: {tasks} tasks, {ops} questions");
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tasks as u64 > seeds * 4, "the seeds do too little: {tasks} tasks");
}

/// Replays the seed of `TROUPE_SIM_SEED`, aloud; without it, seed 0.
#[test]
fn one_seed() {
    let asked = number("TROUPE_SIM_SEED");
    let seed = asked.unwrap_or(0);
    let verdict = run(Plan { loud: asked.is_some(), ..Plan::of(seed) });
    assert!(verdict.wrong.is_empty(), "{}", show(seed, &verdict));
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        let (first, second) = (run(Plan::of(seed)), run(Plan::of(seed)));
        let differ = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
        assert_eq!(first.digest, second.digest, "seed {seed} differs first at {differ:?}");
    }
}

fn is_caught(defect: Defect) -> bool {
    (0..40).any(|seed| {
        let plan = Plan { defect: Some(defect), ..Plan::of(seed) };
        !run(plan).wrong.is_empty()
    })
}

#[test]
fn a_log_without_compare_and_set_is_caught() {
    assert!(is_caught(Defect::CasIgnored));
}

#[test]
fn a_log_that_loses_what_it_acknowledged_is_caught() {
    assert!(is_caught(Defect::LosesAcknowledged(20)));
}
