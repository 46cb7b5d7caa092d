//! Events as they travel: CloudEvents 1.0, JSON batch format.
//!
//! A message holds an array of events of one kind, at least one. What is in it beside the attributes
//! that are read here is left aside, so that attributes can be added.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use troupe_domain::{Timestamp, TraceContext};

/// The media type of such a message.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";
/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";

/// One event with its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent<T> {
    /// Unique per event, and the same when it is sent again.
    pub id: String,
    /// `/troupe/<service>`
    pub source: String,
    /// `troupe.<entity>.<event>.v1`
    #[serde(rename = "type")]
    pub kind: String,
    /// The entity's id.
    pub subject: String,
    /// When it happened.
    pub time: Timestamp,
    /// The trace it belongs to: the Distributed Tracing extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendor entries of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// What happened, as the contract declares it.
    pub data: T,
}

impl<T> CloudEvent<T> {
    /// The trace it belongs to.
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::parse(self.traceparent.as_deref()?, self.tracestate.as_deref())
    }
}

/// Reads a message.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<CloudEvent<T>>, serde_json::Error> {
    serde_json::from_slice(body)
}

/// The schema of a message whose events are of `kind` and have this data.
pub fn batch_schema(kind: &str, data: &Value) -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    json!({
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
            "properties": {
                "specversion": {"const": SPEC_VERSION},
                "id": text("Unique per event; the same when it is sent again."),
                "source": text("`/troupe/` and the service."),
                "type": {"const": kind},
                "subject": text("The entity's id."),
                "time": {"type": "string", "format": "date-time"},
                "traceparent": text("W3C Trace Context: the trace that the event belongs to."),
                "tracestate": text("W3C Trace Context, vendor entries."),
                "data": data,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_batch_of_cloud_events() {
        let one = |id: &str| {
            json!({
                "specversion": "1.0", "id": id, "source": "/troupe/work", "subject": "t",
                "type": "troupe.task.task_created.v1", "time": "2026-11-25T10:00:00.000Z",
                "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
                "data": {"n": 1}, "anything": "else",
            })
        };
        let body = json!([one("a"), one("b")]).to_string();
        let events = decode::<Value>(body.as_bytes()).unwrap();
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(events[0].data["n"], 1);
        let trace = events[0].trace().unwrap();
        assert_eq!(trace.trace_id(), "0123456789abcdef0123456789abcdef");
        assert!(decode::<Value>(one("a").to_string().as_bytes()).is_err(), "always an array");
    }
}
