//! A decision is a span in the trace of whoever asked, with its candidates and what speaks for them.

mod intents;

use intents::{PATIENCE, Stage, choose, who};
use serde_json::{Value, json};
use tracing::{Instrument, dispatcher, info_span};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use troupe_runtime::config::OtlpEndpoint;
use troupe_runtime::{Common, Telemetry};
use troupe_testkit::OtlpSink;

#[tokio::test]
async fn a_decision_is_a_span_that_says_why() {
    let sink = OtlpSink::start().await.unwrap();
    let mut common = Common::default();
    common.otlp.endpoint = Some(OtlpEndpoint::new(sink.endpoint()).unwrap());
    let quiet = BoxMakeWriter::new(std::io::sink);
    let (dispatch, telemetry) = Telemetry::build("t", "0.0.0", &common, quiet).unwrap();
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let choice = {
        let _installed = dispatcher::set_default(&dispatch);
        let asking = info_span!(target: "troupe::trace", "asking");
        let intent = json!({"text": "write unit tests for the lexer"});
        choose(&intents, intent).instrument(asking).await
    };
    assert_eq!(who(&choice.resolution), "tess");
    telemetry.flush(PATIENCE).await.unwrap();
    let spans = sink.wait_for(|spans| spans.len() >= 2, PATIENCE).await;
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (asking, decision) = (span("asking"), span("routing.resolve"));
    assert_eq!(decision.trace_id, asking.trace_id);
    assert_eq!(decision.parent_span_id, asking.span_id);
    let told = |key: &str| decision.attributes[&format!("troupe.routing.{key}")].clone();
    assert_eq!((told("outcome"), told("agent")), ("chosen".to_owned(), "tess".to_owned()));
    assert_eq!((told("route"), told("cache")), ("unit-tests".to_owned(), "miss".to_owned()));
    for number in ["probability", "threshold", "margin"] {
        assert!((0.0..=1.0).contains(&told(number).parse::<f64>().unwrap()), "{number}");
    }
    let candidates: Value = serde_json::from_str(&told("candidates")).unwrap();
    assert_eq!(candidates[0]["agent_id"], "tess");
    assert_eq!(candidates[0]["breaker"], "closed");
    let score = candidates[0]["score"].as_f64().unwrap();
    let parts = candidates[0]["parts"].as_object().unwrap();
    let sum: f64 = parts.values().map(|part| part.as_f64().unwrap()).sum();
    assert!((score - sum).abs() < 1e-9 && score > 0.0, "{candidates}");
    assert_eq!(told("reason"), choice.resolution.reason);
    intents.drain().await;
}
