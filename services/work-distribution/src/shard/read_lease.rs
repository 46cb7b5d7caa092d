//! The read lease: for how long this replica may answer reads from memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Until when nobody else can have taken over what this replica owns.
#[derive(Debug, Clone)]
pub struct ReadLease {
    epoch: tokio::time::Instant,
    until_ms: Arc<AtomicU64>,
    /// Counts how often it began anew after it had run out.
    term: Arc<AtomicU64>,
}

impl Default for ReadLease {
    fn default() -> Self {
        let epoch = tokio::time::Instant::now();
        Self { epoch, until_ms: Arc::default(), term: Arc::default() }
    }
}

impl ReadLease {
    /// Extends the lease to `until`.
    pub fn extend(&self, until: tokio::time::Instant) {
        let ms = until.saturating_duration_since(self.epoch).as_millis();
        if !self.holds() {
            self.term.fetch_add(1, Ordering::AcqRel);
        }
        self.until_ms.fetch_max(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        self.epoch.elapsed().as_millis() < u128::from(self.until_ms.load(Ordering::Acquire))
    }

    /// How often it began anew: a read that began in one term and ended in another is not covered.
    pub fn term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }
}
