//! Header names on the bus. Nowhere else is one spelled out.

/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context, vendor entries.
pub const TRACESTATE: &str = "tracestate";
/// The idempotency key of a command, and JetStream's de-duplication key.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// Compare-and-set on the subject that is written.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// How long the caller waits for the answer, in milliseconds.
pub const DEADLINE_MS: &str = "Troupe-Deadline-Ms";
/// The caller of a request that one replica hands to another.
pub const CALLER: &str = "Troupe-Caller";
/// ADR-32: the fault's message.
pub const SERVICE_ERROR: &str = "Nats-Service-Error";
/// ADR-32: the HTTP equivalent of the fault's code.
pub const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";
