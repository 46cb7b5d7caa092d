//! The text of `/metrics`, as a scraper reads it.

use std::{collections::BTreeMap, io};

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use troupe_runtime::{Common, Metrics, Telemetry, metrics::LATENCY_BOUNDS_SECONDS};

fn metrics() -> Metrics {
    let writer = BoxMakeWriter::new(io::sink);
    let (_dispatch, telemetry) =
        Telemetry::build("troupe-a", "1", &Common::default(), writer).unwrap();
    telemetry.metrics().clone()
}

/// Series by name with labels; panics at a line that is not Prometheus' text format.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut types = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            if kind == "TYPE" {
                let before = types.insert(name.to_owned(), words.next().unwrap().to_owned());
                assert!(before.is_none(), "two TYPE lines for {name}");
            } else {
                assert_eq!(kind, "HELP", "{line}");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let bare = name.split('{').next().unwrap();
        assert!(bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
        assert!(types.keys().any(|known| bare.starts_with(known.as_str())), "no TYPE: {line}");
        let before = series.insert(name.to_owned(), value.parse().unwrap());
        assert!(before.is_none(), "twice: {line}");
    }
    series
}

#[test]
fn every_kind_shows_with_its_labels() {
    let metrics = metrics();
    let registry = metrics.for_service("troupe-registry");
    let work = metrics.for_service("troupe-work-distribution");
    let labels = [("operation", "claim \"x\"")];
    let first = registry.counter("troupe_requests_total", "Requests", &labels);
    let again = registry.counter("troupe_requests_total", "Requests", &labels);
    let other = work.counter("troupe_requests_total", "Requests", &labels);
    first.increment();
    again.add(2);
    other.add(5);
    work.gauge("troupe_tasks_open", "Open tasks", &[]).set(3.0);
    work.observed_gauge("troupe_tasks_seen", "Seen tasks", &[], || 4.0);
    let latency = work.histogram(
        "troupe_request_duration_seconds",
        "Latency in seconds",
        &LATENCY_BOUNDS_SECONDS,
        &[],
    );
    latency.record(0.003);
    latency.record(100.0);

    let series = parse(&metrics.text().unwrap());
    let get = |name: &str| {
        let found = series.get(name);
        *found.unwrap_or_else(|| panic!("no {name} in {series:#?}"))
    };
    let close = |name: &str, value: f64| assert!((get(name) - value).abs() < 1e-9, "{name}");
    let claim = r#"operation="claim \"x\"",service="#;
    close(&format!("troupe_requests_total{{{claim}\"troupe-registry\"}}"), 3.0);
    close(&format!("troupe_requests_total{{{claim}\"troupe-work-distribution\"}}"), 5.0);
    let labels = r#"{service="troupe-work-distribution"}"#;
    close(&format!("troupe_tasks_open{labels}"), 3.0);
    close(&format!("troupe_tasks_seen{labels}"), 4.0);
    close(&format!("troupe_request_duration_seconds_count{labels}"), 2.0);
    let bucket = |bound: &str| {
        format!(
            "troupe_request_duration_seconds_bucket{{service=\"troupe-work-distribution\",\
             le=\"{bound}\"}}"
        )
    };
    close(&bucket("0.0025"), 0.0);
    close(&bucket("0.005"), 1.0);
    close(&bucket("+Inf"), 2.0);
}

#[test]
fn the_process_itself_shows() {
    let series = parse(&metrics().text().unwrap());
    assert!(series["process_resident_memory_bytes"] > 100_000.0);
    assert!(series["process_open_fds"] >= 3.0);
    assert!(series["process_cpu_seconds_total"] >= 0.0);
    assert!(series.keys().any(|name| name.starts_with("target_info{")));
}
