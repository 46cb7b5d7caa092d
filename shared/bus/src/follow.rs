//! Following a stream: what is stored from a sequence on, in order, for as long as one listens.
//!
//! Invariant: no entry is skipped and none comes twice, across lost connections, restarts of the
//! server and consumers that it forgot: the place in the stream is kept here.

use std::time::Duration;

use async_nats::datetime;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::{FutureExt, StreamExt};
use serde::de::DeserializeOwned;
use troupe_contract::event::{self, CloudEvent};
use troupe_contract::headers;
use troupe_domain::{Timestamp, TraceContext};

use crate::log::StreamLog;
use crate::port::{Entry, ReadError};
use crate::trace;

/// First wait before a consumer that failed is made again.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest such wait.
const LAST_RETRY: Duration = Duration::from_secs(2);

/// A place in a stream that moves on with what is stored.
pub struct Follower {
    log: StreamLog,
    filters: Vec<String>,
    next: u64,
    /// Where it starts, as long as nothing came.
    since: Option<Timestamp>,
    messages: Option<pull::Ordered>,
    wait: Duration,
    max_ahead: i64,
}

/// One stored message, with what its publisher said beside the body.
#[derive(Debug, Clone)]
pub struct Published {
    /// The message.
    pub entry: Entry,
    /// Its de-duplication id, if it has one.
    pub message_id: Option<String>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// When the server stored it.
    pub at: Timestamp,
}

impl Published {
    /// Reads the events of the message.
    pub fn events<T: DeserializeOwned>(&self) -> Result<Vec<CloudEvent<T>>, serde_json::Error> {
        event::decode(&self.entry.body)
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("filters", &self.filters).finish_non_exhaustive()
    }
}

impl StreamLog {
    /// Follows what matches `filter`, from sequence `from` on.
    pub fn follow(&self, filter: impl Into<String>, from: u64) -> Follower {
        Follower {
            log: self.clone(),
            filters: vec![filter.into()],
            next: from.max(1),
            since: None,
            messages: None,
            wait: FIRST_RETRY,
            max_ahead: 0,
        }
    }
}

impl Follower {
    /// What matches this filter comes too.
    #[must_use]
    pub fn and(mut self, filter: impl Into<String>) -> Self {
        self.filters.push(filter.into());
        self
    }

    /// Starts with what was stored at `time` or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Has at most so many messages on their way.
    #[must_use]
    pub fn ahead(mut self, max_messages: u16) -> Self {
        self.max_ahead = i64::from(max_messages);
        self
    }

    /// The next message with what its publisher said. Safe to cancel; after an error it goes on from
    /// the same place.
    pub async fn published(&mut self) -> Result<Published, ReadError> {
        let read = self.attempt().await;
        match &read {
            Ok(published) => self.passed(published.entry.sequence),
            Err(_) => self.messages = None,
        }
        read
    }

    /// The next message, if it is here already.
    pub fn published_now(&mut self) -> Option<Result<Published, ReadError>> {
        self.messages.as_ref()?;
        self.published().now_or_never()
    }

    /// The next entry, whenever it comes. Safe to cancel.
    pub async fn next(&mut self) -> Entry {
        loop {
            match self.attempt().await {
                Ok(Published { entry, .. }) => {
                    self.wait = FIRST_RETRY;
                    self.passed(entry.sequence);
                    return entry;
                }
                Err(why) => {
                    tracing::debug!(filters = ?self.filters, %why, "following again from {}", self.next);
                    self.messages = None;
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(LAST_RETRY);
                }
            }
        }
    }

    fn start(&self) -> DeliverPolicy {
        let by_time = self.since.and_then(|time| {
            let nanos = i128::from(time.as_millis()) * 1_000_000;
            datetime::from_nanos(nanos).ok()
        });
        match by_time {
            Some(start_time) => DeliverPolicy::ByStartTime { start_time },
            None => DeliverPolicy::ByStartSequence { start_sequence: self.next },
        }
    }

    fn passed(&mut self, sequence: u64) {
        self.next = sequence + 1;
        self.since = None;
    }

    async fn attempt(&mut self) -> Result<Published, ReadError> {
        let read = |why: &dyn std::fmt::Display| ReadError(why.to_string());
        if self.messages.is_none() {
            let config = pull::OrderedConfig {
                filter_subjects: self.filters.clone(),
                deliver_policy: self.start(),
                max_batch: self.max_ahead,
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
            let info = message.info().map_err(|why| read(&why))?;
            let (sequence, stored) = (info.stream_sequence, info.published);
            // A consumer that was made anew on the way may start a little early.
            if sequence >= self.next {
                let (message, _) = message.split();
                let map = message.headers.as_ref();
                let id = map.and_then(|map| map.get(headers::MSG_ID));
                return Ok(Published {
                    message_id: id.map(|id| id.as_str().to_owned()),
                    trace: trace::extract(map),
                    at: crate::log::timestamp(stored.unix_timestamp_nanos()),
                    entry: Entry {
                        sequence,
                        subject: message.subject.to_string(),
                        body: message.payload,
                    },
                });
            }
        }
    }
}
