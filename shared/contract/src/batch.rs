//! Several calls in one message, so that what one caller asks at the same time shares the way there and
//! back. Each call stands for itself: it has its own outcome, deadline, command id and trace.
//!
//! The answers come in one message or in several, so that a call that takes long holds up no other. A
//! call whose operation is not made for batches is refused by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::{Fault, Json, TraceContext};

/// Calls in one batch.
pub const MAX_BATCH_CALLS: usize = 64;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most [`MAX_BATCH_CALLS`].
    pub calls: Vec<BatchCall>,
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchCall {
    /// The operation, as in the subject of a call by itself.
    pub operation: String,
    /// Its request.
    pub request: Json,
    /// The idempotency key of the command, as in the header of a call by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// How long the caller waits, in milliseconds, as in the header of a call by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The trace to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// Some of the answers; each call is answered once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BatchReply {
    /// In the order in which the calls were done.
    pub answers: Vec<BatchAnswer>,
}

/// The answer to one call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BatchAnswer {
    /// The place of the call in the request, from 0.
    pub call: usize,
    /// What became of it.
    pub outcome: BatchOutcome,
}

/// What became of one call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchOutcome {
    /// The operation's reply.
    Reply(Json),
    /// Why it was not carried out, or not known to be.
    Fault(Fault),
}
