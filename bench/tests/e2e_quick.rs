//! The benchmark runs, and its JSON has everything. What it measures is not looked at: a speed is not
//! a property of the code alone.

use clap::Parser;
use serde_json::Value;
use troupe_bench::work::{WorkArgs, measure};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: WorkArgs,
}

const LATENCY: [&str; 6] = ["count", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"];
const SERIES: [&str; 3] = ["tasks_per_s", "median_tasks_per_s", "processor_us_per_task"];

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
    let args = Cli::parse_from(["bench", "--quick"]).args;
    let report = serde_json::to_value(Box::pin(measure(args)).await.unwrap()).unwrap();

    assert_eq!(report["failures"], Value::Array(Vec::new()));
    let top = ["benchmark", "date", "durability", "parameters", "sizes", "notes"];
    has(&report, "", &top);
    let machine = ["cpu", "cores", "memory_bytes", "os", "kernel", "architecture", "load_before"];
    has(&report, "/machine", &machine);
    has(&report, "/versions", &["nats_server", "troupe", "rustc", "profile"]);
    for part in ["/throughput", "/always"] {
        has(
            &report,
            part,
            &["baseline", "lifecycle", "ratio", "steps", "peers", "events_behind_s"],
        );
        for series in ["baseline", "lifecycle"] {
            has(&report, &format!("{part}/{series}"), &SERIES);
        }
        for step in ["create", "next", "start", "complete"] {
            has(&report, &format!("{part}/steps/{step}"), &LATENCY);
        }
    }
    for latency in [
        "/claims_idle/next",
        "/claims_idle/create_to_delivered",
        "/claims_under_half_load/next_since_due",
        "/claims_under_half_load/next_since_sent",
        "/waiting/next_with_few",
        "/waiting/next_with_all",
    ] {
        has(&report, latency, &LATENCY);
    }
    has(&report, "/claims_under_half_load", &["rate_per_s"]);
    let graph = ["tasks", "dependencies", "request_bytes", "submit_s", "run_s", "tasks_per_s"];
    has(&report, "/graph", &graph);
    let waiting = ["profiles", "few", "slowdown_p50", "slowdown_p99", "restart_ready_s"];
    has(&report, "/waiting", &waiting);
    has(&report, "/waiting", &["crash_ready_s"]);

    // Counts are facts, whatever the speed.
    assert_eq!(report["waiting"]["open_after_restart"], report["waiting"]["tasks"]);
    assert_eq!(report["claims_idle"]["next"]["count"], report["sizes"]["single_claims"]);
    assert_eq!(report["graph"]["tasks"], report["sizes"]["graph_tasks"]);
}
