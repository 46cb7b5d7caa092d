//! Latencies of the last minutes in a fixed number of counters, for P50, P95 and P99.
//!
//! Buckets are those of an HDR histogram: each power of two is cut in eight, so that a quantile is
//! off by a sixteenth of its value at most. Two windows take turns; what is older than two is gone.

use troupe_domain::Timestamp;

/// Parts of each power of two.
const PARTS: u64 = 8;
const PARTS_BITS: u32 = PARTS.trailing_zeros();
/// The longest latency that is told apart, about 71 minutes; a longer one counts as this.
pub const MAX_LATENCY_US: u64 = u32::MAX as u64;
const BUCKETS: usize = bucket(MAX_LATENCY_US) + 1;
/// How long one window lasts.
pub const WINDOW_MS: u64 = 300_000;

/// Latencies in microseconds that half, 95 and 99 of a hundred calls stay below.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quantiles {
    /// The median.
    pub p50_us: f64,
    /// The 95th percentile.
    pub p95_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
}

/// Counters of two windows.
#[derive(Debug, Clone)]
pub struct Histogram {
    windows: Box<[[u32; BUCKETS]; 2]>,
    counts: [u64; 2],
    began: Timestamp,
}

const fn bucket(latency_us: u64) -> usize {
    if latency_us < PARTS {
        return latency_us as usize;
    }
    let shift = latency_us.ilog2() - PARTS_BITS;
    (shift as u64 * PARTS + (latency_us >> shift)) as usize
}

/// The middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < 2 * PARTS {
        return bucket as f64;
    }
    let shift = bucket / PARTS - 1;
    let low = (bucket % PARTS + PARTS) << shift;
    low as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

impl Histogram {
    /// Nothing was measured yet.
    pub fn new(now: Timestamp) -> Self {
        Self { windows: Box::new([[0; BUCKETS]; 2]), counts: [0; 2], began: now }
    }

    /// Counts one latency.
    pub fn record(&mut self, latency_us: u64, now: Timestamp) {
        self.turn(now);
        let counter = &mut self.windows[0][bucket(latency_us.min(MAX_LATENCY_US))];
        *counter = counter.saturating_add(1);
        self.counts[0] += 1;
    }

    fn turn(&mut self, now: Timestamp) {
        let passed = now.millis_since(self.began) / WINDOW_MS;
        if passed == 0 {
            return;
        }
        self.windows.swap(0, 1);
        self.counts.swap(0, 1);
        self.clear(0);
        if passed > 1 {
            self.clear(1);
        }
        self.began = self.began.plus_millis(passed * WINDOW_MS);
    }

    fn clear(&mut self, window: usize) {
        self.windows[window] = [0; BUCKETS];
        self.counts[window] = 0;
    }

    /// How many latencies it holds.
    pub fn count(&self) -> u64 {
        self.counts[0] + self.counts[1]
    }

    /// The quantiles of what it holds; all 0 where it holds nothing.
    pub fn quantiles(&self) -> Quantiles {
        let total = self.count();
        let [current, former] = &*self.windows;
        let ranks = [50, 95, 99].map(|percent| (total * percent).div_ceil(100).max(1));
        let mut found = [0.0; 3];
        let mut below = 0;
        let mut next = 0;
        for index in 0..BUCKETS {
            below += u64::from(current[index]) + u64::from(former[index]);
            while next < ranks.len() && total > 0 && below >= ranks[next] {
                found[next] = middle(index);
                next += 1;
            }
            if next == ranks.len() {
                break;
            }
        }
        Quantiles { p50_us: found[0], p95_us: found[1], p99_us: found[2] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for latency in 0..100_000 {
            let here = bucket(latency);
            assert!(here == last || here == last + 1, "{latency}");
            last = here;
        }
        assert_eq!(bucket(MAX_LATENCY_US), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_quantile_is_off_by_a_sixteenth_at_most(
            mut latencies in prop::collection::vec(0_u64..10_000_000, 1..300),
        ) {
            let mut histogram = Histogram::new(START);
            for latency in &latencies {
                histogram.record(*latency, START);
            }
            latencies.sort_unstable();
            let exact = |percent: usize| {
                latencies[(latencies.len() * percent).div_ceil(100).max(1) - 1] as f64
            };
            let Quantiles { p50_us, p95_us, p99_us } = histogram.quantiles();
            for (got, want) in [(p50_us, exact(50)), (p95_us, exact(95)), (p99_us, exact(99))] {
                prop_assert!((got - want).abs() <= want / 16.0, "{} for {}", got, want);
            }
        }
    }

    #[test]
    fn what_is_older_than_two_windows_is_gone() {
        let mut histogram = Histogram::new(START);
        assert_eq!(histogram.quantiles(), Quantiles::default());
        histogram.record(1_000_000, START);
        histogram.record(10, START.plus_millis(WINDOW_MS));
        assert_eq!(histogram.count(), 2);
        histogram.record(10, START.plus_millis(2 * WINDOW_MS));
        assert_eq!((histogram.count(), histogram.quantiles().p99_us), (2, 10.0));
        histogram.record(u64::MAX, START.plus_millis(9 * WINDOW_MS));
        assert_eq!(histogram.count(), 1);
        assert!(histogram.quantiles().p50_us > MAX_LATENCY_US as f64 * 0.9);
    }
}
