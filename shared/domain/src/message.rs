//! Messages between agents: what is said, to whom, how urgently, and for how long it counts.
//!
//! A message never changes once it is accepted. Where it stands with one recipient is in the
//! recipient's mailbox, because one message may be in many.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::name::{AgentId, Name};
use crate::session::MessageClass;
use crate::time::Timestamp;
use crate::trace::TraceContext;
use crate::vector_clock::VectorClock;

pub mod intent;
pub mod spec;
pub mod topic;

pub use intent::{Fallback, Intent, IntentFilters};
pub use spec::{Address, Birth, MessageSpec};
pub use topic::{Topic, TopicPattern};

/// The id of a message: unique among its sender's.
pub type MessageId = Name;

/// How long a message counts that does not say it.
pub const DEFAULT_EXPIRY_MS: u64 = 60 * 60 * 1000;
/// How long a request waits for its response that does not say it.
pub const DEFAULT_REQUEST_TIMEOUT_MS: u64 = 30 * 1000;

/// How urgent a message is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MessagePriority {
    /// When there is nothing else.
    #[serde(alias = "LOW")]
    Low,
    /// The default.
    #[default]
    #[serde(alias = "NORMAL", alias = "medium")]
    Normal,
    /// Before what is normal.
    #[serde(alias = "HIGH")]
    High,
    /// Before everything.
    #[serde(alias = "CRITICAL")]
    Critical,
}

/// How much waiting one step of priority is worth.
pub const MESSAGE_BOOST_PER_STEP_MS: u64 = 60 * 1000;

impl MessagePriority {
    /// Every priority, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Where a message that waits since `since` stands; the smallest is served first. A step of
    /// priority is a head start of [`MESSAGE_BOOST_PER_STEP_MS`], so that nothing starves.
    pub const fn queue_key(self, since: Timestamp) -> i64 {
        since.as_millis().saturating_sub(self as i64 * MESSAGE_BOOST_PER_STEP_MS as i64)
    }
}

/// What kind of message it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// To one agent.
    Direct,
    /// To the whole fleet.
    Broadcast,
    /// To whoever follows a topic.
    Topic,
    /// Asks for a response before its deadline.
    Request,
    /// Answers a request, whose `request_id` it names.
    Response,
    /// Tells how far something is.
    Progress,
    /// From a service.
    System,
    /// Something did not work; from a service or an agent.
    Error,
}

impl MessageType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Direct,
        Self::Broadcast,
        Self::Topic,
        Self::Request,
        Self::Response,
        Self::Progress,
        Self::System,
        Self::Error,
    ];
}

/// Where a message stands with one recipient.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits in the mailbox.
    Queued,
    /// It is accepted and on its way to the mailboxes.
    Sent,
    /// Handed out, and not yet acknowledged.
    Delivered,
    /// The recipient said that it has seen it, and has not yet acknowledged it.
    Read,
    /// Acknowledged: it is done.
    Acknowledged,
    /// It will not be handed out again: the dead-letter view says why.
    Failed,
    /// Its time ran out.
    Expired,
}

/// The way that a message came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Routing {
    /// Who sent it first.
    pub origin: AgentId,
    /// Whose mailbox it is for; absent where there are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<AgentId>,
    /// The agents that had it and handed it on, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<AgentId>,
    /// How often it was handed on.
    pub hops: u32,
    /// How often it may be.
    pub max_hops: u32,
    /// What an intent was understood as: under this it is counted how well agents do it. Absent
    /// where the recipient was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_key: Option<Name>,
    /// Who gets it next, in this order, where the recipient that was chosen fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AgentId>,
}

/// Which turn of a session a message carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionTurn {
    /// The session.
    pub session_id: Name,
    /// Its place in the transcript; absent where the message tells of the session itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// What kind of turn it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<MessageClass>,
}

/// A message, as it was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentMessage {
    /// Unique among the sender's.
    pub id: MessageId,
    /// What kind of message it is.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// How urgent.
    pub priority: MessagePriority,
    /// Who says it: the name in its credentials.
    pub sender_id: AgentId,
    /// To whom, where it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<AgentId>,
    /// On which topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// The request that it is, or that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<MessageId>,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is said: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// The sender's own facts: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
    /// Until when its response must have come; only of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<Timestamp>,
    /// Whether the recipient must acknowledge it; otherwise it is done when it is handed out.
    pub requires_ack: bool,
    /// What the sender had seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_clock: Option<VectorClock>,
    /// The way that it came.
    pub routing: Routing,
    /// The session that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// What a message takes beside its texts, about.
const FRAME_BYTES: usize = 512;

impl AgentMessage {
    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, Json::len);
        FRAME_BYTES + self.subject.len() + json(&self.body) + json(&self.metadata)
    }

    /// Whether a failure to deliver it is told to its sender. Of a word from a service nobody is
    /// told, so that no failure breeds another.
    pub fn failure_is_told(&self) -> bool {
        !matches!(self.kind, MessageType::Error | MessageType::System)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_priority_is_a_head_start_and_nothing_starves() {
        let at = Timestamp::from_millis;
        let (low, critical) = (MessagePriority::Low, MessagePriority::Critical);
        assert!(critical.queue_key(at(1)) < low.queue_key(at(0)));
        let later = 3 * MESSAGE_BOOST_PER_STEP_MS as i64 + 1;
        assert!(low.queue_key(at(0)) < critical.queue_key(at(later)));
    }
}
