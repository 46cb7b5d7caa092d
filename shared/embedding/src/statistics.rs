//! What an embedder has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an embedder has done since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Texts that were embedded.
    pub texts: u64,
    /// Batches that were run for them.
    pub batches: u64,
    /// Texts that nobody waited for any more when their turn came.
    pub skipped: u64,
    /// Texts that were refused because the queue was full.
    pub refused: u64,
    /// Texts that the model could not answer.
    pub failed: u64,
    /// Time spent in the model, summed over the workers, in microseconds.
    pub busy_us: u64,
    /// Texts that wait now.
    pub queued: u64,
}

impl Statistics {
    /// Texts in a batch, on average; 0 before the first.
    pub fn mean_batch_size(&self) -> f64 {
        if self.batches == 0 { 0.0 } else { self.texts as f64 / self.batches as f64 }
    }
}

/// The same numbers, while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) texts: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) busy_us: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self, queued: usize) -> Statistics {
        Statistics {
            texts: self.texts.load(Relaxed),
            batches: self.batches.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            busy_us: self.busy_us.load(Relaxed),
            queued: queued as u64,
        }
    }
}
