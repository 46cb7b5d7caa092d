//! How often an agent succeeds: counts that fade, under a Beta prior.
//!
//! The rate is the mean of Beta(prior · strength + successes, (1 − prior) · strength + failures).
//! Counts halve with every half-life, so that an agent that was repaired is believed again, and
//! one without calls returns to the prior.

use troupe_domain::Timestamp;

/// Faded counts of ends.
#[derive(Debug, Clone, Copy)]
pub struct Success {
    succeeded: f64,
    failed: f64,
    at: Timestamp,
}

impl Success {
    /// Nothing has ended yet.
    pub fn new(now: Timestamp) -> Self {
        Self { succeeded: 0.0, failed: 0.0, at: now }
    }

    /// Counts an end.
    pub fn record(&mut self, success: bool, now: Timestamp, half_life_ms: f64) {
        let keep = keep(self.at, now, half_life_ms);
        self.succeeded = self.succeeded * keep + f64::from(u8::from(success));
        self.failed = self.failed * keep + f64::from(u8::from(!success));
        self.at = self.at.max(now);
    }

    /// The expected rate, strictly between 0 and 1 where `prior` is. `strength` is how many calls
    /// the prior weighs.
    pub fn rate(&self, now: Timestamp, half_life_ms: f64, prior: f64, strength: f64) -> f64 {
        let keep = keep(self.at, now, half_life_ms);
        let (succeeded, failed) = (self.succeeded * keep, self.failed * keep);
        (prior * strength + succeeded) / (strength + succeeded + failed)
    }
}

fn keep(at: Timestamp, now: Timestamp, half_life_ms: f64) -> f64 {
    (-(now.millis_since(at) as f64) / half_life_ms).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HALF_LIFE_MS: f64 = 60_000.0;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_prior_gives_way_to_what_happens_and_returns_with_time() {
        let mut success = Success::new(at(0));
        let rate = |success: &Success, millis| success.rate(at(millis), HALF_LIFE_MS, 0.9, 5.0);
        assert!((rate(&success, 0) - 0.9).abs() < 1e-9);
        for _ in 0..5 {
            success.record(false, at(0), HALF_LIFE_MS);
        }
        assert!((rate(&success, 0) - 0.45).abs() < 1e-9, "4.5 of 10");
        assert!(rate(&success, 60_000) > 0.55);
        assert!(rate(&success, 600_000) > 0.89);
    }

    proptest! {
        #[test]
        fn a_success_never_lowers_the_rate_and_a_failure_never_raises_it(
            ends in prop::collection::vec((any::<bool>(), 0_i64..30_000), 0..100),
        ) {
            let mut now = 0;
            let mut success = Success::new(at(0));
            for (good, gap) in ends {
                now += gap;
                let before = success.rate(at(now), HALF_LIFE_MS, 0.9, 5.0);
                success.record(good, at(now), HALF_LIFE_MS);
                let after = success.rate(at(now), HALF_LIFE_MS, 0.9, 5.0);
                prop_assert!(after > 0.0 && after < 1.0);
                let (less, more) = if good { (before, after) } else { (after, before) };
                prop_assert!(less <= more);
            }
        }
    }
}
