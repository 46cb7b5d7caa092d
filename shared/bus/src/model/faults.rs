//! How unkind the world is.

/// The odds of everything that can go wrong, each so many times in a thousand operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// The request never reaches the server: unknown after the timeout, not stored.
    pub lost_request: u32,
    /// The message is stored and its acknowledgement is lost: unknown after the timeout.
    pub lost_ack: u32,
    /// The message reaches the server up to `max_late_ms` later, perhaps after the caller gave up.
    pub late: u32,
    /// The message reaches the server twice.
    pub duplicate: u32,
    /// The server refuses, and does not store.
    pub refused: u32,
    /// A read is answered as of an earlier sequence, up to `max_stale_entries` back.
    pub stale_read: u32,
    /// A read fails.
    pub read_error: u32,
    /// A read of several messages ends in the middle with an error.
    pub broken_read: u32,
    /// Ordinary time from the client to the server and back, each.
    pub max_delay_ms: u64,
    /// Time on its way of a late message.
    pub max_late_ms: u64,
    /// How far back a stale read may look.
    pub max_stale_entries: u64,
}

impl Faults {
    /// Nothing goes wrong; a message takes 1 ms.
    pub const NONE: Self = Self {
        lost_request: 0,
        lost_ack: 0,
        late: 0,
        duplicate: 0,
        refused: 0,
        stale_read: 0,
        read_error: 0,
        broken_read: 0,
        max_delay_ms: 1,
        max_late_ms: 0,
        max_stale_entries: 0,
    };
}

/// A model that breaks a promise on purpose, to prove that checkers notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The expected sequence is ignored: whoever writes, wins.
    CasIgnored,
    /// Every so many acknowledged messages, one is not stored.
    LosesAcknowledged(u64),
}
