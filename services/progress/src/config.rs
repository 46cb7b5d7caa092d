//! What the service can be told.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;
use troupe_runtime::Common;

use crate::rules::state::Settings;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told.
    pub common: Common,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// A snapshot is taken when the log has grown by so much.
    pub snapshot_after_log_bytes: u64,
    /// A task at work is stalled after so long without a word of its holder.
    pub stalled_after_ms: u64,
    /// Tasks that are followed at once; later ones are counted, and not followed.
    pub max_tasks: usize,
    /// Ended tasks that are kept; graphs that ended longest ago go first, as a whole.
    pub max_ended_tasks: usize,
    /// Reports of one task that are kept one by one; older ones are kept as a sum.
    pub max_reports_per_task: usize,
    /// Bytes of all reports that are kept one by one.
    pub max_report_bytes: usize,
    /// Agents that are counted.
    pub max_agents: usize,
    /// Milestones.
    pub max_milestones: usize,
}

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            common: Common::default(),
            stream_replicas: 1,
            snapshot_after_log_bytes: 32 * 1024 * 1024,
            stalled_after_ms: settings.stalled_after_ms,
            max_tasks: settings.max_tasks,
            max_ended_tasks: settings.max_ended_tasks,
            max_reports_per_task: settings.max_reports_per_task,
            max_report_bytes: settings.max_report_bytes,
            max_agents: settings.max_agents,
            max_milestones: settings.max_milestones,
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
        if !matches!(self.stream_replicas, 1 | 3 | 5) {
            return Err(Fault::invalid("stream_replicas", "must be 1, 3 or 5"));
        }
        for (name, value) in [
            ("snapshot_after_log_bytes", self.snapshot_after_log_bytes),
            ("stalled_after_ms", self.stalled_after_ms),
            ("max_tasks", self.max_tasks as u64),
            ("max_ended_tasks", self.max_ended_tasks as u64),
            ("max_reports_per_task", self.max_reports_per_task as u64),
            ("max_report_bytes", self.max_report_bytes as u64),
            ("max_agents", self.max_agents as u64),
            ("max_milestones", self.max_milestones as u64),
        ] {
            if value == 0 {
                return Err(Fault::invalid(name, "must be more than 0"));
            }
        }
        if self.max_ended_tasks > self.max_tasks {
            return Err(Fault::invalid("max_ended_tasks", "must not be more than max_tasks"));
        }
        Ok(())
    }

    /// What the rules need to know.
    pub fn settings(&self) -> Settings {
        Settings {
            stalled_after_ms: self.stalled_after_ms,
            max_tasks: self.max_tasks,
            max_ended_tasks: self.max_ended_tasks,
            max_reports_per_task: self.max_reports_per_task,
            max_report_bytes: self.max_report_bytes,
            max_agents: self.max_agents,
            max_milestones: self.max_milestones,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_each_bad_value_is_named() {
        assert!(Config::default().check().is_ok());
        let bad = Config { max_reports_per_task: 0, ..Config::default() };
        assert_eq!(bad.check().unwrap_err().details["field"], "max_reports_per_task");
        let bad = Config { stream_replicas: 2, ..Config::default() };
        assert_eq!(bad.check().unwrap_err().details["field"], "stream_replicas");
        let bad = Config { max_ended_tasks: 3, max_tasks: 2, ..Config::default() };
        assert_eq!(bad.check().unwrap_err().details["field"], "max_ended_tasks");
    }
}
