//! Retry: exponential backoff with a cap and a caller-supplied jitter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Retries of a task that names none.
pub const DEFAULT_MAX_RETRIES: u32 = 3;

/// How patiently a failed task is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// Wait before the first retry.
    pub initial_ms: u64,
    /// Longest wait.
    pub max_ms: u64,
    /// Growth from one wait to the next.
    pub multiplier: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 1_000, max_ms: 300_000, multiplier: 2.0 }
    }
}

impl Backoff {
    /// The wait before retry number `retry` (1 is the first). `jitter` within 0 and 1 shortens it by
    /// up to a quarter, so that what failed together does not come back together.
    pub fn wait_ms(&self, retry: u32, jitter: f64) -> u64 {
        let exponent = retry.saturating_sub(1).min(64);
        let grown = self.initial_ms as f64 * self.multiplier.powi(exponent as i32);
        let capped = grown.min(self.max_ms as f64);
        (capped * (1.0 - 0.25 * jitter.clamp(0.0, 1.0))) as u64
    }

    /// Checks the bounds.
    pub fn check(&self) -> Result<(), Fault> {
        if !(1.0..=100.0).contains(&self.multiplier) {
            return Err(Fault::invalid("backoff.multiplier", "must be within 1 and 100"));
        }
        if self.initial_ms > self.max_ms {
            return Err(Fault::invalid(
                "backoff.initial_ms",
                "must not be more than backoff.max_ms",
            ));
        }
        if self.max_ms > crate::limits::MAX_LEASE_MS {
            return Err(Fault::invalid("backoff.max_ms", "must not be more than a day"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stops_growing() {
        let policy = Backoff::default();
        assert_eq!(policy.wait_ms(1, 0.0), 1_000);
        assert_eq!(policy.wait_ms(3, 0.0), 4_000);
        assert_eq!(policy.wait_ms(u32::MAX, 0.0), 300_000);
        assert_eq!(policy.wait_ms(1, 1.0), 750);
    }
}
