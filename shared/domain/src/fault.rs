//! Faults: what a caller is told when an operation is refused or could not be carried out.
//!
//! The set of codes is closed. A code alone decides the wire status and what a consumer does with
//! the message that caused it; the message is for people, the details for programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The closed set of fault codes, with the meanings of the gRPC canonical codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is malformed: the details name the field. Never succeeds unchanged.
    InvalidArgument,
    /// No such entity.
    NotFound,
    /// The id or key is taken by something else.
    AlreadyExists,
    /// Somebody else changed the entity first; read it and decide again.
    Conflict,
    /// The caller no longer holds the task at this epoch; nothing was written.
    StaleEpoch,
    /// The entity is in a state that does not allow the operation.
    FailedPrecondition,
    /// The caller's name may not do this.
    PermissionDenied,
    /// A named limit was reached.
    ResourceExhausted,
    /// The deadline passed; the outcome is unknown and is resolved by reading.
    DeadlineExceeded,
    /// Nobody can answer right now; try again.
    Unavailable,
    /// A defect of the service.
    Internal,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::InvalidArgument,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::StaleEpoch,
        Self::FailedPrecondition,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::DeadlineExceeded,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The HTTP equivalent, sent as the `Nats-Service-Error-Code` header.
    pub const fn http(self) -> u16 {
        match self {
            Self::InvalidArgument => 400,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict | Self::StaleEpoch => 409,
            Self::FailedPrecondition => 412,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::StaleEpoch => "stale_epoch",
            Self::FailedPrecondition => "failed_precondition",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later without the caller changing it.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::DeadlineExceeded | Self::Unavailable)
    }
}

/// A refusal or failure, as it travels: `{code, message, details}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Fault {
    /// What kind of fault this is.
    pub code: Code,
    /// One sentence for a person.
    pub message: String,
    /// Facts for a program: the field, the limit, the current holder.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

impl Fault {
    /// A fault with a code and a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Map::new() }
    }

    /// The request's `field` is not acceptable.
    pub fn invalid(field: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, format!("{field}: {why}")).with("field", field)
    }

    /// No `kind` with this id.
    pub fn not_found(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("no {kind} has the id {id}")).with("id", id.to_string())
    }

    /// A named limit was reached.
    pub fn exhausted(limit: &str, allowed: usize) -> Self {
        Self::new(Code::ResourceExhausted, format!("the limit {limit} is {allowed}"))
            .with("limit", limit)
            .with("allowed", allowed)
    }

    /// The state of the entity does not allow the operation.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, message)
    }

    /// Adds one fact to the details.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name_and_survives_the_wire() {
        for code in Code::ALL {
            let text = serde_json::to_string(&code).unwrap();
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), code);
            assert!((400..600).contains(&code.http()));
        }
    }
}
