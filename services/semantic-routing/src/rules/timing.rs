//! How long decisions take at the size that is promised: 1,000 agents, 10,000 routes, 10,000 cached
//! questions. Prints and asserts nothing: `cargo test --release -p troupe-semantic-routing timing --
//! --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use troupe_contract::routing::{Route, RouteTarget};
use troupe_domain::message::IntentFilters;

use super::balance::{Balancer, Strategy};
use super::breaker::{self, Breakers};
use super::cache_index::{CacheIndex, Entry, Generation};
use super::filter::roster::Roster;
use super::filter::tests::{agent, at, name};
use super::performance::{Config, Outcome, Performance};
use super::resolve::{Known, Match, Meaning, Policy, Question, resolve};
use super::routes::{Feedback, RouteTable};

const AGENTS: usize = 1_000;
const ROUTES: usize = 10_000;
const CACHED: usize = 10_000;
const DIMS: usize = 384;

fn print(what: &str, rounds: usize, mut step: impl FnMut(usize)) {
    let mut nanos: Vec<u128> = (0..rounds)
        .map(|round| {
            let start = Instant::now();
            step(round);
            start.elapsed().as_nanos()
        })
        .collect();
    nanos.sort_unstable();
    let micros = |share: usize| nanos[nanos.len() * share / 100] as f64 / 1_000.0;
    println!("{what:44} p50 {:9.1} us   p99 {:9.1} us", micros(50), micros(99));
}

fn bits(seed: usize) -> u64 {
    (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17)
}

#[test]
#[ignore = "prints numbers"]
fn decisions() {
    let mut roster = Roster::default();
    let mut performance = Performance::new(Config::default());
    let mut breakers = Breakers::new(breaker::Config::default(), name("r1"));
    for n in 0..AGENTS {
        let own: Vec<String> =
            (0..20).map(|c| format!("c{}:0.7", (n * 7 + c * 31) % 400)).collect();
        let mut own: Vec<&str> = own.iter().map(String::as_str).collect();
        own.push("everybody:0.8");
        let id = format!("a{n}");
        roster.put(&agent(&id, &format!("r{}", n % 7), &own)).unwrap();
        for call in 0..30 {
            let outcome = Outcome { success: call % 9 > 0, latency_us: 20_000 + bits(n) % 9_000 };
            performance.finished(&name(&id), Some(&name("everybody")), outcome, at(call));
            breakers.record(&name(&id), &name("everybody"), outcome, None, at(call));
        }
    }
    let policy = Policy::default();
    for (what, capability) in [("1,000 candidates", "everybody"), ("50 candidates", "c7")] {
        let target = RouteTarget::Capability(capability.parse().unwrap());
        let matched = Match { route: name("about"), target, probability: 0.9 };
        let meaning = Meaning::Understood(vec![matched]);
        let needs = IntentFilters::default();
        for strategy in [Strategy::PowerOfTwo, Strategy::WeightedRoundRobin] {
            let mut balancer = Balancer::new(strategy);
            print(&format!("resolve, {what}, {}", strategy.as_str()), 5_000, |round| {
                let known = Known {
                    roster: &roster,
                    performance: &performance,
                    breakers: &breakers,
                    policy: &policy,
                };
                let question =
                    Question { needs: &needs, meaning: &meaning, text: "", fallback: None };
                black_box(resolve(&known, &mut balancer, &question, at(100), bits(round)));
            });
        }
    }
    let changed = agent("a5", "r1", &["everybody:0.5", "c1", "c2"]);
    print("one agent changes", 5_000, |_| {
        black_box(roster.put(&changed).unwrap());
    });
    let outcome = Outcome { success: true, latency_us: 20_000 };
    print("one call ends", 20_000, |round| {
        let id = name(&format!("a{}", round % AGENTS));
        performance.finished(&id, Some(&name("everybody")), outcome, at(200 + round as i64));
    });
}

#[test]
#[ignore = "prints numbers"]
fn routes() {
    let mut table = RouteTable::default();
    let route = |n: usize| Route {
        id: name(&format!("r{n}")),
        target: RouteTarget::Role(name("auditor")),
        description: "what it is for".to_owned(),
        utterances: (0..10).map(|u| format!("please do the thing number {u} of {n}")).collect(),
        threshold: None,
    };
    print("put one of 10,000 routes", ROUTES, |n| {
        table.put(route(n), None, at(0)).unwrap();
    });
    print("learn in a table of 10,000 routes", 5_000, |n| {
        let text = format!("an utterance that somebody said, {n}");
        let route = name(&format!("r{n}"));
        let feedback = Feedback { route, text, accepted: true, source: name("a") };
        table.learn(feedback, at(1)).unwrap();
    });
}

#[test]
#[ignore = "prints numbers"]
fn cache() {
    let generation = Generation::default();
    let mut cache = CacheIndex::new(CACHED, DIMS, generation.clone());
    let vector = |seed: usize| -> Vec<f32> {
        (0..DIMS).map(|d| bits(seed * DIMS + d) as f32 / u64::MAX as f32 - 0.5).collect()
    };
    print("insert into the cache", CACHED, |n| {
        let entry = Entry { text: format!("question {n}"), value: n };
        cache.insert(&generation, format!("k{n}"), Some(&vector(n)), entry).unwrap();
    });
    let queries: Vec<Vec<f32>> = (0..200).map(|n| vector(CACHED + n)).collect();
    print("scan 10,000 vectors of 384, nothing near", 2_000, |n| {
        black_box(cache.near(&queries[n % 200], 0.85, |_, _| true).unwrap().is_some());
    });
    print("exact hit", 20_000, |n| {
        black_box(cache.exact(&format!("k{}", n % CACHED)).is_some());
    });
}
