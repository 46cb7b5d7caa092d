//! The reports of one task: the newest one by one, older ones as a sum.
//!
//! Invariant: how many reports there are, were, and lowered the percentage is exact, however many are
//! kept.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::progress::Rollup;
use troupe_domain::progress::{ProgressEntry, ReportId};

/// What a report takes beside its texts, about.
const ENTRY_BYTES: usize = 320;

/// What a report takes in memory, about.
pub fn weight(entry: &ProgressEntry) -> usize {
    let json =
        |json: &Option<troupe_domain::Json>| json.as_ref().map_or(0, troupe_domain::Json::len);
    ENTRY_BYTES
        + entry.message.len()
        + json(&entry.details)
        + json(&entry.metadata)
        + entry.blockers.iter().map(|blocker| blocker.len() + 24).sum::<usize>()
        + entry.regression.as_ref().map_or(0, |regression| regression.reason.len() + 32)
}

/// The reports of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    kept: VecDeque<Arc<ProgressEntry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    older: Option<Rollup>,
}

impl History {
    /// Adds a report and keeps at most `max` of them. Gives the bytes that came and that went.
    pub fn push(&mut self, entry: Arc<ProgressEntry>, max: usize) -> (usize, usize) {
        let came = weight(&entry);
        self.kept.push_back(entry);
        let mut went = 0;
        while self.kept.len() > max.max(1) {
            went += self.roll_up(1);
        }
        (came, went)
    }

    /// Turns the oldest `count` reports into a sum. Gives the bytes that went.
    pub fn roll_up(&mut self, count: usize) -> usize {
        let mut went = 0;
        for _ in 0..count {
            let Some(entry) = self.kept.pop_front() else { break };
            went += weight(&entry);
            let older = self.older.get_or_insert_with(|| Rollup {
                reports: 0,
                regressions: 0,
                first_at: entry.timestamp,
                last_at: entry.timestamp,
                last_percentage: 0.0,
            });
            older.reports += 1;
            older.regressions += u64::from(entry.regression.is_some());
            older.last_at = entry.timestamp;
            older.last_percentage = entry.percentage;
        }
        went
    }

    /// How many were ever made.
    pub fn total(&self) -> u64 {
        self.kept.len() as u64 + self.older.as_ref().map_or(0, |older| older.reports)
    }

    /// How many are kept one by one.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes of what is kept one by one, about.
    pub fn bytes(&self) -> usize {
        self.kept.iter().map(|entry| weight(entry)).sum()
    }

    /// A kept report by its id.
    pub fn find(&self, id: &ReportId) -> Option<&Arc<ProgressEntry>> {
        self.kept.iter().rev().find(|entry| entry.id == *id)
    }

    /// The older ones.
    pub fn older(&self) -> Option<&Rollup> {
        self.older.as_ref()
    }

    /// The newest `limit` before the one with the number `before`, and where the next page ends.
    pub fn page(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> (Vec<Arc<ProgressEntry>>, Option<u64>) {
        let first = self.total() - self.kept.len() as u64;
        let end = before.unwrap_or(u64::MAX).min(self.total()).max(first);
        let taken = (end - first) as usize;
        let from = taken.saturating_sub(limit);
        let page = self.kept.range(from..taken).rev().cloned().collect();
        (page, (from > 0).then_some(first + from as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::entry;

    #[test]
    fn older_reports_are_a_sum_and_pages_go_back_to_it() {
        let mut history = History::default();
        let (mut bytes, all) = (0, 10);
        for number in 0..all {
            let (came, went) = history.push(entry("t", 1, f64::from(number)), 4);
            bytes += came;
            bytes -= went;
        }
        assert_eq!((history.total(), history.len(), history.bytes()), (10, 4, bytes));
        let older = history.older().unwrap();
        assert_eq!((older.reports, older.last_percentage as i64), (6, 5));
        let (page, next) = history.page(None, 3);
        let percentages: Vec<i64> = page.iter().map(|entry| entry.percentage as i64).collect();
        assert_eq!((percentages, next), (vec![9, 8, 7], Some(7)));
        let (page, next) = history.page(next, 3);
        assert_eq!((page.len(), page[0].percentage as i64, next), (1, 6, None));
        assert_eq!(history.page(Some(0), 3), (Vec::new(), None));
    }
}
