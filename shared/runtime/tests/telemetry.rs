//! Logs, spans and metrics as a reader and a collector see them.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use opentelemetry::{
    propagation::{TextMapPropagator, text_map_propagator::FieldIter},
    trace::TraceContextExt,
};
use parking_lot::Mutex;
use tracing::{Instrument, dispatcher, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use troupe_runtime::{
    Common, Telemetry,
    config::{LogFormat, OtlpEndpoint},
    telemetry::in_service,
};
use troupe_testkit::{OtlpSink, SpanRecord, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn writer(&self) -> BoxMakeWriter {
        let lines = self.clone();
        BoxMakeWriter::new(move || lines.clone())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    fn json(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn exporting(sink: &OtlpSink) -> Common {
    let mut common = Common::default();
    common.otlp.endpoint = Some(OtlpEndpoint::new(sink.endpoint()).unwrap());
    common
}

fn find<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
}

#[tokio::test]
async fn a_line_inside_a_span_carries_its_trace() {
    let sink = OtlpSink::start().await.unwrap();
    let lines = Lines::default();
    let (dispatch, telemetry) =
        Telemetry::build("troupe-a", "1.2.3", &exporting(&sink), lines.writer()).unwrap();
    {
        let _installed = dispatcher::set_default(&dispatch);
        tracing::info!("outside");
        let _span = info_span!(target: "troupe::trace", "claim").entered();
        let _plain = info_span!("shard", number = 3).entered();
        tracing::warn!(task = "t1", attempts = 2, late = true, "inside \"quotes\"\nand lines");
    }
    telemetry.flush(DEADLINE).await.unwrap();
    let spans = sink.wait_for(|spans| !spans.is_empty(), DEADLINE).await;
    let span = find(&spans, "claim");

    let lines = lines.json();
    let outside = lines.iter().find(|line| line["message"] == "outside").unwrap();
    assert!(outside.get("trace_id").is_none());
    assert_eq!(outside["service"], "troupe-a");
    let inside = lines.iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(inside["trace_id"], span.trace_id);
    assert_eq!(inside["span_id"], span.span_id);
    assert_eq!(inside["message"], "inside \"quotes\"\nand lines");
    assert_eq!(inside["fields"], serde_json::json!({"task": "t1", "attempts": 2, "late": true}));
    assert_eq!(inside["spans"], serde_json::json!([{"name": "shard", "number": 3}]));
    assert!(inside["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_line_for_people_carries_its_trace() {
    let sink = OtlpSink::start().await.unwrap();
    let lines = Lines::default();
    let mut common = exporting(&sink);
    common.log.format = LogFormat::Pretty;
    let (dispatch, telemetry) = Telemetry::build("troupe-a", "1", &common, lines.writer()).unwrap();
    {
        let _installed = dispatcher::set_default(&dispatch);
        let _span = info_span!(target: "troupe::trace", "claim").entered();
        tracing::info!("hello");
    }
    telemetry.flush(DEADLINE).await.unwrap();
    let spans = sink.wait_for(|spans| !spans.is_empty(), DEADLINE).await;
    let trace = format!("trace_id={}", find(&spans, "claim").trace_id);
    let text = lines.text();
    assert!(text.lines().any(|line| line.contains(&trace) && line.contains("hello")), "{text}");
}

#[tokio::test]
async fn two_services_of_one_process_export_under_their_own_names() {
    let sink = OtlpSink::start().await.unwrap();
    let (dispatch, telemetry) =
        Telemetry::build("troupe-a", "1", &exporting(&sink), Lines::default().writer()).unwrap();
    telemetry.add_service("troupe-b", "2").unwrap();
    {
        let _installed = dispatcher::set_default(&dispatch);
        // A names itself and spawns, which loses the task's service; B is reached over a wire.
        let a = info_span!(target: "troupe::trace", "a.serve", service = "troupe-a");
        let carried = carried(&a);
        let spawned = async {
            let child = info_span!(target: "troupe::trace", "a.child");
            async { info_span!(target: "troupe::trace", "a.grandchild").in_scope(|| ()) }
                .instrument(child)
                .await;
            let b = info_span!(target: "troupe::trace", "b.serve", service = "troupe-b");
            b.set_parent(carried).unwrap();
            async { info_span!(target: "troupe::trace", "b.child").in_scope(|| ()) }
                .instrument(b)
                .await;
        };
        tokio::spawn(spawned.instrument(a)).await.unwrap();
        in_service("troupe-b".into(), async {
            info_span!(target: "troupe::trace", "b.timer").in_scope(|| ());
        })
        .await;
        info_span!(target: "troupe::trace", "nobody").in_scope(|| ());
        info_span!("not exported").in_scope(|| ());
    }
    telemetry.flush(DEADLINE).await.unwrap();
    let spans = sink.wait_for(|spans| spans.len() >= 7, DEADLINE).await;
    assert_eq!(spans.len(), 7, "{spans:#?}");
    for span in &spans {
        let service = if span.name.starts_with("b.") { "troupe-b" } else { "troupe-a" };
        assert_eq!(span.service_name, service, "{}", span.name);
        assert!(!span.attributes.contains_key("service"));
    }
    let root = find(&spans, "a.serve");
    for (name, parent) in [
        ("a.child", "a.serve"),
        ("a.grandchild", "a.child"),
        ("b.serve", "a.serve"),
        ("b.child", "b.serve"),
    ] {
        let span = find(&spans, name);
        assert_eq!(span.trace_id, root.trace_id, "{name}");
        assert_eq!(span.parent_span_id, find(&spans, parent).span_id, "{name}");
    }
    assert_ne!(find(&spans, "b.timer").trace_id, root.trace_id);
}

/// The context of `span` as it arrives at the other end of a wire: W3C headers, hence remote.
fn carried(span: &tracing::Span) -> opentelemetry::Context {
    let mut headers = std::collections::HashMap::new();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        let _: FieldIter<'_> = propagator.fields();
        propagator.inject_context(&span.context(), &mut headers);
    });
    assert!(headers["traceparent"].starts_with("00-"), "{headers:?}");
    let propagator = opentelemetry_sdk::propagation::TraceContextPropagator::new();
    let context = propagator.extract_with_context(&opentelemetry::Context::new(), &headers);
    assert!(context.span().span_context().is_remote());
    context
}

#[tokio::test]
async fn metrics_reach_the_collector_and_the_scraper() {
    let sink = OtlpSink::start().await.unwrap();
    let (_dispatch, telemetry) =
        Telemetry::build("troupe-a", "1", &exporting(&sink), Lines::default().writer()).unwrap();
    let metrics = telemetry.metrics().for_service("troupe-a");
    let count = metrics.counter("troupe_test_total", "Tests", &[("kind", "x")]);
    count.add(2);
    assert!(metrics.text().unwrap().contains("troupe_test_total{"));
    telemetry.flush(DEADLINE).await.unwrap();
    eventually("the metric at the collector", DEADLINE, || async {
        sink.metric_names().contains("troupe_test_total").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flush_to_nobody_ends_in_time_with_an_error() {
    let port = troupe_testkit::free_port();
    let mut common = Common::default();
    common.otlp.endpoint = Some(OtlpEndpoint::new(format!("http://127.0.0.1:{port}")).unwrap());
    let (dispatch, telemetry) =
        Telemetry::build("troupe-a", "1", &common, Lines::default().writer()).unwrap();
    dispatcher::with_default(&dispatch, || {
        info_span!(target: "troupe::trace", "lost").in_scope(|| ());
    });
    let limit = Duration::from_secs(2);
    let flushed = tokio::time::timeout(DEADLINE, telemetry.flush(limit)).await;
    assert!(flushed.expect("the flush is bounded").is_err());
}
