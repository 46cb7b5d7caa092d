//! What travels for sessions.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::session::{
    SessionId, SessionOutcome, SessionStatus, TranscriptEntry, TurnOrder,
};
use troupe_domain::{AgentId, Json, MessageClass, MessageId, Session, SessionType, VectorClock};

/// A session to be opened by the caller, who takes part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionSpec {
    /// The id, chosen by the caller; a new one where there is none. Opening twice under one id opens
    /// once.
    #[serde(default, alias = "session_id", skip_serializing_if = "Option::is_none")]
    pub id: Option<SessionId>,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: SessionType,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Who else takes part from the beginning, in the order of speaking.
    #[serde(default)]
    pub participants: Vec<AgentId>,
    /// Whether anybody may join and read.
    #[serde(default)]
    pub anyone_may_join: bool,
    /// Who may speak when.
    #[serde(default)]
    pub turn_order: TurnOrder,
    /// It ends by itself after so long a silence; 30 minutes where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionReply {
    /// The session.
    pub session: Session,
}

/// One session by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRef {
    /// The session.
    #[serde(alias = "id")]
    pub session_id: SessionId,
}

/// Leaving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionLeaveRequest {
    /// The session.
    #[serde(alias = "id")]
    pub session_id: SessionId,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// Ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionCloseRequest {
    /// The session.
    #[serde(alias = "id")]
    pub session_id: SessionId,
    /// How it ended.
    pub outcome: SessionOutcome,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// A turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SayRequest {
    /// The session.
    pub session_id: SessionId,
    /// Unique among the caller's; saying twice under one id says once. A new one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<MessageId>,
    /// What it is about.
    pub class: MessageClass,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is said: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// What the caller had seen of the session, with its own count one higher than before. Where none
    /// is given the turn comes after everything in the transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_clock: Option<VectorClock>,
}

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SayStatus {
    /// It is in the transcript.
    Heard,
    /// It waits for turns that it depends on.
    Held,
    /// It waited for too long, and was let go of.
    Missing,
}

/// The answer to a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The turn's id.
    pub turn_id: MessageId,
    /// What became of it.
    pub status: SayStatus,
    /// Its place in the transcript, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Whether it came before.
    pub duplicate: bool,
    /// How often each participant was heard so far.
    pub clock: VectorClock,
}

/// Which sessions; an empty list of a kind lets every one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionFilter {
    /// Any of these.
    pub statuses: Vec<SessionStatus>,
    /// Any of these.
    pub types: Vec<SessionType>,
    /// In which this agent takes part, or did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant_id: Option<AgentId>,
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<SessionId>,
}

/// Sessions in the order of their ids. A session that not anybody may join is listed for those alone
/// who take part in it, or did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<SessionId>,
}

/// Which part of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TranscriptRequest {
    /// The session.
    #[serde(alias = "id")]
    pub session_id: SessionId,
    /// At most so many lines; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only lines after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// A part of a transcript, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptPage {
    /// The lines.
    pub entries: Vec<Arc<TranscriptEntry>>,
    /// Ask again after this number; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// How many lines there are.
    pub total: u64,
}
