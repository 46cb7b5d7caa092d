//! An agent's mailbox: a long poll that goes on, and what it brought.
//!
//! Invariant: one poll is under way at a time, under one command id until it is answered, so that what
//! was handed out to an answer that got lost comes again with the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use troupe_bus::CallOptions;
use troupe_bus::port::{System, World};
use troupe_contract::routing::{Inbox, InboxReply, InboxRequest};
use troupe_domain::limits::{MAX_INBOX_MESSAGES, MAX_LEASE_MS, MAX_WAIT_MS, MIN_LEASE_MS};
use troupe_domain::{Fault, MessageId};

use crate::patience::Waits;
use crate::renewal::Renewals;
use crate::{HeldMessage, Troupe};

/// How much longer than the poll itself its answer is awaited.
const POLL_MARGIN_MS: u64 = 2_000;
/// How long one poll waits where nobody says.
const POLL_WAIT_MS: u64 = 30_000;
/// Messages that one poll gets where nobody says.
const POLL_MESSAGES: usize = 16;
/// How long a message is out before it must be renewed, where nobody says.
const ACK_WAIT_MS: u64 = 30_000;

/// How a mailbox is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Messages that one poll gets, at most; a sender's next ones wait until they are handled.
    pub max_messages: usize,
    /// How long a message is out before it is delivered again; renewed while it is held.
    pub ack_wait: Duration,
    /// Whether what is said to requests is left to whoever waits for it, in another process.
    pub without_answers: bool,
}

impl Default for MailboxSettings {
    fn default() -> Self {
        Self {
            max_messages: POLL_MESSAGES,
            ack_wait: Duration::from_millis(ACK_WAIT_MS),
            without_answers: false,
        }
    }
}

impl MailboxSettings {
    pub(crate) fn ack_wait_ms(self) -> u64 {
        millis(self.ack_wait).clamp(MIN_LEASE_MS, MAX_LEASE_MS)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The mailbox of a connection's name, as a source of messages. Messages that were fetched and not
/// taken are delivered again after it is dropped.
#[derive(Debug)]
pub struct Mailbox {
    troupe: Troupe,
    settings: MailboxSettings,
    renewals: Arc<Renewals>,
    fetched: VecDeque<HeldMessage>,
    poll: Poll,
}

/// A long poll of a mailbox: whose answer it is may be asked for again.
#[derive(Debug)]
pub(crate) struct Poll {
    command_id: String,
    request_id: Option<MessageId>,
}

impl Poll {
    /// Of the whole mailbox, or of what is said to one request.
    pub(crate) fn of(request_id: Option<MessageId>) -> Self {
        Self { command_id: System.ulid().to_string(), request_id }
    }

    /// Polls once, for at most `wait`. Can be dropped and called again.
    pub(crate) async fn once(
        &mut self,
        troupe: &Troupe,
        settings: MailboxSettings,
        wait: Duration,
    ) -> Result<InboxReply, Fault> {
        let wait_ms = millis(wait).min(MAX_WAIT_MS);
        let request = InboxRequest {
            wait_ms,
            max_messages: Some(settings.max_messages.clamp(1, MAX_INBOX_MESSAGES)),
            request_id: self.request_id.clone(),
            without_answers: settings.without_answers && self.request_id.is_none(),
            ack_wait_ms: Some(settings.ack_wait_ms()),
        };
        let options = CallOptions {
            timeout: Duration::from_millis(wait_ms + POLL_MARGIN_MS),
            command_id: Some(self.command_id.clone()),
            ..CallOptions::default()
        };
        let reply = troupe.call_with::<Inbox>(&request, &options).await?;
        self.command_id = System.ulid().to_string();
        Ok(reply)
    }
}

impl Mailbox {
    pub(crate) fn open(troupe: Troupe, settings: MailboxSettings) -> Self {
        let ack_wait = Duration::from_millis(settings.ack_wait_ms());
        let renewals = Renewals::start(troupe.clone(), ack_wait);
        Self { troupe, settings, renewals, fetched: VecDeque::new(), poll: Poll::of(None) }
    }

    /// The next message, however long it takes; services that are away are waited for as well.
    ///
    /// Responses that a [`Troupe::request`] of the same connection waits for go there. Dropping the
    /// future loses nothing: the next call goes on where it was.
    pub async fn next(&mut self) -> Result<HeldMessage, Fault> {
        let wait = Duration::from_millis(POLL_WAIT_MS);
        loop {
            if let Some(held) = self.poll(wait).await? {
                return Ok(held);
            }
        }
    }

    /// The next message, if there is one within `wait`.
    pub async fn poll(&mut self, wait: Duration) -> Result<Option<HeldMessage>, Fault> {
        let end = Instant::now() + wait;
        let mut waits = Waits::new();
        loop {
            if let Some(held) = self.fetched.pop_front() {
                return Ok(Some(held));
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.poll.once(&self.troupe, self.settings, left).await {
                Ok(reply) => self.sort(reply),
                Err(fault) if fault.code.is_transient() => {
                    tracing::warn!(%fault, "polling for messages again");
                    sleep(waits.next()).await;
                    continue;
                }
                Err(fault) => return Err(fault),
            }
            if self.fetched.is_empty() && Instant::now() >= end {
                return Ok(None);
            }
        }
    }

    fn sort(&mut self, reply: InboxReply) {
        for delivered in reply.messages {
            let held = HeldMessage::take(self.troupe.clone(), delivered, self.renewals.clone());
            self.fetched.extend(self.troupe.desk.give(held));
        }
    }
}
