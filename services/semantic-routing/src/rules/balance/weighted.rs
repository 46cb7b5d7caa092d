//! Smooth weighted round-robin: in turn, with turns spread evenly, by weights that follow what is
//! measured.
//!
//! The algorithm is nginx's: everybody earns credit by weight, the one with the most gets the
//! message and pays what all earned together. Credit never falls to what all earn in a turn or below,
//! and all credit together is 0, so with fixed weights everybody has exactly their share after a
//! round. Invariant: nobody's credit is worth more turns than there are equals, so that an agent that
//! earned it among others does not come back to a flood; within one group it never is.

use troupe_domain::AgentId;

use super::{Choice, MIN_SUCCESS, below};
use crate::rules::recent::Recent;

/// Agents whose credit is remembered.
const MAX_CREDITS: usize = 20_000;
/// The least weight, as a share of the greatest: everybody gets a turn now and then.
const MIN_SHARE: f64 = 0.01;

/// Credits by agent.
#[derive(Debug)]
pub struct Weighted {
    credits: Recent<AgentId, f64>,
}

impl Default for Weighted {
    fn default() -> Self {
        Self { credits: Recent::new(MAX_CREDITS) }
    }
}

impl Weighted {
    /// The index of the one whose turn it is; `equals` is not empty.
    pub(super) fn pick(&mut self, equals: &[Choice<'_>], chance: u64) -> usize {
        let weights: Vec<f64> = equals.iter().map(weight).collect();
        self.turn(equals, &weights, chance)
    }

    fn turn(&mut self, equals: &[Choice<'_>], weights: &[f64], chance: u64) -> usize {
        let least = weights.iter().copied().fold(0.0, f64::max) * MIN_SHARE;
        let total: f64 = weights.iter().map(|weight| weight.max(least)).sum();
        let most = total * equals.len() as f64;
        // Newcomers begin at 0; the place where the search starts spreads them.
        let start = below(chance as u32, equals.len());
        let mut best = (start, f64::NEG_INFINITY);
        for step in 0..equals.len() {
            let index = (start + step) % equals.len();
            let credit = self.credits.using(equals[index].agent, || 0.0);
            *credit = (*credit + weights[index].max(least)).clamp(-most, most);
            // Rounding must not make a difference between those who are equal.
            if *credit > best.1 + total * 1e-9 {
                best = (index, *credit);
            }
        }
        *self.credits.using(equals[best.0].agent, || 0.0) -= total;
        best.0
    }

    /// The agent has left.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.credits.remove(agent);
    }
}

/// Successes that can be expected in a second.
fn weight(choice: &Choice<'_>) -> f64 {
    1_000_000.0 * choice.reading.success.max(MIN_SUCCESS) / choice.reading.latency_us.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::performance::{Config, Performance};
    use proptest::prelude::*;
    use troupe_domain::{Name, Timestamp};

    proptest! {
        #[test]
        fn everybody_gets_exactly_their_share_of_a_round(
            weights in prop::collection::vec(1_u32..20, 1..8),
            chance in any::<u64>(),
        ) {
            let ids: Vec<Name> =
                (0..weights.len()).map(|n| Name::parse(&format!("a{n}")).unwrap()).collect();
            let unknown = Performance::new(Config::default());
            let equals: Vec<Choice<'_>> = ids
                .iter()
                .map(|agent| Choice {
                    agent,
                    reading: unknown.reading(agent, Timestamp::from_millis(0)),
                })
                .collect();
            let as_floats: Vec<f64> = weights.iter().copied().map(f64::from).collect();
            let mut weighted = Weighted::default();
            for _round in 0..3 {
                let mut counts = vec![0; weights.len()];
                for _turn in 0..weights.iter().sum::<u32>() {
                    counts[weighted.turn(&equals, &as_floats, chance)] += 1;
                }
                prop_assert_eq!(&counts, &weights);
            }
        }
    }

    #[test]
    fn credit_that_was_earned_among_others_is_no_flood() {
        let ids = ["a", "b"].map(|text| Name::parse(text).unwrap());
        let unknown = Performance::new(Config::default());
        let equals = [0, 1].map(|n| Choice {
            agent: &ids[n],
            reading: unknown.reading(&ids[n], Timestamp::from_millis(0)),
        });
        let mut weighted = Weighted::default();
        weighted.turn(&equals, &[1_000.0, 999.0], 0);
        let run = (0..20).filter(|_| weighted.turn(&equals, &[1.0, 1.0], 0) == 1).count();
        assert!((9..=12).contains(&run), "{run} of 20");
    }
}
