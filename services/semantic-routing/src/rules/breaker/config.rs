//! When a breaker opens, for how long, and how much of a fleet may be out at once.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;

use super::window::MAX_WINDOW_CALLS;

/// Longest recovery that can be asked for: a day.
const MAX_RECOVERY_MS: u64 = 24 * 3_600 * 1_000;
/// Most trials that can be asked for.
const MAX_TRIALS: u32 = 100;

/// The thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Time from the first opening to the first trial; doubles with every opening that follows.
    pub recovery_ms: u64,
    /// The longest that doubling makes of it.
    pub max_recovery_ms: u64,
    /// Calls that are let through half-open; all must succeed.
    pub half_open_trials: u32,
    /// Time after which a trial that never ended may be repeated.
    pub trial_timeout_ms: u64,
    /// The last calls that the rates are taken over.
    pub window_calls: u32,
    /// Calls in the window below which no rate counts.
    pub min_calls: u32,
    /// Share of failures in the window that opens it.
    pub failure_rate: f64,
    /// A call that takes longer is slow. Agents think for minutes: this is for those that hang.
    pub slow_call_ms: u64,
    /// Share of slow calls in the window that opens it.
    pub slow_rate: f64,
    /// Share of the agents that could answer which breakers may keep out at once.
    pub max_ejected_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            recovery_ms: 60_000,
            max_recovery_ms: 600_000,
            half_open_trials: 1,
            trial_timeout_ms: 60_000,
            window_calls: 32,
            min_calls: 10,
            failure_rate: 0.5,
            slow_call_ms: 300_000,
            slow_rate: 0.8,
            max_ejected_share: 0.5,
        }
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        let refuse = |field: &str, why: String| Fault::invalid(&format!("breaker.{field}"), why);
        if self.consecutive_failures == 0 {
            return Err(refuse("consecutive_failures", "must be at least 1".to_owned()));
        }
        if !(1..=MAX_RECOVERY_MS).contains(&self.recovery_ms) {
            return Err(refuse("recovery_ms", format!("must be within 1 and {MAX_RECOVERY_MS}")));
        }
        if !(self.recovery_ms..=MAX_RECOVERY_MS).contains(&self.max_recovery_ms) {
            let why = format!("must be within recovery_ms and {MAX_RECOVERY_MS}");
            return Err(refuse("max_recovery_ms", why));
        }
        if !(1..=MAX_TRIALS).contains(&self.half_open_trials) {
            return Err(refuse("half_open_trials", format!("must be within 1 and {MAX_TRIALS}")));
        }
        for (field, value) in
            [("trial_timeout_ms", self.trial_timeout_ms), ("slow_call_ms", self.slow_call_ms)]
        {
            if !(1..=MAX_RECOVERY_MS).contains(&value) {
                return Err(refuse(field, format!("must be within 1 and {MAX_RECOVERY_MS}")));
            }
        }
        if !(1..=MAX_WINDOW_CALLS).contains(&self.window_calls) {
            return Err(refuse("window_calls", format!("must be within 1 and {MAX_WINDOW_CALLS}")));
        }
        if !(1..=self.window_calls).contains(&self.min_calls) {
            return Err(refuse("min_calls", "must be within 1 and window_calls".to_owned()));
        }
        for (field, rate) in [("failure_rate", self.failure_rate), ("slow_rate", self.slow_rate)] {
            if !(rate > 0.0 && rate <= 1.0) {
                return Err(refuse(field, "must be above 0 and at most 1".to_owned()));
            }
        }
        if !(0.0..=1.0).contains(&self.max_ejected_share) {
            return Err(refuse("max_ejected_share", "must be within 0 and 1".to_owned()));
        }
        Ok(())
    }

    /// How long the `openings`-th opening in a row lasts.
    pub fn recovery_after(&self, openings: u32) -> u64 {
        let doublings = openings.saturating_sub(1).min(32);
        self.recovery_ms.saturating_mul(1 << doublings).min(self.max_recovery_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_doubles_up_to_its_bound() {
        let config = Config::default();
        let recoveries = [1, 2, 3, 4, 5, u32::MAX].map(|n| config.recovery_after(n));
        assert_eq!(recoveries, [60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
    }

    #[test]
    fn the_defaults_pass_and_a_wrong_value_is_named() {
        let good = Config::default;
        assert_eq!(good().check(), Ok(()));
        let wrong = [
            (Config { consecutive_failures: 0, ..good() }, "consecutive_failures"),
            (Config { max_recovery_ms: 59_999, ..good() }, "max_recovery_ms"),
            (Config { half_open_trials: 0, ..good() }, "half_open_trials"),
            (Config { window_calls: 65, ..good() }, "window_calls"),
            (Config { min_calls: 33, ..good() }, "min_calls"),
            (Config { failure_rate: f64::NAN, ..good() }, "failure_rate"),
            (Config { slow_rate: 0.0, ..good() }, "slow_rate"),
            (Config { max_ejected_share: 1.1, ..good() }, "max_ejected_share"),
            (Config { slow_call_ms: 0, ..good() }, "slow_call_ms"),
        ];
        for (config, field) in wrong {
            let fault = config.check().unwrap_err();
            assert_eq!(fault.details["field"], format!("breaker.{field}"));
        }
    }
}
