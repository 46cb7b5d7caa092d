//! A JetStream stream as a [`Log`].

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::{HeaderMap, Request, RequestErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use troupe_contract::headers;
use troupe_domain::Timestamp;

use crate::connect::Bus;
use crate::port::{AppendError, EVERYTHING, Entry, Log, ReadError};

/// How long an append waits for its acknowledgement before its outcome is unknown.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a replay waits for the next message before it gives up.
const READ_STALL: Duration = Duration::from_secs(10);

/// A stream as a log.
#[derive(Clone)]
pub struct StreamLog {
    bus: Bus,
    pub(crate) stream: Stream,
}

impl std::fmt::Debug for StreamLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamLog").field("stream", &self.name()).finish_non_exhaustive()
    }
}

/// JetStream's acknowledgement of a publish.
#[derive(Deserialize)]
pub(crate) struct Ack {
    #[serde(default)]
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) error: Option<AckError>,
}

#[derive(Deserialize)]
pub(crate) struct AckError {
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

impl StreamLog {
    pub(crate) fn new(bus: Bus, stream: Stream) -> Self {
        Self { bus, stream }
    }

    fn name(&self) -> &str {
        &self.stream.cached_info().config.name
    }

    /// When the stream was made, as it was when it was opened: one that was deleted and made anew is
    /// another.
    pub fn made_at(&self) -> Timestamp {
        timestamp(self.stream.cached_info().created.unix_timestamp_nanos())
    }

    /// The first sequence that the stream still holds, or would hold if it were not empty.
    pub async fn first_sequence(&self) -> Result<u64, ReadError> {
        let info = self.stream.get_info().await.map_err(|why| ReadError(why.to_string()))?;
        Ok(info.state.first_sequence)
    }

    /// When the stream that has this name now was made.
    pub async fn made_at_now(&self) -> Result<Timestamp, ReadError> {
        let info = self.stream.get_info().await.map_err(|why| ReadError(why.to_string()))?;
        Ok(timestamp(info.created.unix_timestamp_nanos()))
    }

    /// When the stream that has this name now was made, and the last sequence in it.
    pub async fn newest(&self) -> Result<(Timestamp, u64), ReadError> {
        let info = self.stream.get_info().await.map_err(|why| ReadError(why.to_string()))?;
        Ok((timestamp(info.created.unix_timestamp_nanos()), info.state.last_sequence))
    }

    async fn publish(
        &self,
        subject: &str,
        body: Bytes,
        map: HeaderMap,
    ) -> Result<u64, AppendError> {
        publish(&self.bus, subject, body, map).await
    }
}

pub(crate) fn timestamp(unix_nanos: i128) -> Timestamp {
    let millis = i64::try_from(unix_nanos.div_euclid(1_000_000));
    Timestamp::from_millis(millis.unwrap_or(i64::MAX))
}

/// Publishes and waits for the acknowledgement.
pub(crate) async fn publish(
    bus: &Bus,
    subject: &str,
    body: Bytes,
    map: HeaderMap,
) -> Result<u64, AppendError> {
    let request = Request::new().payload(body).headers(map).timeout(Some(APPEND_TIMEOUT));
    let answer =
        bus.client.send_request(subject.to_owned(), request).await.map_err(|why| {
            match why.kind() {
                RequestErrorKind::NoResponders
                | RequestErrorKind::InvalidSubject
                | RequestErrorKind::MaxPayloadExceeded => AppendError::Refused(why.to_string()),
                RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                    AppendError::Unknown(why.to_string())
                }
            }
        })?;
    let ack: Ack = serde_json::from_slice(&answer.payload).map_err(|why| {
        AppendError::Unknown(format!("the acknowledgement cannot be read: {why}"))
    })?;
    match ack.error {
        None => Ok(ack.seq),
        Some(error) if error.err_code == ErrorCode::STREAM_WRONG_LAST_SEQUENCE.0 => {
            Err(AppendError::Conflict)
        }
        Some(error) => Err(AppendError::Refused(error.description)),
    }
}

#[async_trait]
impl Log for StreamLog {
    async fn append(&self, subject: &str, body: Bytes, expected: u64) -> Result<u64, AppendError> {
        let mut map = HeaderMap::new();
        map.insert(headers::EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string().as_str());
        self.publish(subject, body, map).await
    }

    async fn put(&self, subject: &str, body: Bytes) -> Result<u64, AppendError> {
        self.publish(subject, body, HeaderMap::new()).await
    }

    async fn last(&self, subject: &str) -> Result<Option<Entry>, ReadError> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(Entry {
                sequence: message.sequence,
                subject: message.subject.to_string(),
                body: message.payload,
            })),
            Err(why) if why.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(why) => Err(ReadError(why.to_string())),
        }
    }

    async fn read(
        &self,
        filter: &str,
        from: u64,
        each: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<(), ReadError> {
        let read = |why: &dyn std::fmt::Display| ReadError(why.to_string());
        let Some(last) = self.last(filter).await? else { return Ok(()) };
        if last.sequence < from {
            return Ok(());
        }
        let config = pull::OrderedConfig {
            filter_subject: filter.to_owned(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.max(1) },
            ..pull::OrderedConfig::default()
        };
        let consumer = self.stream.create_consumer(config).await.map_err(|why| read(&why))?;
        let mut messages = consumer.messages().await.map_err(|why| read(&why))?;
        loop {
            let message = tokio::time::timeout(READ_STALL, messages.next())
                .await
                .map_err(|_| ReadError("no message came in time".to_owned()))?
                .ok_or_else(|| ReadError("the consumer ended".to_owned()))?
                .map_err(|why| read(&why))?;
            let sequence = message.info().map_err(|why| read(&why))?.stream_sequence;
            let (message, _) = message.split();
            each(Entry { sequence, subject: message.subject.to_string(), body: message.payload });
            if sequence >= last.sequence {
                return Ok(());
            }
        }
    }

    async fn purge_below(&self, filter: &str, sequence: u64) -> Result<(), ReadError> {
        let purge = self.stream.purge().sequence(sequence);
        // Without a filter the server drops whole blocks; with one it visits every message.
        let purge = if filter == EVERYTHING { purge } else { purge.filter(filter) };
        purge.await.map(|_| ()).map_err(|why| ReadError(why.to_string()))
    }
}
