//! How a log line looks, as JSON or for people. Both carry the trace that the line belongs to.

use std::{fmt, sync::Arc};

use opentelemetry::trace::{SpanContext, TraceContextExt};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{Format, Full, JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use super::routing::current_service;

/// One JSON object a line: `timestamp`, `level`, `target`, `service`, `message`, `trace_id`,
/// `span_id`, the event's own fields under `fields`, and `spans` from the outermost inwards.
pub(super) struct JsonLines {
    service: Arc<str>,
}

impl JsonLines {
    /// `service` is named where a task runs under none.
    pub(super) fn new(service: &str) -> Self {
        Self { service: service.into() }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let service = current_service().unwrap_or_else(|| self.service.clone());
        let mut fields = Fields::default();
        event.record(&mut fields);

        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", timestamp.into());
        put("level", event.metadata().level().as_str().into());
        put("target", event.metadata().target().into());
        put("service", (*service).into());
        if let Some(message) = fields.message {
            put("message", message.into());
        }
        if let Some(trace) = current_trace() {
            put("trace_id", trace.trace_id().to_string().into());
            put("span_id", trace.span_id().to_string().into());
        }
        if !fields.others.is_empty() {
            put("fields", fields.others.into());
        }
        let spans = spans(context);
        if !spans.is_empty() {
            put("spans", spans.into());
        }
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

fn spans<S>(context: &FmtContext<'_, S, JsonFields>) -> Vec<Value>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(scope) = context.event_scope() else {
        return Vec::new();
    };
    let one = |span: tracing_subscriber::registry::SpanRef<'_, S>| {
        let mut shown = span
            .extensions()
            .get::<FormattedFields<JsonFields>>()
            .and_then(|fields| serde_json::from_str::<Map<_, _>>(&fields.fields).ok())
            .unwrap_or_default();
        shown.insert("name".to_owned(), span.name().into());
        Value::Object(shown)
    };
    scope.from_root().map(one).collect()
}

/// A line for people, which begins with the trace it belongs to.
#[derive(Default)]
pub(super) struct PrettyLines(Format<Full>);

impl<S, N> FormatEvent<S, N> for PrettyLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Some(trace) = current_trace() {
            write!(writer, "trace_id={} span_id={} ", trace.trace_id(), trace.span_id())?;
        }
        if let Some(service) = current_service() {
            write!(writer, "{service} ")?;
        }
        self.0.format_event(context, writer, event)
    }
}

/// The layer that exports spans makes the entered one current, so this needs no look-up.
fn current_trace() -> Option<SpanContext> {
    opentelemetry::Context::map_current(|context| {
        let span = context.span();
        span.span_context().is_valid().then(|| span.span_context().clone())
    })
}

#[derive(Default)]
struct Fields {
    message: Option<String>,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = Some(value.to_owned());
        } else {
            self.put(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
