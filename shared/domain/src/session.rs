//! Sessions: conversations of several agents, in turns, in causal order.
//!
//! Each turn carries a vector clock over the participants: what its speaker had seen, and that it
//! speaks. A turn joins the transcript when everything that it had seen is there; until then it is
//! held back. The rules are in [`rules`]; what they decide is a list of [`change::Change`]s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::message::MessageId;
use crate::name::{AgentId, Name};
use crate::time::Timestamp;
use crate::trace::TraceContext;
use crate::vector_clock::VectorClock;

pub mod change;
pub mod conversation;
pub mod floor;
pub mod rules;
#[cfg(test)]
mod tests;

pub use conversation::Conversation;
pub use rules::SessionLimits;

/// The id of a session.
pub type SessionId = Name;

/// How long a session may be silent that does not say it.
pub const DEFAULT_SESSION_IDLE_MS: u64 = 30 * 60 * 1000;

/// What a session is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum SessionType {
    TaskCollaboration,
    Negotiation,
    Planning,
    ProblemSolving,
    ConsensusBuilding,
    KnowledgeSharing,
    Evaluation,
    Monitoring,
}

impl SessionType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::TaskCollaboration,
        Self::Negotiation,
        Self::Planning,
        Self::ProblemSolving,
        Self::ConsensusBuilding,
        Self::KnowledgeSharing,
        Self::Evaluation,
        Self::Monitoring,
    ];
}

/// What a turn is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum MessageClass {
    TaskManagement,
    Negotiation,
    Reasoning,
    Planning,
    Consensus,
    Knowledge,
    Coordination,
    Metadata,
}

impl MessageClass {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::TaskManagement,
        Self::Negotiation,
        Self::Reasoning,
        Self::Planning,
        Self::Consensus,
        Self::Knowledge,
        Self::Coordination,
        Self::Metadata,
    ];
}

/// Who may speak when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnOrder {
    /// Whoever has something to say.
    #[default]
    Free,
    /// One after the other, in the order in which they joined.
    RoundRobin,
}

/// Whether a session goes on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It goes on.
    Open,
    /// Somebody closed it, or everybody left.
    Closed,
    /// It was silent for too long.
    Expired,
}

/// How a session ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SessionOutcome {
    /// It did what it was for.
    Completed,
    /// They agree.
    Agreed,
    /// They do not agree.
    NoAgreement,
    /// It did not do what it was for.
    Failed,
    /// It is not wanted any more.
    Cancelled,
    /// Everybody left, or nobody spoke any more. Only the service says so.
    Abandoned,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: SessionOutcome,
    /// Who closed it; absent where the service did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A session, without its transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: SessionType,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Whether it goes on.
    pub status: SessionStatus,
    /// Who opened it.
    pub opened_by: AgentId,
    /// When.
    pub opened_at: Timestamp,
    /// When something last happened.
    pub last_activity_at: Timestamp,
    /// It ends by itself after so long a silence.
    pub idle_ms: u64,
    /// Whether anybody may join, or only who was there before.
    pub anyone_may_join: bool,
    /// Who may speak when.
    pub turn_order: TurnOrder,
    /// Who is in it, in the order in which they joined.
    pub participants: Vec<AgentId>,
    /// Who was in it and left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_participants: Vec<AgentId>,
    /// Whose turn it is; absent where the order is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_speaker: Option<AgentId>,
    /// How often each has spoken, as far as the transcript goes.
    pub clock: VectorClock,
    /// Turns in the transcript.
    pub turns: u64,
    /// Turns that wait for what they depend on.
    pub held_turns: u64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<SessionEnd>,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// Unique among the speaker's.
    pub id: MessageId,
    /// Who speaks.
    pub by: AgentId,
    /// What it is about.
    pub class: MessageClass,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is said: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// What the speaker had seen, this turn included.
    pub clock: VectorClock,
    /// When it came.
    pub said_at: Timestamp,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl Turn {
    /// The place of this turn among its speaker's.
    pub fn count(&self) -> u64 {
        self.clock.get(&self.by)
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        const FRAME_BYTES: usize = 256;
        const CLOCK_ENTRY_BYTES: usize = 48;
        FRAME_BYTES
            + self.subject.len()
            + self.body.as_ref().map_or(0, Json::len)
            + self.clock.len() * CLOCK_ENTRY_BYTES
    }
}

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptEntry {
    /// Its place, from 1.
    pub number: u64,
    /// When it got there.
    pub at: Timestamp,
    /// What happened.
    pub what: TranscriptEvent,
}

/// What a line of a transcript tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptEvent {
    /// Somebody spoke.
    Turn(Turn),
    /// Somebody joined.
    Joined {
        /// Who.
        by: AgentId,
    },
    /// Somebody left.
    Left {
        /// Who.
        by: AgentId,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A turn that others may depend on will not come.
    Missing(MissingTurn),
}

/// A turn that will not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingTurn {
    /// Whose.
    pub by: AgentId,
    /// Its place among its speaker's.
    pub count: u64,
    /// Its id, if it came and was held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<MessageId>,
    /// Why.
    pub reason: String,
}
