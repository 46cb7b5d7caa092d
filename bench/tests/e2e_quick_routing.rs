//! The benchmark of routing runs on the real services, and its JSON has everything. What it measures
//! is not looked at, but for what is no speed: nothing is lost, and what is counted adds up.

use std::path::Path;

use clap::Parser;
use serde_json::Value;
use troupe_bench::routing::{RoutingArgs, measure};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: RoutingArgs,
}

const LATENCY: [&str; 6] = ["count", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"];
const SERIES: [&str; 3] = ["per_s", "median_per_s", "processor_us_each"];

fn has(value: &Value, path: &str, fields: &[&str]) {
    let found = value.pointer(path).unwrap_or_else(|| panic!("{path} is missing"));
    for field in fields {
        assert!(
            found.get(field).is_some_and(|field| !field.is_null()),
            "{path}/{field} is missing in {found}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_run_measures_every_part() {
    let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing-sets");
    let sets = sets.to_str().expect("a path that is text");
    let args = Cli::parse_from(["bench", "--quick", "--sets", sets]).args;
    let report = serde_json::to_value(Box::pin(measure(args)).await.unwrap()).unwrap();

    assert_eq!(report["failures"], Value::Array(Vec::new()));
    has(&report, "", &["benchmark", "date", "parameters", "sizes", "notes"]);
    let machine = ["cpu", "cores", "memory_bytes", "os", "kernel", "architecture", "load_before"];
    has(&report, "/machine", &machine);
    has(&report, "/versions", &["nats_server", "troupe", "rustc", "profile"]);

    let scores = [
        "accuracy",
        "out_of_scope_auroc",
        "calibration_error",
        "calibration_error_of_chance",
        "coverage",
        "precision",
    ];
    has(&report, "/accuracy", &["model", "embedded_per_s"]);
    for set in 0..2 {
        for shots in 0..3 {
            let router = format!("/accuracy/sets/{set}/shots/{shots}/routers/troupe");
            has(&report, &router, &["mean", "accuracy_each"]);
            has(&report, &format!("{router}/mean"), &scores);
        }
    }
    for path in ["/decisions/over_the_bus", "/decisions/in_the_service"] {
        for kind in ["exact", "near", "miss"] {
            has(&report, &format!("{path}/{kind}"), &LATENCY);
        }
    }
    for series in [
        "/decisions/known",
        "/decisions/new",
        "/messages/known",
        "/messages/new",
        "/mailboxes/raw",
        "/mailboxes/mailboxes",
    ] {
        has(&report, series, &SERIES);
    }
    for latency in ["/messages/known_latency", "/mailboxes/raw_latency", "/mailboxes/latency"] {
        has(&report, latency, &LATENCY);
    }
    has(&report, "/scale", &["few", "many", "slowdown_p50"]);
    has(&report, "/cache", &["exact", "near", "miss", "hit_ratio", "made_wrong_ratio"]);
    let balanced = ["latency", "failed_deliveries", "unhandled", "handled_by_slow"];
    has(&report, "/balancing/plain", &balanced);
    has(&report, "/balancing/strategies/power_of_two", &balanced);

    // Counts are facts, whatever the speed.
    let answers = ["exact", "near", "miss"].map(|kind| report["cache"][kind]["count"].as_u64());
    assert_eq!(answers.iter().flatten().sum::<u64>(), report["sizes"]["replayed_texts"]);
    assert_eq!(report["scale"]["many"]["routes"], report["sizes"]["many_routes"]);
    assert_eq!(report["decisions"]["over_the_bus"]["exact"]["count"], report["sizes"]["decisions"]);
    for (strategy, balanced) in report["balancing"]["strategies"].as_object().unwrap() {
        assert_eq!(balanced["unhandled"], 0.0, "{strategy} lost messages");
    }
}
