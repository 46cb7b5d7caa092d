//! What travels for messages and mailboxes.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::message::DeliveryStatus;
use troupe_domain::{
    AgentId, AgentMessage, MessageId, MessagePriority, Timestamp, TopicPattern, TraceContext,
};

/// The answer to a message that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The message's id.
    pub message_id: MessageId,
    /// `queued`: it is in the recipient's mailbox. `sent`: it is stored and on its way to mailboxes.
    pub status: DeliveryStatus,
    /// The recipient, where there is one; of an intent, whoever was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<AgentId>,
    /// Whether an earlier message had the same id: then this is the answer about that one.
    pub duplicate: bool,
    /// Until when the response must have come; only of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<Timestamp>,
    /// How the recipient of an intent was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Box<super::Resolution>>,
}

/// A long poll of the caller's mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboxRequest {
    /// How long to wait for a message; 0 is not at all.
    #[serde(default)]
    pub wait_ms: u64,
    /// At most so many; 16 where none is named.
    #[serde(default, alias = "limit", skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<usize>,
    /// Only what is said to this request of the caller: responses, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<MessageId>,
    /// Leaves what is said to requests where it is, for whoever waits for it with `request_id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_answers: bool,
    /// How long the caller has for each before it is delivered again; the service's setting where
    /// none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_wait_ms: Option<u64>,
}

/// Messages, now held by the caller. Each sender's come in the order in which they were accepted,
/// and none comes while an earlier one of the same sender is out; answers to the caller's requests
/// pass by what else their senders said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InboxReply {
    /// The messages, the most urgent first.
    pub messages: Vec<DeliveredMessage>,
    /// How many are left in the mailbox, those that are out included.
    pub remaining: u64,
}

/// A message in the hands of its recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveredMessage {
    /// The message.
    pub message: Arc<AgentMessage>,
    /// `delivered`, or `acknowledged` where none is required.
    pub status: DeliveryStatus,
    /// Which delivery of it this is, from 1: the acknowledgement names it.
    #[serde(alias = "attempt")]
    pub delivery_attempts: u32,
    /// It is delivered again unless it is acknowledged by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_by: Option<Timestamp>,
    /// The trace to go on while it is handled: this delivery in the trace of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// What became of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AckRequest {
    /// Which, at most [`troupe_domain::limits::MAX_INBOX_MESSAGES`].
    pub messages: Vec<DeliveryRef>,
    /// What became of them.
    #[serde(default)]
    pub outcome: AckOutcome,
    /// Why, in words; a refusal must say it.
    #[serde(default)]
    pub reason: String,
    /// To whom, where they are handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_to: Option<AgentId>,
}

/// One delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRef {
    /// The message.
    #[serde(alias = "id")]
    pub message_id: MessageId,
    /// Whose; needed only where two senders used one id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<AgentId>,
    /// Which delivery: a former one is stale, and nothing is written.
    #[serde(alias = "delivery_attempts")]
    pub attempt: u32,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AckOutcome {
    /// It is done.
    #[default]
    Acknowledged,
    /// It was seen and is being worked on: the wait begins anew.
    Read,
    /// It could not be handled now: again, after a while, as often as the service allows.
    #[serde(alias = "nack")]
    Retry,
    /// It will not be handled: to the dead letters, and the sender is told.
    Rejected,
    /// Somebody else should have it.
    Forwarded,
}

