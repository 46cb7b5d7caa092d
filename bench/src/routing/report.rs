//! What came out of a run: as JSON for machines, as a table for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::accuracy::Accuracy;
use super::balancing::Balancing;
use super::decisions::Decisions;
use super::mailboxes::Mailboxes;
use super::messages::Messages;
use super::options::RoutingArgs;
use super::replay::Replay;
use super::scale::Scale;
use crate::machine::{Machine, Versions};
use crate::processes::UsedByPart;
use crate::work::report::median;

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `routing`.
    pub benchmark: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// As it was told.
    pub parameters: RoutingArgs,
    /// Sizes that follow from the parameters.
    pub sizes: BTreeMap<&'static str, u64>,
    /// Accuracy and calibration.
    pub accuracy: Option<Accuracy>,
    /// How fast decisions are.
    pub decisions: Option<Decisions>,
    /// What the cache does with texts that come again.
    pub cache: Option<Replay>,
    /// Messages by intent.
    pub messages: Option<Messages>,
    /// A small fleet and a large one.
    pub scale: Option<Scale>,
    /// A fleet in which one is slow and one fails.
    pub balancing: Option<Balancing>,
    /// Mailboxes beside raw JetStream.
    pub mailboxes: Option<Mailboxes>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// What must be known to read the numbers.
    pub notes: Vec<&'static str>,
}

/// One throughput, measured several times.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// Per second, in the order of the repetitions.
    pub per_s: Vec<f64>,
    /// Their median.
    pub median_per_s: f64,
    /// Microseconds of processor time for each, by part, in the last repetition.
    pub processor_us_each: BTreeMap<String, f64>,
}

impl Series {
    /// Adds one repetition.
    pub(super) fn add(&mut self, per_s: f64, seconds: f64, used: &UsedByPart) {
        self.per_s.push(per_s);
        self.median_per_s = median(&self.per_s);
        let count = (per_s * seconds).max(1.0);
        let each = used.iter().map(|(part, used)| {
            (part.clone(), ((used.user_s + used.system_s) * 1e7 / count).round() / 10.0)
        });
        self.processor_us_each = each.collect();
    }
}
