//! The narrow port under all logic: append with compare-and-set, read, events, time, chance.
//!
//! Everything a state machine does to the world goes through these traits. The real ones are in
//! [`crate::log`], [`crate::events`] and [`System`]; a simulation brings its own.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use troupe_contract::subject;
use troupe_domain::{Name, Timestamp, TraceContext};

/// One stored message.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the stream.
    pub sequence: u64,
    /// Where it was stored.
    pub subject: String,
    /// Its body.
    pub body: Bytes,
}

/// Why an append did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The subject's last sequence is not the expected one: somebody else wrote.
    #[error("somebody else wrote to the subject first")]
    Conflict,
    /// Nobody answered in time. The message may or may not be stored: read to find out.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The message is not stored.
    #[error("refused: {0}")]
    Refused(String),
}

/// Why a read did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the stream: {0}")]
pub struct ReadError(pub String);

/// The filter that every subject matches.
pub const EVERYTHING: &str = ">";

/// One stream as a log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Stores `body` on `subject` if the last sequence on that very subject is `expected` (0: the
    /// subject is empty). Gives the new sequence.
    async fn append(&self, subject: &str, body: Bytes, expected: u64) -> Result<u64, AppendError>;

    /// Stores `body` on `subject`, whatever is there.
    async fn put(&self, subject: &str, body: Bytes) -> Result<u64, AppendError>;

    /// The last message on `subject`, from the stream's leader. May be stale where the leader is
    /// deposed and does not know it: confirm with an append.
    async fn last(&self, subject: &str) -> Result<Option<Entry>, ReadError>;

    /// Every message whose subject matches `filter`, from `from` on, in order, as far as the stream
    /// goes now; handed to `each` one by one.
    async fn read(
        &self,
        filter: &str,
        from: u64,
        each: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<(), ReadError>;

    /// Removes the messages that match `filter` below `sequence`; cheap with [`EVERYTHING`].
    async fn purge_below(&self, filter: &str, sequence: u64) -> Result<(), ReadError>;
}

/// An event on its way out.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    /// `troupe.v1.event.<entity>.<event>`
    pub subject: String,
    /// Unique per event, the same when it is sent again.
    pub id: String,
    /// `troupe.<entity>.<event>.v1`
    pub kind: String,
    /// The entity's id.
    pub entity_id: String,
    /// When it happened.
    pub at: Timestamp,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// The data, JSON.
    pub body: Bytes,
    /// The data is kept on this subject besides, by itself.
    pub kept_on: Option<String>,
    /// The event is told at once on this subject besides, by itself and without any promise.
    pub told_on: Option<String>,
}

impl OutgoingEvent {
    /// The event `token` of the entity `about`, as `id`, in no trace yet. `data` is a tree of plain
    /// fields: the event as the contract declares it.
    pub fn new(
        entity: &str,
        about: &Name,
        token: &str,
        id: String,
        at: Timestamp,
        data: &impl Serialize,
    ) -> Self {
        Self {
            subject: subject::event(entity, token),
            id,
            kind: ["troupe.", entity, ".", token, ".v1"].concat(),
            entity_id: about.to_string(),
            at,
            trace: None,
            // A tree of plain fields always serialises.
            body: serde_json::to_vec(data).unwrap_or_default().into(),
            kept_on: None,
            told_on: None,
        }
    }
}

/// Where events go.
#[async_trait]
pub trait EventSink: Send + Sync + 'static {
    /// Stores all of `events`, in order; returns when every one is acknowledged. On an error some
    /// may be stored: send all of them again, their ids make that safe.
    async fn publish(&self, events: &[OutgoingEvent]) -> Result<(), AppendError>;
}

/// Time and chance, as arguments: a simulation brings its own.
pub trait World: Send + Sync + 'static {
    /// The moment.
    fn now(&self) -> Timestamp;
    /// 128 bits of chance.
    fn random(&self) -> u128;
    /// A number within 0 and 1.
    fn fraction(&self) -> f64 {
        (self.random() >> 75) as f64 / (1_u64 << 53) as f64
    }
    /// A new ULID.
    fn ulid(&self) -> ulid::Ulid {
        ulid::Ulid::from_parts(u64::try_from(self.now().as_millis()).unwrap_or(0), self.random())
    }
}

/// The real clock and the operating system's chance.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl World for System {
    fn now(&self) -> Timestamp {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> u128 {
        ulid::Ulid::generate().random()
    }
}
