//! Priorities, and how waiting raises them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How urgent a task is. Numbers as in the field's habit: critical 4, high 3, medium 2, low 1.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// 1
    #[serde(alias = "LOW")]
    Low,
    /// 2, the default
    #[default]
    #[serde(alias = "MEDIUM", alias = "normal")]
    Medium,
    /// 3
    #[serde(alias = "HIGH")]
    High,
    /// 4
    #[serde(alias = "CRITICAL")]
    Critical,
}

/// How much waiting one step of priority is worth.
pub const BOOST_PER_STEP_MS: u64 = 5 * 60 * 1000;

impl Priority {
    /// Every priority, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The number, 1 to 4.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Where a task that waits since `since` stands in the queue; the smallest is served first.
    ///
    /// A step of priority is a head start of [`BOOST_PER_STEP_MS`]. The key is constant, so that
    /// ageing needs no re-sorting, and a low task overtakes every task that came
    /// 3 × [`BOOST_PER_STEP_MS`] after it, whatever its priority: nothing starves.
    pub const fn queue_key(self, since: Timestamp) -> i64 {
        let steps = self as i64;
        since.as_millis().saturating_sub(steps * BOOST_PER_STEP_MS as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_task_overtakes_critical_ones_that_came_much_later() {
        let early = Timestamp::from_millis(0);
        let soon = Timestamp::from_millis(1);
        let late = Timestamp::from_millis(3 * BOOST_PER_STEP_MS as i64 + 1);
        assert!(Priority::Critical.queue_key(soon) < Priority::Low.queue_key(early));
        assert!(Priority::Low.queue_key(early) < Priority::Critical.queue_key(late));
    }
}
