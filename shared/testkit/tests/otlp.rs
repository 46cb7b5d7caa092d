//! The sink receives what the real exporter sends.

use std::time::Duration;

use anyhow::Result;
use opentelemetry::{
    KeyValue,
    trace::{Link, Span, SpanKind as Kind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use troupe_testkit::{OtlpSink, SpanKind};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_with_parents_kinds_attributes_and_links() -> Result<()> {
    let sink = OtlpSink::start().await?;
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(sink.endpoint()).build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("troupe-kit").build())
        .build();
    let tracer = provider.tracer("kit");

    let mut other = tracer.start("other");
    let linked = other.span_context().clone();
    other.end();
    let parent = tracer.span_builder("send").with_kind(Kind::Producer).start(&tracer);
    let context = opentelemetry::Context::new().with_span(parent);
    let mut child = tracer
        .span_builder("process")
        .with_kind(Kind::Consumer)
        .with_attributes([KeyValue::new("messaging.system", "nats"), KeyValue::new("n", 3)])
        .with_links(vec![Link::with_context(linked.clone())])
        .start_with_context(&tracer, &context);
    child.set_status(Status::error("no"));
    child.end();
    context.span().end();
    tokio::task::spawn_blocking(move || provider.force_flush()).await??;

    let spans = sink.wait_for(|spans| spans.len() == 3, DEADLINE).await;
    let named = |name: &str| spans.iter().find(|span| span.name == name).expect("the span");
    let (send, process) = (named("send"), named("process"));
    assert_eq!((send.kind, process.kind), (SpanKind::Producer, SpanKind::Consumer));
    assert_eq!(send.parent_span_id, "");
    assert_eq!(process.parent_span_id, send.span_id);
    assert_eq!(process.trace_id, send.trace_id);
    assert_eq!(process.service_name, "troupe-kit");
    assert_eq!(process.attributes["messaging.system"], "nats");
    assert_eq!(process.attributes["n"], "3");
    assert_eq!(process.links[0].span_id, linked.span_id().to_string());
    assert_eq!(process.links[0].trace_id, linked.trace_id().to_string());
    assert!(process.is_error && !send.is_error);
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "waited 10ms in vain for the spans expected")]
async fn spans_that_do_not_come_are_a_panic_that_says_so() {
    let sink = OtlpSink::start().await.expect("a sink");
    sink.wait_for(|spans| !spans.is_empty(), Duration::from_millis(10)).await;
}
