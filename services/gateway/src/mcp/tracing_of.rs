//! The trace of a call: the client's, where it says one, goes on to the services.

use axum::http::request::Parts;
use rmcp::RoleServer;
use rmcp::service::RequestContext;
use tracing::Instrument;
use troupe_bus::trace;
use troupe_contract::headers;
use troupe_domain::{Fault, TraceContext};

/// Runs what a client asked for as a span in the client's trace.
pub(super) async fn call<T>(
    name: &'static str,
    context: &RequestContext<RoleServer>,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let given = given(context);
    let span = tracing::info_span!(
        target: trace::TARGET,
        "mcp",
        otel.name = %format!("tools/call {name}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        mcp.method.name = "tools/call",
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        error.r#type = tracing::field::Empty,
    );
    if span.is_disabled() {
        return trace::carrying(given, work).await;
    }
    if let Some(given) = &given {
        trace::set_parent(&span, given);
    }
    let outcome = work.instrument(span.clone()).await;
    if let Err(fault) = &outcome {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", fault.code.as_str());
    }
    outcome
}

/// The trace that the request names: in its metadata, or in the headers of HTTP.
fn given(context: &RequestContext<RoleServer>) -> Option<TraceContext> {
    let meta = |name: &str| context.meta.get(name).and_then(|value| value.as_str());
    if let Some(parent) = meta(headers::TRACEPARENT) {
        return TraceContext::parse(parent, meta(headers::TRACESTATE));
    }
    let parts = context.extensions.get::<Parts>()?;
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::parse(header(headers::TRACEPARENT)?, header(headers::TRACESTATE))
}
