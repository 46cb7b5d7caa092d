//! Peak-EWMA: a mean of latencies that believes bad news at once and good news slowly.
//!
//! The formula is Finagle's (`com.twitter.finagle.loadbalancer.PeakEwma`), which tower took over
//! (`tower::load::PeakEwma`): a latency above the estimate replaces it; a lower one is mixed in with
//! weight `1 − exp(−gap / decay)`, where `gap` is the time since the last one. Both let an unused
//! estimate fall to 0, so that a slow endpoint is tried again. Here it falls to the fleet's median
//! instead: a slow agent is tried again as one among many, not as the best of all.

use troupe_domain::Timestamp;

/// An estimate of the next latency, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct PeakEwma {
    estimate_us: f64,
    at: Timestamp,
    measured: bool,
}

impl PeakEwma {
    /// Starts from what is expected of an agent that nobody has measured.
    pub fn new(expected_us: f64, now: Timestamp) -> Self {
        Self { estimate_us: expected_us, at: now, measured: false }
    }

    /// Takes a measured latency in. The first one replaces what was only expected.
    pub fn observe(&mut self, latency_us: f64, now: Timestamp, decay_ms: f64) {
        let old = keep(self.at, now, decay_ms);
        self.estimate_us = if !self.measured || latency_us > self.estimate_us {
            latency_us
        } else {
            self.estimate_us * old + latency_us * (1.0 - old)
        };
        self.at = self.at.max(now);
        self.measured = true;
    }

    /// The estimate now. Above `median_us` it falls towards it while nothing is measured.
    pub fn estimate_us(&self, now: Timestamp, decay_ms: f64, median_us: f64) -> f64 {
        if self.estimate_us <= median_us {
            return self.estimate_us;
        }
        median_us + (self.estimate_us - median_us) * keep(self.at, now, decay_ms)
    }
}

/// The share of the old estimate that is left.
fn keep(at: Timestamp, now: Timestamp, decay_ms: f64) -> f64 {
    (-(now.millis_since(at) as f64) / decay_ms).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DECAY_MS: f64 = 10_000.0;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn bad_news_count_at_once_and_good_news_slowly() {
        let mut ewma = PeakEwma::new(9_000.0, at(0));
        ewma.observe(100.0, at(0), DECAY_MS);
        ewma.observe(5_000.0, at(1), DECAY_MS);
        assert!((ewma.estimate_us(at(1), DECAY_MS, 100.0) - 5_000.0).abs() < 1e-9);
        ewma.observe(100.0, at(1_001), DECAY_MS);
        let after = ewma.estimate_us(at(1_001), DECAY_MS, 100.0);
        assert!(after > 4_000.0 && after < 5_000.0, "{after}");
    }

    #[test]
    fn an_unused_slow_estimate_falls_to_the_median_and_a_fast_one_stays() {
        let slow = PeakEwma::new(9_000.0, at(0));
        let later = slow.estimate_us(at(60_000), DECAY_MS, 1_000.0);
        assert!((1_000.0..1_100.0).contains(&later), "{later}");
        let fast = PeakEwma::new(500.0, at(0));
        assert!((fast.estimate_us(at(60_000), DECAY_MS, 1_000.0) - 500.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_estimate_stays_within_what_was_seen(
            steps in prop::collection::vec((0_u32..100_000, 0_i64..5_000), 1..100),
        ) {
            let mut now = 0;
            let mut ewma = PeakEwma::new(50_000.0, at(0));
            let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
            for (latency, gap) in steps {
                now += gap;
                let latency = f64::from(latency);
                (low, high) = (low.min(latency), high.max(latency));
                ewma.observe(latency, at(now), DECAY_MS);
                let estimate = ewma.estimate_us(at(now), DECAY_MS, 0.0);
                prop_assert!(estimate >= low - 1e-6 && estimate <= high + 1e-6);
                prop_assert!(estimate >= latency - 1e-6, "never below the latest news");
            }
        }
    }
}
