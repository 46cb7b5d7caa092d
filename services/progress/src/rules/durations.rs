//! What completed tasks took: the ground that estimates stand on.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use troupe_domain::Role;

/// Durations kept of each role.
pub const MAX_ROLE_SAMPLES: usize = 256;
/// Durations kept of the whole fleet, and of how estimates turned out.
pub const MAX_FLEET_SAMPLES: usize = 1_024;
/// Roles that are told apart.
pub const MAX_ROLES: usize = 256;
/// Durations from which on a set of them says something.
pub const MIN_SAMPLES: usize = 8;

/// Measured durations, the newest of each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// In milliseconds, by the role that the task asked for.
    pub by_role: BTreeMap<Role, VecDeque<u64>>,
    /// In milliseconds, of any task.
    pub fleet: VecDeque<u64>,
    /// What a task took as a share of its creator's estimate, in thousandths.
    pub ratios: VecDeque<u64>,
}

fn keep(samples: &mut VecDeque<u64>, sample: u64, max: usize) {
    if samples.len() >= max {
        samples.pop_front();
    }
    samples.push_back(sample);
}

impl Durations {
    /// A task was completed after `took_ms` of work in all its attempts.
    pub fn completed(&mut self, role: Option<&Role>, estimated_ms: Option<u64>, took_ms: u64) {
        keep(&mut self.fleet, took_ms, MAX_FLEET_SAMPLES);
        if let Some(estimate) = estimated_ms.filter(|estimate| *estimate > 0) {
            let ratio = u128::from(took_ms) * 1_000 / u128::from(estimate);
            keep(&mut self.ratios, u64::try_from(ratio).unwrap_or(u64::MAX), MAX_FLEET_SAMPLES);
        }
        let Some(role) = role else { return };
        if let Some(samples) = self.by_role.get_mut(role) {
            keep(samples, took_ms, MAX_ROLE_SAMPLES);
        } else if self.by_role.len() < MAX_ROLES {
            self.by_role.insert(role.clone(), VecDeque::from([took_ms]));
        }
    }
}
