//! What a recipient does: take messages out of its mailbox.

use std::sync::Arc;

use troupe_contract::routing::{DeliveredMessage, InboxReply};
use troupe_domain::limits::{MAX_INBOX_MESSAGES, MAX_LEASE_MS, MIN_LEASE_MS};
use troupe_domain::message::DeliveryStatus;
use troupe_domain::{AgentId, AgentMessage, Fault, Timestamp};

use super::mailbox::{Entry, EntryState, Wanted};
use super::record::Record;
use super::state::RoutingState;

/// Bytes of messages that one pull gets, about; it always gets one if there is one.
pub const MAX_PULL_BYTES: usize = 2 * 1024 * 1024;

/// What a recipient asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// At most so many messages.
    pub max: usize,
    /// How long it has for each.
    pub ack_wait_ms: Option<u64>,
    /// The idempotency id of the command: repeated, it gets what it got.
    pub id: Option<String>,
    /// What it may get.
    pub wanted: Wanted,
}

impl RoutingState {
    /// Takes messages out of a mailbox.
    pub fn pull(
        &mut self,
        agent: &AgentId,
        pull: &Pull,
        now: Timestamp,
    ) -> Result<InboxReply, Fault> {
        let wait_ms = pull.ack_wait_ms.unwrap_or(self.settings.ack_wait_ms);
        if !(MIN_LEASE_MS..=MAX_LEASE_MS).contains(&wait_ms) {
            let why = format!("must be within {MIN_LEASE_MS} and {MAX_LEASE_MS}");
            return Err(Fault::invalid("ack_wait_ms", why));
        }
        if !(1..=MAX_INBOX_MESSAGES).contains(&pull.max) {
            let why = format!("must be within 1 and {MAX_INBOX_MESSAGES}");
            return Err(Fault::invalid("max_messages", why));
        }
        self.open(agent, now)?;
        let Some(mailbox) = self.mailboxes.get_mut(agent) else { return Ok(nothing()) };
        mailbox.looked = now;
        mailbox.wake(now);
        let again = pull.id.as_deref().map_or_else(Vec::new, |id| mailbox.got_by(id));
        if !again.is_empty() {
            return Ok(self.reply(agent, &again));
        }
        let seqs = mailbox.select(&pull.wanted, pull.max, MAX_PULL_BYTES, now);
        if seqs.is_empty() {
            return Ok(self.reply(agent, &[]));
        }
        // What needs no acknowledgement is gone once it is handed out.
        let handed: Vec<(u64, Arc<AgentMessage>, u32)> = seqs
            .iter()
            .filter_map(|seq| mailbox.entry(*seq).map(|entry| (*seq, entry)))
            .map(|(seq, entry)| (seq, entry.message.clone(), entry.attempts + 1))
            .collect();
        let until = now.plus_millis(wait_ms);
        self.draft(Record::Pulled {
            at: now,
            agent: agent.clone(),
            seqs,
            wait_ms,
            pull: pull.id.clone(),
        });
        let messages = handed.into_iter().map(|(_, message, attempts)| {
            let needs = message.requires_ack;
            DeliveredMessage {
                status: if needs {
                    DeliveryStatus::Delivered
                } else {
                    DeliveryStatus::Acknowledged
                },
                delivery_attempts: attempts,
                ack_by: needs.then_some(until),
                trace: None,
                message,
            }
        });
        let messages = messages.collect();
        Ok(InboxReply { messages, remaining: self.waiting_for(agent) })
    }

    fn reply(&self, agent: &AgentId, seqs: &[u64]) -> InboxReply {
        let mailbox = self.mailboxes.get(agent);
        let entries = seqs.iter().filter_map(|seq| mailbox.and_then(|mailbox| mailbox.entry(*seq)));
        let messages = entries.map(|entry| DeliveredMessage {
            message: entry.message.clone(),
            status: status_of(entry),
            delivery_attempts: entry.attempts,
            ack_by: entry.is_out().then(|| entry.due()),
            trace: None,
        });
        InboxReply { messages: messages.collect(), remaining: self.waiting_for(agent) }
    }

    /// Messages in an agent's mailbox.
    pub fn waiting_for(&self, agent: &AgentId) -> u64 {
        self.mailboxes.get(agent).map_or(0, |mailbox| mailbox.len() as u64)
    }

    /// Whether a pull could get something, or would open the mailbox.
    pub fn may_have_mail(&self, agent: &AgentId) -> bool {
        self.mailboxes.get(agent).is_none_or(|mailbox| !mailbox.opened || mailbox.is_ready())
    }

    /// The owner of a mailbox is here: from now on it gets what is for everybody.
    pub(super) fn open(&mut self, agent: &AgentId, now: Timestamp) -> Result<(), Fault> {
        match self.mailboxes.get(agent) {
            Some(mailbox) if mailbox.opened => return Ok(()),
            None if self.mailboxes.len() >= self.settings.max_mailboxes => {
                return Err(Fault::exhausted("max_mailboxes", self.settings.max_mailboxes));
            }
            _ => {}
        }
        self.draft(Record::Opened { at: now, agent: agent.clone() });
        Ok(())
    }
}

fn nothing() -> InboxReply {
    InboxReply { messages: Vec::new(), remaining: 0 }
}

/// Where a message in a mailbox stands.
pub(super) fn status_of(entry: &Entry) -> DeliveryStatus {
    match &entry.state {
        EntryState::Queued { .. } => DeliveryStatus::Queued,
        EntryState::Out { read_at: Some(_), .. } => DeliveryStatus::Read,
        EntryState::Out { .. } => DeliveryStatus::Delivered,
    }
}
