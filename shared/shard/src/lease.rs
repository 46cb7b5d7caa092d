//! The read lease: how long an owner may answer reads from memory after its last write.
//!
//! When an append is stored, nobody else has taken the shard over by then. So until [`READ_LEASE`] has
//! passed since it was sent, nobody else *serves* the shard: whoever takes it over fences the log
//! first and then waits for [`TAKEOVER_WAIT`], unless the last message says that nobody owns the shard
//! any more. Nothing rests on who hears whom, and nothing on clocks but their rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a stored append vouches for reads, counted from when it was sent.
pub const READ_LEASE: Duration = Duration::from_millis(500);
/// How long a new owner stays silent after its fence: longer than [`READ_LEASE`] by more than two
/// clocks can differ over it.
pub const TAKEOVER_WAIT: Duration = Duration::from_millis(600);

/// Until when nobody else can serve the shard.
#[derive(Debug)]
pub struct ReadLease {
    began: Instant,
    until_ms: AtomicU64,
}

impl Default for ReadLease {
    /// A lease that does not hold: nothing was stored yet.
    fn default() -> Self {
        Self { began: Instant::now(), until_ms: AtomicU64::new(0) }
    }
}

impl ReadLease {
    /// An append that was sent at `sent` is stored.
    pub fn stored(&self, sent: Instant) {
        let until = sent.saturating_duration_since(self.began) + READ_LEASE;
        self.until_ms.fetch_max(millis(until), Ordering::AcqRel);
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        millis(self.began.elapsed()) < self.until_ms.load(Ordering::Acquire)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
