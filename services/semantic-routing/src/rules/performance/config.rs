//! How measurements are weighed, and what is refused.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;

/// Most agents that can be asked for.
pub const MAX_TRACKED_AGENTS: usize = 20_000;

/// How measurements are weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Decay of the peak-EWMA latency.
    pub latency_decay_ms: u64,
    /// Time after which an end counts half.
    pub success_half_life_ms: u64,
    /// Success that is expected of an agent that nobody has measured.
    pub prior_success: f64,
    /// How many calls that expectation weighs.
    pub prior_calls: f64,
    /// Latency that is expected while nothing is measured in the whole fleet.
    pub prior_latency_us: u64,
    /// Calls after which an agent's own quantiles are believed.
    pub warm_up_calls: u64,
    /// Agents that are tracked.
    pub max_agents: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            latency_decay_ms: 10_000,
            success_half_life_ms: 600_000,
            prior_success: 0.9,
            prior_calls: 5.0,
            prior_latency_us: 1_000_000,
            warm_up_calls: 20,
            max_agents: 10_000,
        }
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        for (field, value) in [
            ("performance.latency_decay_ms", self.latency_decay_ms),
            ("performance.success_half_life_ms", self.success_half_life_ms),
            ("performance.prior_latency_us", self.prior_latency_us),
        ] {
            if value == 0 {
                return Err(Fault::invalid(field, "must be at least 1"));
            }
        }
        if !(self.prior_success > 0.0 && self.prior_success < 1.0) {
            let why = "must be above 0 and below 1";
            return Err(Fault::invalid("performance.prior_success", why));
        }
        if !(self.prior_calls.is_finite() && self.prior_calls > 0.0) {
            return Err(Fault::invalid("performance.prior_calls", "must be above 0"));
        }
        if !(1..=MAX_TRACKED_AGENTS).contains(&self.max_agents) {
            let why = format!("must be within 1 and {MAX_TRACKED_AGENTS}");
            return Err(Fault::invalid("performance.max_agents", why));
        }
        Ok(())
    }
}
