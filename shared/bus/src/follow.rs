//! Following a stream: what is stored from a sequence on, in order, for as long as one listens.
//!
//! Invariant: no entry is skipped and none comes twice, across lost connections, restarts of the
//! server and consumers that it forgot: the place in the stream is kept here.

use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt;

use crate::log::StreamLog;
use crate::port::{Entry, ReadError};

/// First wait before a consumer that failed is made again.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest such wait.
const LAST_RETRY: Duration = Duration::from_secs(2);

/// A place in a stream that moves on with what is stored.
pub struct Follower {
    log: StreamLog,
    filter: String,
    next: u64,
    messages: Option<pull::Ordered>,
    wait: Duration,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl StreamLog {
    /// Follows what matches `filter`, from sequence `from` on.
    pub fn follow(&self, filter: impl Into<String>, from: u64) -> Follower {
        Follower {
            log: self.clone(),
            filter: filter.into(),
            next: from.max(1),
            messages: None,
            wait: FIRST_RETRY,
        }
    }
}

impl Follower {
    /// The next entry, whenever it comes. Safe to cancel.
    pub async fn next(&mut self) -> Entry {
        loop {
            match self.attempt().await {
                Ok(entry) => {
                    self.wait = FIRST_RETRY;
                    self.next = entry.sequence + 1;
                    return entry;
                }
                Err(why) => {
                    tracing::debug!(filter = self.filter, %why, "following again from {}", self.next);
                    self.messages = None;
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(LAST_RETRY);
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Entry, ReadError> {
        let read = |why: &dyn std::fmt::Display| ReadError(why.to_string());
        if self.messages.is_none() {
            let config = pull::OrderedConfig {
                filter_subject: self.filter.clone(),
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
                ..pull::OrderedConfig::default()
            };
            let made = self.log.stream.create_consumer(config).await;
            let consumer = made.map_err(|why| read(&why))?;
            self.messages = Some(consumer.messages().await.map_err(|why| read(&why))?);
        }
        let Some(messages) = &mut self.messages else { return Err(read(&"no consumer")) };
        loop {
            let message = messages.next().await.ok_or_else(|| read(&"the consumer ended"))?;
            let message = message.map_err(|why| read(&why))?;
            let sequence = message.info().map_err(|why| read(&why))?.stream_sequence;
            // A consumer that was made anew on the way may start a little early.
            if sequence >= self.next {
                let (message, _) = message.split();
                let subject = message.subject.to_string();
                return Ok(Entry { sequence, subject, body: message.payload });
            }
        }
    }
}
