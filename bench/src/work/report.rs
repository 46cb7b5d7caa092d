//! What came out of a run: as JSON for machines, as a table for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::claims::{Idle, Loaded};
use super::graph::Graph;
use super::options::{Durability, WorkArgs};
use super::waiting::Waiting;
use crate::latency::Latency;
use crate::machine::{Machine, Versions};
use crate::peer::Peer;
use crate::processes::UsedByPart;

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `work`.
    pub benchmark: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// When the server synced, except for the part that says otherwise.
    pub durability: Durability,
    /// As it was told.
    pub parameters: WorkArgs,
    /// Sizes that follow from the parameters.
    pub sizes: BTreeMap<&'static str, u64>,
    /// Baseline and lifecycles per second.
    pub throughput: Option<Throughput>,
    /// A claim while nothing else happens.
    pub claims_idle: Option<Idle>,
    /// A claim under half of the load that was reached.
    pub claims_under_half_load: Option<Loaded>,
    /// One large graph.
    pub graph: Option<Graph>,
    /// Many waiting tasks.
    pub waiting: Option<Waiting>,
    /// Baseline and lifecycles with a sync before each acknowledgement.
    pub always: Option<Throughput>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// What must be known to read the numbers.
    pub notes: Vec<&'static str>,
}

/// Tasks per second of the baseline, of full lifecycles and of peers, measured in turn.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// Four writes by compare-and-set per task.
    pub baseline: Series,
    /// Create, next, start, complete.
    pub lifecycle: Series,
    /// The same, with the next task taken along by the report of the last one.
    pub joined: Series,
    /// The medians' ratio, lifecycles with a request for each step to baseline.
    pub ratio: f64,
    /// The medians' ratio, joined lifecycles to baseline.
    pub joined_ratio: f64,
    /// Each step of the lifecycle under this load, in the last repetition.
    pub steps: BTreeMap<&'static str, Latency>,
    /// Seconds from the end of the load to the last event that followed from it, in the order of the
    /// repetitions. Long ones mean that the rate is not sustained.
    pub events_behind_s: Vec<f64>,
    /// The peers that were asked for.
    pub peers: Vec<Peer>,
}

/// One throughput, measured several times.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// Tasks per second, in the order of the repetitions.
    pub tasks_per_s: Vec<f64>,
    /// Their median.
    pub median_tasks_per_s: f64,
    /// Microseconds of processor time per task, by part, in the last repetition.
    pub processor_us_per_task: BTreeMap<String, f64>,
}

impl Series {
    /// Adds one repetition.
    pub(crate) fn add(&mut self, tasks_per_s: f64, seconds: f64, used: &UsedByPart) {
        self.tasks_per_s.push(tasks_per_s);
        self.median_tasks_per_s = median(&self.tasks_per_s);
        let tasks = (tasks_per_s * seconds).max(1.0);
        let each = used.iter().map(|(part, used)| {
            (part.clone(), ((used.user_s + used.system_s) * 1e7 / tasks).round() / 10.0)
        });
        self.processor_us_per_task = each.collect();
    }
}

/// The one in the middle, or the mean of the two there.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => {
            f64::midpoint(*below, *above)
        }
        (_, Some(one)) => *one,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::Used;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
        assert!((median(&[7.0]) - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn processor_time_is_told_per_task() {
        let mut series = Series::default();
        let used = [("work".to_owned(), Used { user_s: 1.0, system_s: 1.0 })].into();
        series.add(1_000.0, 2.0, &used);
        assert!((series.processor_us_per_task["work"] - 1_000.0).abs() < 0.1);
    }
}
