//! The events of mailboxes, sessions, breakers, routes and feedback.
//!
//! Everybody may read events: none carries what a message or a turn says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::session::{SessionOutcome, SessionStatus};
use troupe_domain::{AgentId, MessageId, MessageType, Name, SessionType, Timestamp};

use crate::routing::{BreakerState, DeadReason};

/// The entity token of mailboxes' events; the id is the agent's.
pub const MAILBOX: &str = "mailbox";
/// The entity token of sessions' events.
pub const SESSION: &str = "session";
/// The entity token of breakers' events; the id is the agent's.
pub const BREAKER: &str = "breaker";
/// The entity token of routes' events.
pub const ROUTE: &str = "route";
/// The entity token of feedback's events; the id is that of the agent that it is about.
pub const FEEDBACK: &str = "feedback";

event_kinds! { MailboxEventKind, "The events of a mailbox.";
    MessageDead = "message_dead": "A message was not delivered or not handled, and will not be.";
    MessageExpired = "message_expired": "A message ran out of time before it was acknowledged.";
    RequestExpired = "request_expired": "A request got no response in time.";
}

event_kinds! { SessionEventKind, "The events of a session.";
    SessionOpened = "session_opened": "A session was opened.";
    SessionJoined = "session_joined": "An agent joined the session.";
    SessionLeft = "session_left": "An agent left the session.";
    SessionClosed = "session_closed": "The session ended.";
}

event_kinds! { BreakerEventKind, "The events of an agent's breaker.";
    BreakerOpened = "breaker_opened": "Too much failed: the agent gets no messages for a while.";
    BreakerClosed = "breaker_closed": "The agent gets messages again.";
}

event_kinds! { RouteEventKind, "The events of a route.";
    RouteChanged = "route_changed": "A route was declared, changed or removed.";
}

event_kinds! { FeedbackEventKind, "The events of feedback.";
    FeedbackGiven = "feedback_given": "Somebody said how a decision of routing turned out.";
}

/// The data of a mailbox's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MailboxEvent {
    /// What happened.
    pub event: MailboxEventKind,
    /// Whose mailbox.
    pub agent_id: AgentId,
    /// When.
    pub at: Timestamp,
    /// Which message; absent where what came is no message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// What kind of message.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageType>,
    /// Who sent it.
    pub sender_id: AgentId,
    /// The request that it is, or that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<MessageId>,
    /// Why; absent where the event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadReason>,
    /// How often it was delivered.
    pub delivery_attempts: u32,
}

/// The data of a session's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionEvent {
    /// What happened.
    pub event: SessionEventKind,
    /// In which session.
    pub session_id: Name,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: SessionType,
    /// Whether it goes on.
    pub status: SessionStatus,
    /// When.
    pub at: Timestamp,
    /// Who did it; absent where it happened by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// Who takes part.
    pub participants: Vec<AgentId>,
    /// Turns in the transcript.
    pub turns: u64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<SessionOutcome>,
}

/// The data of a breaker's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerEvent {
    /// What happened.
    pub event: BreakerEventKind,
    /// Whose breaker.
    pub agent_id: AgentId,
    /// Its state afterwards.
    pub state: BreakerState,
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The data of a route's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteEvent {
    /// What happened.
    pub event: RouteEventKind,
    /// Which route.
    pub route_id: Name,
    /// Who did it.
    pub by: AgentId,
    /// When.
    pub at: Timestamp,
    /// Whether it is gone.
    pub removed: bool,
}

/// The data of a feedback's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackEvent {
    /// What happened.
    pub event: FeedbackEventKind,
    /// Who got the message.
    pub agent_id: AgentId,
    /// Whether it could act on it.
    pub success: bool,
    /// Who says so.
    pub by: AgentId,
    /// When.
    pub at: Timestamp,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The route that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<Name>,
    /// The route that should have been taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_route_id: Option<Name>,
}
