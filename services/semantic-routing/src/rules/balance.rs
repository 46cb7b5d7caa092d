//! Who gets the next message, among agents that are equally fit.
//!
//! The default is the power of two choices: of two agents drawn at random the one with the lower
//! peak-EWMA latency × (outstanding + 1) gets it. It reads two agents whatever the size of the
//! fleet, and two replicas that see the same numbers do not all run to the same agent.
//!
//! Every strategy but plain round-robin divides by measured success: an agent that fails at once has
//! nothing outstanding and would look like the best of all. Latency ÷ success is the time that a
//! message takes if it is sent again until it succeeds.

#[cfg(test)]
mod simulation;
pub mod weighted;

use serde::{Deserialize, Serialize};
use troupe_domain::AgentId;

use super::performance::Reading;
use weighted::Weighted;

/// Success is not counted below this: a cost stays finite and comparable.
const MIN_SUCCESS: f64 = 0.01;

/// How to choose among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Of two at random, the one with the lower latency × (outstanding + 1).
    #[default]
    PowerOfTwo,
    /// In turn, more often the faster and the more successful.
    WeightedRoundRobin,
    /// The one with the least work under way.
    #[serde(alias = "least_connections")]
    LeastOutstanding,
    /// The one with the lowest median × (outstanding + 1).
    ResponseTimeP50,
    /// The one with the lowest 95th percentile × (outstanding + 1).
    #[serde(alias = "response_time")]
    ResponseTimeP95,
    /// The one with the lowest 99th percentile × (outstanding + 1).
    ResponseTimeP99,
    /// In turn, whatever is measured.
    RoundRobin,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 7] = [
        Self::PowerOfTwo,
        Self::WeightedRoundRobin,
        Self::LeastOutstanding,
        Self::ResponseTimeP50,
        Self::ResponseTimeP95,
        Self::ResponseTimeP99,
        Self::RoundRobin,
    ];

    /// The name in configuration and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PowerOfTwo => "power_of_two",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastOutstanding => "least_outstanding",
            Self::ResponseTimeP50 => "response_time_p50",
            Self::ResponseTimeP95 => "response_time_p95",
            Self::ResponseTimeP99 => "response_time_p99",
            Self::RoundRobin => "round_robin",
        }
    }
}

/// One of the equals.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The agent.
    pub agent: &'a AgentId,
    /// What was measured of it.
    pub reading: Reading,
}

/// Chooses among equals; remembers whose turn it is.
#[derive(Debug)]
pub struct Balancer {
    strategy: Strategy,
    weighted: Weighted,
    turn: u64,
}

impl Balancer {
    /// A balancer that has chosen nobody yet.
    pub fn new(strategy: Strategy) -> Self {
        Self { strategy, weighted: Weighted::default(), turn: 0 }
    }

