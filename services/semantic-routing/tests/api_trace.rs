//! One trace from sender to handler: what the service exports, and what it passes on.

mod stage;

use std::time::Duration;

use serde_json::json;
use stage::{Agent, PATIENCE, connect_to, name};
use troupe_bus::trace::carrying;
use troupe_contract::headers;
use troupe_contract::registry::Register;
use troupe_contract::routing::*;
use troupe_domain::TraceContext;
use troupe_testkit::{NatsServer, OtlpSink, Proc, SpanKind, SpanRecord, eventually};

const SERVICE: &str = "troupe-semantic-routing";
const START_WITHIN: Duration = Duration::from_mins(1);

fn context(trace: &str) -> TraceContext {
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    TraceContext::parse(&traceparent, None).unwrap()
}

fn find<'a>(
    spans: &'a [SpanRecord],
    trace: &str,
    name: &str,
    kind: SpanKind,
) -> Option<&'a SpanRecord> {
    spans.iter().find(|span| span.trace_id == trace && span.name == name && span.kind == kind)
}

/// The service as a process of its own, because exporting is a matter of the whole process.
async fn service(nats: &NatsServer, sink: &OtlpSink) -> Proc {
    let process = Proc::build("routing", env!("CARGO_BIN_EXE_troupe-semantic-routing"))
        .args(["--nats-url", &nats.url(), "--admin-listen", "127.0.0.1:0"])
        .args(["--set", &format!("otlp.endpoint={}", sink.endpoint())])
        .args(["--set", "intents.model.choice=folder:/nowhere"])
        .start()
        .unwrap();
    let operator = connect_to(&nats.url(), "operator").await;
    eventually("the service to answer", START_WITHIN, || async {
        assert!(process.ended().is_none(), "{}", process.quoted_output());
        stage::call::<RoutingStats>(&operator, json!({})).await.ok()
    })
    .await;
    process
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_one_trace_from_its_sender_to_its_handler() {
    let (nats, sink) = (NatsServer::start().await.unwrap(), OtlpSink::start().await.unwrap());
    let bus = connect_to(&nats.url(), "troupe-registry").await;
    let settings = troupe_registry::Config::default().settings();
    let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
    let _service = service(&nats, &sink).await;
    let ann = Agent { bus: connect_to(&nats.url(), "ann").await };
    let bob = Agent { bus: connect_to(&nats.url(), "bob").await };
    let declared = json!({"role": "implementer", "capabilities": ["translate"]});
    bob.call::<Register>(declared).await.unwrap();
    let intent = json!({"intent": {
        "text": "please", "filters": {"capabilities": ["translate"]}, "fallback": "capability",
    }});
    eventually("bob to be known", PATIENCE, || async {
        let request = json!({
            "text": "please", "filters": intent["intent"]["filters"], "fallback": "capability",
        });
        let resolution = ann.call::<Resolve>(request).await.unwrap();
        (resolution.agent_id == Some(name("bob"))).then_some(())
    })
    .await;

    let traces = [
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "5bf92f3577b34da6a3ce929d0e0e4736",
        "6bf92f3577b34da6a3ce929d0e0e4736",
    ];
    // To bob by name, to whoever can act, and published by ann herself.
    let direct = json!({"id": "m1", "recipient_id": "bob"});
    carrying(Some(context(traces[0])), ann.send(direct)).await;
    carrying(Some(context(traces[1])), ann.send(intent)).await;
    let raw = nats.connect().await.unwrap();
    let mut map = async_nats::HeaderMap::new();
    map.insert(headers::TRACEPARENT, context(traces[2]).traceparent.as_str());
    let subject = "troupe.v1.agent.bob.inbox.ann";
    raw.publish_with_headers(subject, map, "{}".into()).await.unwrap();
    raw.flush().await.unwrap();

    let mut handed = Vec::new();
    while handed.len() < traces.len() {
        for delivered in bob.wait().await {
            handed.push(delivered.trace.clone().expect("a trace to go on"));
            bob.ack(&delivered).await;
        }
    }
    let whole = |spans: &[SpanRecord]| {
        traces.iter().all(|trace| {
            find(spans, trace, "message.deliver", SpanKind::Consumer).is_some()
                && find(spans, trace, "message.send", SpanKind::Producer).is_some()
        }) && find(spans, traces[1], "routing.resolve", SpanKind::Internal).is_some()
    };
    let spans = sink.wait_for(whole, PATIENCE).await;
    for (index, trace) in traces.iter().enumerate() {
        let sent = find(&spans, trace, "message.send", SpanKind::Producer).unwrap();
        let delivered = find(&spans, trace, "message.deliver", SpanKind::Consumer).unwrap();
        assert_eq!(sent.service_name, SERVICE);
        assert_eq!(delivered.parent_span_id, sent.span_id);
        // What the handler goes on with is the delivery itself.
        let told = format!("00-{trace}-{}-01", delivered.span_id);
        assert!(handed.iter().any(|context| context.traceparent == told), "{told} {handed:?}");
        if index < 2 {
            let served = find(&spans, trace, "routing.send", SpanKind::Server).unwrap();
            assert_eq!(sent.parent_span_id, served.span_id);
            assert_eq!(served.parent_span_id, "00f067aa0ba902b7");
        } else {
            assert_eq!(sent.parent_span_id, "00f067aa0ba902b7", "the publisher's own span");
        }
    }
    let sent = find(&spans, traces[1], "message.send", SpanKind::Producer).unwrap();
    let decided = find(&spans, traces[1], "routing.resolve", SpanKind::Internal).unwrap();
    assert_eq!(decided.parent_span_id, sent.span_id);
    assert!(decided.attributes.values().any(|value| value.contains("bob")), "{decided:?}");
    registry.drain().await;
}
