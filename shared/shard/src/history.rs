//! What is still in the log of a shard: records that snapshots made superfluous and that were not purged
//! yet, and the snapshots themselves.
//!
//! Invariant: nothing here decides what the state is; it is read beside the requests, by whoever misses
//! something that was written once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use troupe_bus::port::{EVERYTHING, Entry, ReadError};
use troupe_contract::subject;

use crate::batch::Batch;
use crate::machine::Machine;
use crate::owner::Shard;

/// One thing that the log still holds.
#[derive(Debug)]
pub enum Kept<M: Machine> {
    /// Something that happened.
    Record(M::Record),
    /// A line of a snapshot.
    Line(M::Line),
}

impl<M: Machine> Shard<M> {
    /// Reads what is still in the log, the oldest first, until `each` breaks, `max_bytes` were read, or
    /// it is over. What cannot be understood is passed over: it is not what was missed.
    pub async fn read_kept(
        &self,
        max_bytes: u64,
        each: &mut (dyn FnMut(Kept<M>) -> ControlFlow<()> + Send),
    ) -> Result<(), ReadError> {
        let records = subject::shard_log(M::SERVICE, self.number);
        let (enough, is_enough, mut left) = (Notify::new(), AtomicBool::new(false), max_bytes);
        let mut take = |entry: Entry| {
            if is_enough.load(Ordering::Relaxed) {
                return;
            }
            let size = entry.body.len() as u64;
            if size > left || hand_on::<M>(&records, &entry, each).is_break() {
                is_enough.store(true, Ordering::Relaxed);
                enough.notify_one();
            }
            left = left.saturating_sub(size);
        };
        tokio::select! {
            read = self.ports.log.read(EVERYTHING, 1, &mut take) => read,
            () = enough.notified() => Ok(()),
        }
    }
}

fn hand_on<M: Machine>(
    records: &str,
    entry: &Entry,
    each: &mut (dyn FnMut(Kept<M>) -> ControlFlow<()> + Send),
) -> ControlFlow<()> {
    if entry.subject == records {
        if let Ok(batch) = serde_json::from_slice::<Batch<M::Record>>(&entry.body) {
            batch.records.into_iter().try_for_each(|record| each(Kept::Record(record)))?;
        }
        return ControlFlow::Continue(());
    }
    for line in entry.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if let Ok(line) = serde_json::from_slice(line) {
            each(Kept::Line(line))?;
        }
    }
    ControlFlow::Continue(())
}