    /// How it chooses.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The index of the one who gets the message; `None` where there is nobody. `chance` is 64
    /// random bits.
    pub fn pick(&mut self, equals: &[Choice<'_>], chance: u64) -> Option<usize> {
        if equals.len() <= 1 {
            return (!equals.is_empty()).then_some(0);
        }
        Some(match self.strategy {
            Strategy::PowerOfTwo => power_of_two(equals, chance),
            Strategy::WeightedRoundRobin => self.weighted.pick(equals, chance),
            Strategy::LeastOutstanding => least(equals, chance, |_| 1.0),
            Strategy::ResponseTimeP50 => least(equals, chance, |r| r.quantiles.p50_us),
            Strategy::ResponseTimeP95 => least(equals, chance, |r| r.quantiles.p95_us),
            Strategy::ResponseTimeP99 => least(equals, chance, |r| r.quantiles.p99_us),
            Strategy::RoundRobin => {
                self.turn = self.turn.wrapping_add(1);
                (self.turn % equals.len() as u64) as usize
            }
        })
    }

    /// The agent has left.
    pub fn forget(&mut self, agent: &AgentId) {
        self.weighted.forget(agent);
    }
}

/// What one more message costs an agent whose messages take `latency`.
fn cost(reading: &Reading, latency: f64) -> f64 {
    latency * (f64::from(reading.outstanding) + 1.0) / reading.success.max(MIN_SUCCESS)
}

/// A number below `end` from 32 random bits.
fn below(chance: u32, end: usize) -> usize {
    ((u64::from(chance) * end as u64) >> 32) as usize
}

fn power_of_two(equals: &[Choice<'_>], chance: u64) -> usize {
    let first = below((chance >> 32) as u32, equals.len());
    let second = below(chance as u32, equals.len() - 1);
    let second = if second >= first { second + 1 } else { second };
    let cost_of = |index: usize| {
        let reading = &equals[index].reading;
        cost(reading, reading.latency_us)
    };
    if cost_of(second) < cost_of(first) { second } else { first }
}

/// The cheapest; the first of several that are equally cheap, counted from a random place.
fn least(equals: &[Choice<'_>], chance: u64, latency: impl Fn(&Reading) -> f64) -> usize {
    let start = below(chance as u32, equals.len());
    let mut best = start;
    let mut best_cost = f64::INFINITY;
    for step in 0..equals.len() {
        let index = (start + step) % equals.len();
        let reading = &equals[index].reading;
        let cost = cost(reading, latency(reading));
        if cost < best_cost {
            (best, best_cost) = (index, cost);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Balancer, Choice, Reading, Strategy, power_of_two};
    use crate::rules::performance::histogram::Quantiles;
    use proptest::prelude::*;
    use troupe_domain::{AgentId, Name};

    fn reading(outstanding: u32, latency_us: f64, success: f64) -> Reading {
        let quantiles =
            Quantiles { p50_us: latency_us, p95_us: latency_us * 2.0, p99_us: latency_us * 3.0 };
        Reading { outstanding, latency_us, quantiles, success, calls: 100 }
    }

    fn ids(count: usize) -> Vec<AgentId> {
        (0..count).map(|n| Name::parse(&format!("a{n}")).unwrap()).collect()
    }

    fn choices<'a>(ids: &'a [AgentId], readings: &[Reading]) -> Vec<Choice<'a>> {
        ids.iter().zip(readings).map(|(agent, r)| Choice { agent, reading: *r }).collect()
    }

    #[test]
    fn names_are_those_of_configuration() {
        for strategy in Strategy::ALL {
            let text = format!("\"{}\"", strategy.as_str());
            assert_eq!(serde_json::to_string(&strategy).unwrap(), text);
            assert_eq!(serde_json::from_str::<Strategy>(&text).unwrap(), strategy);
        }
        let alias = serde_json::from_str::<Strategy>("\"least_connections\"").unwrap();
        assert_eq!(alias, Strategy::LeastOutstanding);
    }

    proptest! {
        #[test]
        fn of_two_the_cheaper_one_always_wins_in_every_measured_strategy(chance in any::<u64>()) {
            let ids = ids(2);
            let good = reading(1, 100.0, 0.9);
            for bad in [reading(1, 100.0, 0.1), reading(9, 100.0, 0.9)] {
                let equals = choices(&ids, &[bad, good]);
                for strategy in Strategy::ALL {
                    if !matches!(strategy, Strategy::RoundRobin | Strategy::WeightedRoundRobin) {
                        prop_assert_eq!(Balancer::new(strategy).pick(&equals, chance), Some(1));
                    }
                }
            }
        }

        #[test]
        fn power_of_two_never_takes_the_worst_of_all(
            chance in any::<u64>(), count in 2_usize..20,
        ) {
            let ids = ids(count);
            let readings: Vec<_> =
                (0..count).map(|n| reading(n as u32, 100.0, 0.9)).collect();
            let picked = power_of_two(&choices(&ids, &readings), chance);
            prop_assert!(picked + 1 < count);
        }

        #[test]
        fn somebody_is_picked_where_there_is_somebody(
            chance in any::<u64>(), count in 0_usize..5,
        ) {
            let ids = ids(count);
            let readings = vec![reading(0, 1.0, 0.5); count];
            for strategy in Strategy::ALL {
                let picked = Balancer::new(strategy).pick(&choices(&ids, &readings), chance);
                prop_assert_eq!(picked.is_some(), count > 0);
                prop_assert!(picked.unwrap_or(0) < count.max(1));
            }
        }
    }

    #[test]
    fn ties_are_spread_and_turns_are_taken() {
        let ids = ids(4);
        let equals = choices(&ids, &[reading(0, 100.0, 0.9); 4]);
        for strategy in Strategy::ALL {
            let mut balancer = Balancer::new(strategy);
            let mut counts = [0; 4];
            for step in 0..400_u64 {
                let chance = step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                counts[balancer.pick(&equals, chance).unwrap()] += 1;
            }
            assert!(counts.iter().all(|n| (60..140).contains(n)), "{strategy:?} {counts:?}");
        }
    }
}
