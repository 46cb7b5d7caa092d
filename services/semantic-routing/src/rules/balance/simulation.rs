//! Each strategy against plain round-robin in a fleet where one agent is ten times slower and one
//! fails: discrete events under a seed, on the real measurements and the real breakers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use troupe_domain::{AgentId, Name, Timestamp};

use super::{Balancer, Choice, Strategy};
use crate::rules::breaker::{self, Admission, Breakers};
use crate::rules::performance::{Config, Outcome, Performance};

const AGENTS: usize = 10;
/// Messages that one agent works on at once; others wait in line.
const WORKERS: usize = 4;
const MEAN_GAP_US: f64 = 6_000.0;
const MEAN_SERVICE_US: f64 = 20_000.0;
const FAILS_AFTER_US: u64 = 2_000;
const MESSAGES: usize = 6_000;
const SLOW: usize = 3;
const FAILING: usize = 7;

/// SplitMix64: enough for a simulation, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        let unit = ((self.bits() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        (-unit.ln() * mean) as u64
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    p99_us: u64,
    failed: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    Ends { agent: usize, sent_us: u64 },
}

struct World {
    chance: Chance,
    ids: Vec<AgentId>,
    lines: Vec<VecDeque<u64>>,
    busy: Vec<usize>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance(seed),
            ids: (0..AGENTS).map(|n| Name::parse(&format!("a{n}")).unwrap()).collect(),
            lines: vec![VecDeque::new(); AGENTS],
            busy: vec![0; AGENTS],
            events: BinaryHeap::new(),
            number: 0,
        }
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((at_us, self.number, event)));
    }

    fn service_us(&mut self, agent: usize) -> u64 {
        match agent {
            FAILING => FAILS_AFTER_US,
            SLOW => self.chance.exponential(10.0 * MEAN_SERVICE_US),
            _ => self.chance.exponential(MEAN_SERVICE_US),
        }
    }

    /// Starts what waits, while there are workers.
    fn work(&mut self, agent: usize, now_us: u64) {
        while self.busy[agent] < WORKERS {
            let Some(sent_us) = self.lines[agent].pop_front() else { return };
            self.busy[agent] += 1;
            let ends_us = now_us + self.service_us(agent);
            self.schedule(ends_us, Event::Ends { agent, sent_us });
        }
    }
}

fn run(strategy: Strategy, with_breakers: bool, seed: u64) -> Measured {
    let mut world = World::new(seed);
    let (me, capability) = (Name::parse("r1").unwrap(), Name::parse("rust").unwrap());
    let mut performance = Performance::new(Config::default());
    let mut breakers = Breakers::new(breaker::Config::default(), me);
    let mut balancer = Balancer::new(strategy);
    let (mut arrived, mut latencies, mut failed) = (0, Vec::new(), 0);
    world.schedule(0, Event::Arrives);
    while let Some(Reverse((now_us, _, event))) = world.events.pop() {
        let now = Timestamp::from_millis((now_us / 1_000) as i64);
        match event {
            Event::Arrives => {
                let open = |id: &AgentId| {
                    with_breakers && breakers.admission(id, &capability, now) != Admission::Yes
                };
                let able: Vec<usize> = (0..AGENTS).filter(|n| !open(&world.ids[*n])).collect();
                let equals: Vec<Choice<'_>> = able
                    .iter()
                    .map(|n| &world.ids[*n])
                    .map(|agent| Choice { agent, reading: performance.reading(agent, now) })
                    .collect();
                let agent = able[balancer.pick(&equals, world.chance.bits()).unwrap()];
                performance.started(&world.ids[agent], now);
                world.lines[agent].push_back(now_us);
                world.work(agent, now_us);
                arrived += 1;
                if arrived < MESSAGES {
                    let gap_us = world.chance.exponential(MEAN_GAP_US);
                    world.schedule(now_us + gap_us, Event::Arrives);
                }
            }
            Event::Ends { agent, sent_us } => {
                let success = agent != FAILING;
                let outcome = Outcome { success, latency_us: now_us - sent_us };
                let id = &world.ids[agent];
                performance.finished(id, Some(&capability), outcome, now);
                breakers.record(id, &capability, outcome, None, now);
                if success {
                    latencies.push(now_us - sent_us);
                } else {
                    failed += 1;
                }
                world.busy[agent] -= 1;
                world.work(agent, now_us);
            }
        }
    }
    assert_eq!(latencies.len() + failed, MESSAGES, "every message ended");
    latencies.sort_unstable();
    Measured { p99_us: latencies[latencies.len() * 99 / 100], failed }
}

const SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn every_strategy_beats_plain_round_robin_in_tail_latency_and_errors() {
    for seed in SEEDS {
        let plain = run(Strategy::RoundRobin, false, seed);
        assert!(plain.failed > MESSAGES / 12, "one in ten fails: {plain:?}");
        for strategy in Strategy::ALL {
            if strategy == Strategy::RoundRobin {
                continue;
            }
            let alone = run(strategy, false, seed);
            assert!(alone.failed * 2 < plain.failed, "{strategy:?} {seed}: {alone:?} {plain:?}");
            assert!(alone.p99_us < plain.p99_us, "{strategy:?} {seed}: {alone:?} {plain:?}");
            let guarded = run(strategy, true, seed);
            assert!(guarded.failed <= alone.failed, "{strategy:?} {seed}: {guarded:?} {alone:?}");
            assert!(guarded.p99_us < plain.p99_us, "{strategy:?} {seed}: {guarded:?} {plain:?}");
        }
    }
}

#[test]
fn the_default_has_a_tail_of_less_than_half() {
    for seed in SEEDS {
        let plain = run(Strategy::RoundRobin, false, seed);
        let default = run(Strategy::default(), false, seed);
        assert!(default.p99_us * 2 < plain.p99_us, "{seed}: {default:?} {plain:?}");
    }
}

#[test]
fn a_breaker_stops_the_failing_agent_even_under_plain_round_robin() {
    for seed in SEEDS {
        let guarded = run(Strategy::RoundRobin, true, seed);
        assert_eq!(guarded.failed, 5, "five failures open it, and nothing tries it again here");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let twice = [(); 2].map(|()| run(Strategy::PowerOfTwo, true, 7));
    assert_eq!(twice[0], twice[1]);
}
