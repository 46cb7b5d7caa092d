//! What came out of a run: as JSON for machines, as a table for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::options::ProgressArgs;
pub use super::summaries::Summaries;
use crate::latency::Latency;
use crate::machine::{Machine, Versions};
use crate::processes::UsedByPart;

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `progress`.
    pub benchmark: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// As it was told.
    pub parameters: ProgressArgs,
    /// Tasks that are held and reported on.
    pub tasks: usize,
    /// Raw publishes and reports per second.
    pub throughput: Option<Throughput>,
    /// Reading, by how long the history is.
    pub summaries: Vec<Summaries>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// What must be known to read the numbers.
    pub notes: Vec<&'static str>,
}

/// Raw publishes and reports, measured in turn.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// Acknowledged publishes.
    pub raw: Series,
    /// Each of them under this load, in the last repetition.
    pub raw_latency: Latency,
    /// Reports.
    pub reports: Series,
    /// Each of them under this load, in the last repetition.
    pub latency: Latency,
    /// A report while nothing else happens.
    pub idle: Latency,
    /// The medians' ratio, reports to raw publishes.
    pub ratio: f64,
    /// Bytes of a report, and of a raw publish.
    pub body_bytes: usize,
}

/// One throughput, measured several times.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// In the order of the repetitions.
    pub per_s: Vec<f64>,
    /// Their median.
    pub median_per_s: f64,
    /// Microseconds of processor time for each, by part, in the last repetition.
    pub processor_us: BTreeMap<String, f64>,
}

impl Series {
    /// Adds a repetition that took `seconds`.
    pub(super) fn add(&mut self, per_s: f64, seconds: f64, used: &UsedByPart) {
        self.per_s.push(per_s);
        let mut sorted = self.per_s.clone();
        sorted.sort_by(f64::total_cmp);
        self.median_per_s = sorted[sorted.len() / 2];
        let count = (per_s * seconds).max(1.0);
        let each = used.iter().map(|(part, used)| {
            (part.clone(), (used.user_s + used.system_s) * 1_000_000.0 / count)
        });
        self.processor_us = each.collect();
    }
}
