//! What the service can be told.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;
use troupe_domain::limits::{MAX_LEASE_MS, MIN_LEASE_MS};
use troupe_domain::retry::Backoff;
use troupe_domain::session::SessionLimits;
use troupe_runtime::Common;

use crate::intents;
use crate::rules::state::Settings;

/// Deliveries of one message that can be asked for.
const MAX_DELIVERIES: u32 = 100;

/// The configuration. Limits are named as the faults name them; those of mailboxes and sessions taken
/// together hold for each shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told.
    pub common: Common,
    /// Shards over which mailboxes and sessions are spread. Fixed for the life of the streams.
    pub shards: u16,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// A shard takes a snapshot when its log has grown by so much.
    pub snapshot_after_log_bytes: u64,
    /// How long a recipient has for a message before it is delivered again.
    pub ack_wait_ms: u64,
    /// Deliveries of one message.
    pub max_deliver: u32,
    /// The wait before another delivery.
    pub backoff: Backoff,
    /// Mailboxes of one shard.
    pub max_mailboxes: usize,
    /// Messages in one mailbox.
    pub max_messages_per_mailbox: usize,
    /// Bytes of messages in one mailbox.
    pub max_bytes_per_mailbox: usize,
    /// Bytes of messages in all mailboxes of one shard.
    pub max_mailbox_bytes: usize,
    /// Patterns that one agent may follow.
    pub max_patterns_per_mailbox: usize,
    /// Requests of one agent that wait for their responses.
    pub max_requests_per_mailbox: usize,
    /// An empty mailbox that nobody used for so long is let go of, with what its owner follows.
    pub mailbox_idle_ms: u64,
    /// Sessions of one shard that go on.
    pub max_open_sessions: usize,
    /// Bytes of the transcripts of those.
    pub max_session_bytes: usize,
    /// How large one session may become.
    pub session: SessionLimits,
    /// Routing by intent.
    pub intents: intents::Config,
}

impl Default for Config {
    fn default() -> Self {
        let shards = 4;
        let settings = Settings::new(0, shards);
        Self {
            common: Common::default(),
            shards,
            stream_replicas: 1,
            snapshot_after_log_bytes: 32 * 1024 * 1024,
            ack_wait_ms: settings.ack_wait_ms,
            max_deliver: settings.max_deliver,
            backoff: settings.backoff,
            max_mailboxes: settings.max_mailboxes,
            max_messages_per_mailbox: settings.max_messages_per_mailbox,
            max_bytes_per_mailbox: settings.max_bytes_per_mailbox,
            max_mailbox_bytes: settings.max_mailbox_bytes,
            max_patterns_per_mailbox: settings.max_patterns_per_mailbox,
            max_requests_per_mailbox: settings.max_requests_per_mailbox,
            mailbox_idle_ms: settings.mailbox_idle_ms,
            max_open_sessions: settings.max_open_sessions,
            max_session_bytes: settings.max_session_bytes,
            session: settings.session,
            intents: intents::Config::default(),
        }
    }
}

impl AsRef<Common> for Config {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        if !(1..=256).contains(&self.shards) {
            return Err(Fault::invalid("shards", "must be within 1 and 256"));
        }
        if !matches!(self.stream_replicas, 1 | 3 | 5) {
            return Err(Fault::invalid("stream_replicas", "must be 1, 3 or 5"));
        }
        if !(MIN_LEASE_MS..=MAX_LEASE_MS).contains(&self.ack_wait_ms) {
            let why = format!("must be within {MIN_LEASE_MS} and {MAX_LEASE_MS}");
            return Err(Fault::invalid("ack_wait_ms", why));
        }
        if !(1..=MAX_DELIVERIES).contains(&self.max_deliver) {
            let why = format!("must be within 1 and {MAX_DELIVERIES}");
            return Err(Fault::invalid("max_deliver", why));
        }
        self.backoff.check()?;
        self.check_bounds()?;
        self.intents.check()
    }

    /// Each bound lets something through.
    fn check_bounds(&self) -> Result<(), Fault> {
        let session = &self.session;
        for (name, value) in [
            ("snapshot_after_log_bytes", self.snapshot_after_log_bytes),
            ("max_mailboxes", self.max_mailboxes as u64),
            ("max_messages_per_mailbox", self.max_messages_per_mailbox as u64),
            ("max_bytes_per_mailbox", self.max_bytes_per_mailbox as u64),
            ("max_mailbox_bytes", self.max_mailbox_bytes as u64),
            ("max_requests_per_mailbox", self.max_requests_per_mailbox as u64),
            ("mailbox_idle_ms", self.mailbox_idle_ms),
            ("session.max_participants", session.max_participants as u64),
            ("session.max_turns", session.max_turns as u64),
            ("session.max_transcript_bytes", session.max_transcript_bytes as u64),
            ("session.max_held_ms", session.max_held_ms),
        ] {
            if value == 0 {
                return Err(Fault::invalid(name, "must be more than 0"));
            }
        }
        Ok(())
    }

    /// The settings of one shard.
    pub fn settings(&self, shard: u16) -> Settings {
        Settings {
            shard,
            shards: self.shards,
            ack_wait_ms: self.ack_wait_ms,
            max_deliver: self.max_deliver,
            backoff: self.backoff,
            max_mailboxes: self.max_mailboxes,
            max_messages_per_mailbox: self.max_messages_per_mailbox,
            max_bytes_per_mailbox: self.max_bytes_per_mailbox,
            max_mailbox_bytes: self.max_mailbox_bytes,
            max_patterns_per_mailbox: self.max_patterns_per_mailbox,
            max_requests_per_mailbox: self.max_requests_per_mailbox,
            mailbox_idle_ms: self.mailbox_idle_ms,
            max_open_sessions: self.max_open_sessions,
            max_session_bytes: self.max_session_bytes,
            session: self.session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_a_wrong_value_is_named() {
        assert_eq!(Config::default().check(), Ok(()));
        let wrong = [
            ("shards", Config { shards: 0, ..Config::default() }),
            ("stream_replicas", Config { stream_replicas: 2, ..Config::default() }),
            ("ack_wait_ms", Config { ack_wait_ms: 1, ..Config::default() }),
            ("max_deliver", Config { max_deliver: 0, ..Config::default() }),
            ("max_mailboxes", Config { max_mailboxes: 0, ..Config::default() }),
            (
                "session.max_turns",
                Config {
                    session: SessionLimits { max_turns: 0, ..SessionLimits::default() },
                    ..Config::default()
                },
            ),
        ];
        for (name, config) in wrong {
            assert_eq!(config.check().unwrap_err().details["field"], name);
        }
    }
}