/// What became of each, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckReply {
    /// In the order asked.
    pub results: Vec<AckResult>,
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckResult {
    /// The message.
    pub message_id: MessageId,
    /// Whether anything was written.
    pub result: AckEffect,
    /// Where it stands now, if it is still known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether an acknowledgement had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AckEffect {
    /// It is written.
    Done,
    /// The message was taken back since, or is out at another attempt: nothing was written.
    Stale,
    /// No such message is in the mailbox, maybe because it is done.
    Unknown,
    /// It cannot be done: the reason says why. Nothing was written.
    Refused,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersRequest {
    /// Only these reasons; every one where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<DeadReason>,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only those after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Dead letters, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterPage {
    /// The oldest first.
    pub dead_letters: Vec<Arc<DeadLetter>>,
    /// Ask again after this number; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// How many there are.
    pub total: u64,
}

/// A message that was not delivered, or not handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Its number among those of its shard.
    pub number: u64,
    /// In whose view it is: the recipient's; where there is none, the sender's.
    pub agent_id: AgentId,
    /// Since when.
    pub at: Timestamp,
    /// Why, for a program.
    pub reason: DeadReason,
    /// Why, in words.
    pub why: String,
    /// How often it was delivered.
    pub delivery_attempts: u32,
    /// The message, if it could be understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<AgentMessage>>,
    /// What came, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawMessage>,
}

/// Something that came and is no message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawMessage {
    /// Who published it.
    pub sender_id: AgentId,
    /// Bytes of it.
    pub size_bytes: usize,
    /// Its beginning, as far as it is text.
    pub preview: String,
}

/// Why a message is dead.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// It was delivered as often as the service allows, and never acknowledged.
    MaxDeliver,
    /// The recipient refused it.
    Rejected,
    /// Its time ran out before it was acknowledged.
    Expired,
    /// A response that came after its request had run out, or was answered.
    Late,
    /// The mailbox was full, or there were too many.
    MailboxFull,
    /// It is not a message: not JSON, too large, a wrong field, or in another's name.
    Invalid,
    /// Nobody can act on the intent.
    Unroutable,
    /// A turn of a session waited too long for what it depends on.
    HeldTooLong,
    /// A turn was held back when its session ended, or came to what is no session of its sender.
    SessionEnded,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::MaxDeliver,
        Self::Rejected,
        Self::Expired,
        Self::Late,
        Self::MailboxFull,
        Self::Invalid,
        Self::Unroutable,
        Self::HeldTooLong,
        Self::SessionEnded,
    ];
}

/// Patterns of topics: `*` stands for one name, `>` at the end for one or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicPatterns {
    /// The patterns.
    #[serde(alias = "topics")]
    pub patterns: Vec<TopicPattern>,
}

/// What an agent follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicPatternsReply {
    /// Every pattern, in order.
    pub patterns: Vec<TopicPattern>,
}

/// For whom messages may wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PendingRequest {
    /// At most [`troupe_domain::limits::MAX_PAGE_ROWS`].
    pub agent_ids: Vec<AgentId>,
}

/// How many messages wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingReply {
    /// In the order asked.
    pub pending: Vec<u64>,
}

/// Messages, mailboxes, sessions and decisions in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingStatistics {
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages in mailboxes that wait.
    pub queued: u64,
    /// Messages in mailboxes that are out.
    pub delivered: u64,
    /// Messages that wait, by priority; every priority is there.
    pub by_priority: BTreeMap<MessagePriority, u64>,
    /// What happened to messages so far.
    pub totals: MessageTotals,
    /// Requests that wait for their response.
    pub open_requests: u64,
    /// Patterns that are followed.
    pub subscriptions: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Sessions that go on.
    pub open_sessions: u64,
    /// Sessions that ended and can still be read.
    pub ended_sessions: u64,
    /// Turns that wait for what they depend on.
    pub held_turns: u64,
    /// What routing decided.
    pub routing: super::DecisionTotals,
}

/// What happened to messages so far. A message that went into several mailboxes counts in each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageTotals {
    /// Went into a mailbox.
    pub accepted: u64,
    /// Done.
    pub acknowledged: u64,
    /// Handed on to somebody else.
    pub forwarded: u64,
    /// Out of attempts, or refused.
    pub dead: u64,
    /// Ran out of time.
    pub expired: u64,
    /// Never went into a mailbox: no message, no room, nobody to take it.
    pub refused: u64,
    /// Delivered again, after a wait or because the recipient asked for it.
    pub redelivered: u64,
}
