//! What one seed means: how many take part, and how unkind the world is to them.

use std::time::Duration;

use troupe_bus::model::{Chance, Defect, Faults};
use troupe_work_distribution::rules::state::Settings;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shards: u16,
    pub(crate) agents: usize,
    pub(crate) operators: usize,
    pub(crate) commands_per_operator: usize,
    /// How long things go wrong; afterwards everything must come to its end.
    pub(crate) unkind_for: Duration,
    pub(crate) faults: Faults,
    /// Clocks of replicas differ by up to so much.
    pub(crate) max_skew_ms: u64,
    pub(crate) max_terminal_tasks: usize,
    pub(crate) snapshot_after_log_bytes: u64,
    /// Chances in a thousand that the registry cannot tell.
    pub(crate) unknown_life: u32,
    /// The milliseconds between two blows to the owners of a shard.
    pub(crate) calm_ms: (u64, u64),
    /// A promise that the model breaks; checkers must notice.
    pub(crate) defect: Option<Defect>,
    /// Print what happens.
    pub(crate) loud: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Chance::new(seed ^ 0x7472_6f75_7065);
        let level = chance.below(4) as u32;
        let odds = |most: u32| (chance.below(u64::from(most * level) + 1)) as u32;
        let faults = Faults {
            lost_request: odds(15),
            lost_ack: odds(15),
            late: odds(20),
            duplicate: odds(20),
            refused: odds(10),
            stale_read: odds(60),
            read_error: odds(20),
            broken_read: odds(20),
            max_delay_ms: chance.within(1, 20),
            max_late_ms: chance.within(100, 12_000),
            max_stale_entries: chance.within(1, 40),
        };
        Self {
            seed,
            shards: chance.within(1, 2) as u16,
            agents: chance.within(2, 4) as usize,
            operators: chance.within(1, 2) as usize,
            commands_per_operator: chance.within(8, 18) as usize,
            unkind_for: chance.millis(8_000, 25_000),
            faults,
            max_skew_ms: if chance.hits(300) { chance.within(0, 3_000) } else { 0 },
            max_terminal_tasks: if chance.hits(400) { chance.within(1, 6) as usize } else { 1_000 },
            snapshot_after_log_bytes: chance.within(1_500, 20_000),
            unknown_life: if chance.hits(500) { 0 } else { 200 },
            calm_ms: if chance.hits(700) { (300, 5_000) } else { (5_000, 20_000) },
            defect: None,
            loud: false,
        }
    }

    pub(crate) fn settings(&self, shard: u16) -> Settings {
        Settings {
            shard,
            shards: self.shards,
            stalled_after_ms: 4_000,
            max_terminal_tasks: self.max_terminal_tasks,
            max_open_tasks: 1_000,
            max_open_bytes: 64 * 1024 * 1024,
        }
    }
}
