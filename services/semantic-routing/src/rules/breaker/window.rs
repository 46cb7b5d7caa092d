//! The last calls of one breaker: which failed, which were slow.
//!
//! A ring of bits: the newest call is the lowest bit. Its size is a number of calls, not a time, so
//! that an agent that is seldom called is judged by as many calls as a busy one.

/// The most calls that a window holds.
pub const MAX_WINDOW_CALLS: u32 = u64::BITS;

/// The last calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    failed: u64,
    slow: u64,
    calls: u32,
    failures_in_a_row: u32,
}

impl Window {
    /// Takes a call in; the oldest leaves a window of `size` calls that is full.
    pub fn push(&mut self, failed: bool, slow: bool, size: u32) {
        let mask = u64::MAX >> (MAX_WINDOW_CALLS - size.clamp(1, MAX_WINDOW_CALLS));
        self.failed = ((self.failed << 1) | u64::from(failed)) & mask;
        self.slow = ((self.slow << 1) | u64::from(slow)) & mask;
        self.calls = (self.calls + 1).min(size);
        self.failures_in_a_row = if failed { self.failures_in_a_row.saturating_add(1) } else { 0 };
    }

    /// Calls that it holds.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Failures since the last success.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// The share of failures; 0 where it is empty.
    pub fn failure_rate(&self) -> f64 {
        share(self.failed, self.calls)
    }

    /// The share of slow calls; 0 where it is empty.
    pub fn slow_rate(&self) -> f64 {
        share(self.slow, self.calls)
    }
}

fn share(bits: u64, calls: u32) -> f64 {
    f64::from(bits.count_ones()) / f64::from(calls.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_counts_the_last_calls(
            size in 1..=MAX_WINDOW_CALLS,
            calls in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200),
        ) {
            let mut window = Window::default();
            for (failed, slow) in &calls {
                window.push(*failed, *slow, size);
            }
            let last = &calls[calls.len().saturating_sub(size as usize)..];
            let share = |count: usize| count as f64 / last.len().max(1) as f64;
            prop_assert_eq!(window.calls() as usize, last.len());
            let failed = share(last.iter().filter(|(failed, _)| *failed).count());
            let slow = share(last.iter().filter(|(_, slow)| *slow).count());
            prop_assert!((window.failure_rate() - failed).abs() < 1e-12);
            prop_assert!((window.slow_rate() - slow).abs() < 1e-12);
            let in_a_row = calls.iter().rev().take_while(|(failed, _)| *failed).count();
            prop_assert_eq!(window.failures_in_a_row() as usize, in_a_row);
        }
    }
}
