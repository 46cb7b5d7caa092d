//! A received span, in the shape that assertions want.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, span, status::StatusCode},
};

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanRecord {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 16 hexadecimal digits, or empty for a root.
    pub parent_span_id: String,
    /// The span's name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// The resource's `service.name`, or empty.
    pub service_name: String,
    /// The span's attributes; numbers and booleans as text, lists as `[a, b]`.
    pub attributes: BTreeMap<String, String>,
    /// What it points to beside its parent.
    pub links: Vec<SpanLink>,
    /// Whether its status is an error.
    pub is_error: bool,
    /// Start, in nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// End, in nanoseconds since 1970.
    pub end_unix_nano: u64,
}

/// A link to another span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanLink {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
}

/// A span's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Not said.
    Unspecified,
    /// Work inside one process.
    Internal,
    /// The answering side of a request.
    Server,
    /// The asking side of a request.
    Client,
    /// The sender of a message.
    Producer,
    /// The receiver of a message.
    Consumer,
}

/// Every span of one resource.
pub(crate) fn records(resource: ResourceSpans) -> Vec<SpanRecord> {
    let attributes = resource.resource.map(|r| attributes(r.attributes)).unwrap_or_default();
    let service_name = attributes.get("service.name").cloned().unwrap_or_default();
    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| record(span, service_name.clone())).collect()
}

fn record(span: Span, service_name: String) -> SpanRecord {
    let kind = span.kind();
    SpanRecord {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        name: span.name,
        kind: kind.into(),
        service_name,
        attributes: attributes(span.attributes),
        links: span
            .links
            .iter()
            .map(|link| SpanLink { trace_id: hex(&link.trace_id), span_id: hex(&link.span_id) })
            .collect(),
        is_error: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(value)) => value,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(list)) => {
            let items: Vec<_> = list.values.into_iter().map(|item| text(Some(item))).collect();
            format!("[{}]", items.join(", "))
        }
        Some(Value::BytesValue(bytes)) => hex(&bytes),
        Some(Value::KvlistValue(list)) => format!("{:?}", attributes(list.values)),
        // An index into a table that only profiles carry.
        Some(Value::StringValueStrindex(_)) | None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl From<span::SpanKind> for SpanKind {
    fn from(kind: span::SpanKind) -> Self {
        match kind {
            span::SpanKind::Unspecified => Self::Unspecified,
            span::SpanKind::Internal => Self::Internal,
            span::SpanKind::Server => Self::Server,
            span::SpanKind::Client => Self::Client,
            span::SpanKind::Producer => Self::Producer,
            span::SpanKind::Consumer => Self::Consumer,
        }
    }
}
