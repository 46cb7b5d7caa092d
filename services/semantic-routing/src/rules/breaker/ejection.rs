//! How much of a fleet breakers may keep out at once.
//!
//! One shared fault (a database that is down) opens the breaker of everybody. To keep everybody
//! out would turn slow answers into none, so the least bad ones keep serving. Invariant: of two or
//! more agents, no more than the configured share is kept out, and never all.

use troupe_domain::Timestamp;

/// How bad an agent is whose breaker is open: the greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Badness {
    /// Openings in a row.
    pub openings: u32,
    /// When it may be tried.
    pub until: Timestamp,
}

/// Splits the agents whose breakers are open into those that are spared, the least bad first, and
/// those that are kept out. `fleet` is how many could answer, with them.
pub fn spare<T>(mut open: Vec<(Badness, T)>, fleet: usize, max_share: f64) -> (Vec<T>, Vec<T>) {
    // The breaker of an agent that is alone is its own fault, not a shared one.
    if fleet <= 1 {
        return (Vec::new(), open.into_iter().map(|(_, agent)| agent).collect());
    }
    let allowed = ((fleet as f64 * max_share).floor() as usize).min(fleet - 1);
    open.sort_by_key(|(badness, _)| *badness);
    let spared = open.len().saturating_sub(allowed);
    let mut agents = open.into_iter().map(|(_, agent)| agent);
    (agents.by_ref().take(spared).collect(), agents.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn badness(openings: u32) -> Badness {
        Badness { openings, until: Timestamp::from_millis(0) }
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_and_never_everybody(
            openings in prop::collection::vec(1_u32..9, 0..40),
            healthy in 0_usize..40,
            max_share in 0.0_f64..=1.0,
        ) {
            let fleet = openings.len() + healthy;
            let open = openings.iter().map(|n| (badness(*n), *n)).collect();
            let (spared, out) = spare(open, fleet, max_share);
            prop_assert_eq!(spared.len() + out.len(), openings.len());
            if fleet > 1 {
                prop_assert!(out.len() as f64 <= fleet as f64 * max_share);
                prop_assert!(out.len() < fleet);
                if !spared.is_empty() {
                    let allowed = (fleet as f64 * max_share).floor() as usize;
                    prop_assert!(out.len() == allowed.min(fleet - 1), "spares no more than it must");
                }
                let worst_spared = spared.iter().max().copied().unwrap_or(0);
                prop_assert!(out.iter().all(|n| *n >= worst_spared), "the least bad are spared");
            }
        }
    }

    #[test]
    fn an_agent_that_is_alone_is_kept_out() {
        assert_eq!(spare(vec![(badness(1), "a")], 1, 0.5), (vec![], vec!["a"]));
        assert_eq!(
            spare(vec![(badness(2), "a"), (badness(1), "b")], 2, 0.5),
            (vec!["b"], vec!["a"])
        );
    }
}
