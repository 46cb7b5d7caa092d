//! Storing: one batch after the other, each only where the log is as this owner knows it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;
use tokio::time::Instant;
use troupe_bus::port::AppendError;

use crate::batch::{Batch, NOBODY, PendingBatch};
use crate::machine::Machine;
use crate::owner::Shard;
use crate::publisher::Parcel;

/// Attempts to store a batch before the shard is given up and read anew.
const MAX_APPEND_ATTEMPTS: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

impl<M: Machine> Shard<M> {
    /// Stores what is pending, until the shard is closed and nothing is, or until it is lost.
    pub(crate) async fn commit_loop(
        self: Arc<Self>,
        mut sequence: u64,
        parcels: mpsc::Sender<Parcel>,
    ) {
        loop {
            let (next, closed) = {
                let mut inner = self.inner.lock();
                let next = inner.pending.pop();
                inner.in_flight = next.as_ref().map(|batch| batch.fate.clone());
                (next, inner.closed.is_some())
            };
            let Some(batch) = next else {
                if closed {
                    self.say_farewell(sequence).await;
                    break;
                }
                self.wake.notified().await;
                continue;
            };
            match self.store(&batch, sequence).await {
                Ok(stored) => {
                    sequence = stored;
                    batch.fate.decide(Some(sequence));
                    self.stored.notify_one();
                    let parcel = Parcel { sequence, notices: batch.notices };
                    if parcels.send(parcel).await.is_err() {
                        self.close("its events cannot be published");
                    }
                }
                Err(why) => {
                    self.close(why);
                    batch.fate.decide(None);
                    break;
                }
            }
        }
        self.abandon_pending();
        self.ended.notify_waiters();
    }

    fn abandon_pending(&self) {
        let mut inner = self.inner.lock();
        inner.closed = Some(inner.closed.unwrap_or("it ended"));
        inner.in_flight = None;
        while let Some(batch) = inner.pending.pop() {
            batch.fate.decide(None);
        }
    }

    /// Says in the log that nobody owns the shard: this owner answers nothing any more, and the next
    /// one need not wait. If it does not get there, the next one waits.
    async fn say_farewell(&self, sequence: u64) {
        let (_, body) = self.message(&PendingBatch::default(), NOBODY, sequence);
        if let Err(why) = self.ports.log.append(&self.subject, body, sequence).await {
            tracing::debug!(shard = self.number, %why, "no farewell");
        }
    }

    fn message(&self, batch: &PendingBatch, owner: &str, after: u64) -> (String, Bytes) {
        let id = self.ports.world.ulid().to_string();
        let body = batch.message(&id, owner, self.published.get(), after);
        (id, body)
    }

    /// Stores a batch after `expected`. An append whose outcome is unknown is sent again as it is: if
    /// the first one was stored, the second one meets it.
    async fn store(&self, batch: &PendingBatch, expected: u64) -> Result<u64, &'static str> {
        let (id, body) = self.message(batch, &self.owner, expected);
        self.log_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let mut wait = FIRST_RETRY;
        for _ in 0..MAX_APPEND_ATTEMPTS {
            let sent = Instant::now();
            match self.ports.log.append(&self.subject, body.clone(), expected).await {
                Ok(sequence) => {
                    self.lease.stored(sent);
                    return Ok(sequence);
                }
                Err(AppendError::Conflict) => {
                    return self.find_own(&id).await.ok_or("another replica took it over");
                }
                Err(AppendError::Unknown(why) | AppendError::Refused(why)) => {
                    tracing::warn!(shard = self.number, why, "a batch was not acknowledged");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
        Err("its log does not answer")
    }

    /// The sequence of our own batch, where it is the last one stored.
    async fn find_own(&self, id: &str) -> Option<u64> {
        let last = self.ports.log.last(&self.subject).await.ok().flatten()?;
        let batch: Batch<IgnoredAny> = serde_json::from_slice(&last.body).ok()?;
        (batch.batch == id).then_some(last.sequence)
    }
}
