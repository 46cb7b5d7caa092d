//! What the service can be told.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;
use troupe_domain::task::spec::check_lease;
use troupe_runtime::Common;

use crate::rules::state::Settings;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told.
    pub common: Common,
    /// Shards over which tasks are spread. Fixed for the life of the streams.
    pub shards: u16,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// The lease of a task that names none.
    pub default_lease_ms: u64,
    /// A task is stalled after so long without progress.
    pub stalled_after_ms: u64,
    /// Terminal tasks that a shard keeps in memory; older ones are read from the event stream.
    pub max_terminal_tasks_per_shard: usize,
    /// Tasks of a shard that are not terminal; the next creation is refused.
    pub max_open_tasks_per_shard: usize,
    /// Bytes of the tasks of a shard that are not terminal; the next creation is refused.
    pub max_open_bytes_per_shard: usize,
    /// A shard takes a snapshot when its log has grown by so much.
    pub snapshot_after_log_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::default(),
            shards: 4,
            stream_replicas: 1,
            default_lease_ms: 60_000,
            stalled_after_ms: 600_000,
            max_terminal_tasks_per_shard: 2_000,
            max_open_tasks_per_shard: 250_000,
            max_open_bytes_per_shard: 256 * 1024 * 1024,
            snapshot_after_log_bytes: 32 * 1024 * 1024,
        }
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
        if !(1..=256).contains(&self.shards) {
            return Err(Fault::invalid("shards", "must be within 1 and 256"));
        }
        if !matches!(self.stream_replicas, 1 | 3 | 5) {
            return Err(Fault::invalid("stream_replicas", "must be 1, 3 or 5"));
        }
        check_lease(Some(self.default_lease_ms)).map_err(|fault| {
            Fault::invalid("default_lease_ms", fault.message.trim_start_matches("lease_ms: "))
        })?;
        for (name, value) in [
            ("stalled_after_ms", self.stalled_after_ms),
            ("max_open_tasks_per_shard", self.max_open_tasks_per_shard as u64),
            ("max_open_bytes_per_shard", self.max_open_bytes_per_shard as u64),
            ("snapshot_after_log_bytes", self.snapshot_after_log_bytes),
        ] {
            if value == 0 {
                return Err(Fault::invalid(name, "must be more than 0"));
            }
        }
        Ok(())
    }

    /// The settings of one shard.
    pub fn settings(&self, shard: u16) -> Settings {
        Settings {
            shard,
            shards: self.shards,
            stalled_after_ms: self.stalled_after_ms,
            max_terminal_tasks: self.max_terminal_tasks_per_shard,
            max_open_tasks: self.max_open_tasks_per_shard,
            max_open_bytes: self.max_open_bytes_per_shard,
        }
    }
}
