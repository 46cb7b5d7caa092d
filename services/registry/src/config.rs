//! What the service can be told.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;
use troupe_domain::agent::Timing;
use troupe_runtime::Common;

use crate::service::Settings;

/// Shortest interval between heartbeats that can be asked for.
const MIN_HEARTBEAT_INTERVAL_MS: u64 = 100;
/// Longest one, and longest retention: a week.
const MAX_TIMING_MS: u64 = 7 * 24 * 3_600 * 1_000;
/// Most intervals that a silence may count.
const MAX_MISSES: u32 = 10_000;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told.
    pub common: Common,
    /// When silence means something.
    pub timing: Timing,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { common: Common::default(), timing: Timing::default(), stream_replicas: 1 }
    }
}

impl AsRef<Common> for Config {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        let Timing { heartbeat_interval_ms, crashed_retention_ms, .. } = self.timing;
        if !(MIN_HEARTBEAT_INTERVAL_MS..=MAX_TIMING_MS).contains(&heartbeat_interval_ms) {
            let why = format!("must be within {MIN_HEARTBEAT_INTERVAL_MS} and {MAX_TIMING_MS}");
            return Err(Fault::invalid("timing.heartbeat_interval_ms", why));
        }
        let (offline, crashed) =
            (self.timing.offline_after_misses, self.timing.crashed_after_misses);
        if offline == 0 {
            return Err(Fault::invalid("timing.offline_after_misses", "must be at least 1"));
        }
        if crashed <= offline || crashed > MAX_MISSES {
            let why = format!("must be more than offline_after_misses, and at most {MAX_MISSES}");
            return Err(Fault::invalid("timing.crashed_after_misses", why));
        }
        if crashed_retention_ms > MAX_TIMING_MS {
            let why = format!("must be at most {MAX_TIMING_MS}");
            return Err(Fault::invalid("timing.crashed_retention_ms", why));
        }
        if !matches!(self.stream_replicas, 1 | 3 | 5) {
            return Err(Fault::invalid("stream_replicas", "must be 1, 3 or 5"));
        }
        Ok(())
    }

    /// What a replica must know of it.
    pub fn settings(&self) -> Settings {
        Settings {
            timing: self.timing,
            stream_replicas: self.stream_replicas,
            redis_url: self.common.redis.url.as_ref().map(|url| url.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_a_wrong_value_is_named() {
        assert_eq!(Config::default().check(), Ok(()));
        let timing = Timing { crashed_after_misses: 3, ..Timing::default() };
        let fault = Config { timing, ..Config::default() }.check().unwrap_err();
        assert_eq!(fault.details["field"], "timing.crashed_after_misses");
        let fault = Config { stream_replicas: 2, ..Config::default() }.check().unwrap_err();
        assert_eq!(fault.details["field"], "stream_replicas");
    }
}
