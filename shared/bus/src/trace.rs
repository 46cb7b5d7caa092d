//! Trace context across the bus: W3C headers in and out, and the spans around a hop.
//!
//! Spans are `tracing` spans with the target [`TARGET`], so that they cost nothing where no exporter
//! listens. Without an exporter the context that came in is passed on verbatim.

use async_nats::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use troupe_contract::headers;
use troupe_domain::TraceContext;

/// The `tracing` target of every span that is exported.
pub const TARGET: &str = "troupe::trace";

tokio::task_local! {
    static CARRIED: Option<TraceContext>;
}

/// Runs `future` so that what it calls carries `context`, where no span of its own is recorded.
pub async fn carrying<F: Future>(context: Option<TraceContext>, future: F) -> F::Output {
    CARRIED.scope(context, future).await
}

/// The context to pass on: that of the current span, or else the one that is carried.
pub fn current() -> Option<TraceContext> {
    of_span(&Span::current()).or_else(|| CARRIED.try_with(Clone::clone).ok().flatten())
}

/// The context of a span that is recorded.
pub fn of_span(span: &Span) -> Option<TraceContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span_context = context.span().span_context().clone();
    if !span_context.is_valid() {
        return None;
    }
    let flags = span_context.trace_flags().to_u8();
    let traceparent =
        format!("00-{}-{}-{flags:02x}", span_context.trace_id(), span_context.span_id());
    let state = span_context.trace_state().header();
    TraceContext::parse(&traceparent, Some(&state))
}

/// Makes `context` the parent of `span`.
pub fn set_parent(span: &Span, context: &TraceContext) {
    if let Some(remote) = remote(context) {
        let parent = opentelemetry::Context::new().with_remote_span_context(remote);
        if let Err(why) = span.set_parent(parent) {
            tracing::trace!(%why, "the span has no parent");
        }
    }
}

/// Links `span` to `context`.
pub fn add_link(span: &Span, context: &TraceContext) {
    if let Some(remote) = remote(context) {
        span.add_link(remote);
    }
}

fn remote(context: &TraceContext) -> Option<SpanContext> {
    let text = &context.traceparent;
    let trace = TraceId::from_hex(text.get(3..35)?).ok()?;
    let span = SpanId::from_hex(text.get(36..52)?).ok()?;
    let flags = u8::from_str_radix(text.get(53..55)?, 16).ok()?;
    let state = context.tracestate.as_deref().and_then(|s| s.parse::<TraceState>().ok());
    Some(SpanContext::new(trace, span, TraceFlags::new(flags), true, state.unwrap_or_default()))
}

pub(crate) fn extract(map: Option<&HeaderMap>) -> Option<TraceContext> {
    let map = map?;
    let state = map.get(headers::TRACESTATE).map(async_nats::HeaderValue::as_str);
    TraceContext::parse(map.get(headers::TRACEPARENT)?.as_str(), state)
}

pub(crate) fn inject(map: &mut HeaderMap, context: Option<&TraceContext>) {
    if let Some(context) = context {
        map.insert(headers::TRACEPARENT, context.traceparent.as_str());
        if let Some(state) = &context.tracestate {
            map.insert(headers::TRACESTATE, state.as_str());
        }
    }
}
