//! Latencies, in microseconds.

use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

/// Longer than any wait of a run; what is longer still counts as this.
const LONGEST_US: u64 = 10 * 60 * 1_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Where latencies are collected, by many at once.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<Histogram<u64>>);

impl Default for Recorder {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, SIGNIFICANT_DIGITS);
        Self(Mutex::new(histogram.expect("the bounds are in order, the digits within 0 and 5")))
    }
}

impl Recorder {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US).max(1);
        self.0.lock().saturating_record(us);
    }

    pub(crate) fn summary(&self) -> Latency {
        Latency::of(&self.0.lock())
    }
}

/// A distribution in a few numbers, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half are faster.
    pub p50_us: u64,
    /// Nine of ten are faster.
    pub p90_us: u64,
    /// 99 of 100 are faster.
    pub p99_us: u64,
    /// 999 of 1,000 are faster.
    pub p999_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let recorder = Recorder::default();
        (1..=1_000).for_each(|ms| recorder.record(Duration::from_millis(ms)));
        let told = recorder.summary();
        assert_eq!(told.count, 1_000);
        // Three significant digits are kept.
        assert!(told.p50_us.abs_diff(500_000) <= 500, "{told:?}");
        assert!(told.p99_us.abs_diff(990_000) <= 1_000, "{told:?}");
    }
}
