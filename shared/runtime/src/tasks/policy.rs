//! How long a task that failed waits before it runs again.

use std::time::Duration;

/// Waits that double from `first` to `longest`, and begin anew after a long good run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first repetition.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait after `failures` in a row (1 for the first).
    pub fn wait(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let backoff =
            Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(35) };
        let waits: Vec<_> = [1, 2, 3, u32::MAX].map(|n| backoff.wait(n).as_millis()).to_vec();
        assert_eq!(waits, [10, 20, 35, 35]);
    }
}
