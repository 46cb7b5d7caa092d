//! The benchmark runs, and its JSON has everything. What it measures is not looked at: a speed is not
//! a property of the code alone.

use clap::Parser;
use serde_json::Value;
use troupe_bench::progress::{ProgressArgs, measure};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ProgressArgs,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_run_measures_every_part() {
    let args = Cli::parse_from(["bench", "--quick"]).args;
    let report = serde_json::to_value(Box::pin(measure(args)).await.unwrap()).unwrap();
    assert_eq!(report["failures"], Value::Array(Vec::new()));
    for series in ["raw", "reports"] {
        let measured = &report["throughput"][series]["per_s"];
        assert!(measured.as_array().is_some_and(|all| all.len() == 1), "{report}");
    }
    for latency in ["raw_latency", "latency", "idle"] {
        assert!(report["throughput"][latency]["p99_us"].is_u64(), "{latency} is missing");
    }
    // Counts are facts, whatever the speed.
    let summaries = report["summaries"].as_array().unwrap();
    assert_eq!(summaries.len(), 3);
    for (summary, least) in summaries.iter().zip([100, 1_000, 10_000]) {
        assert!(summary["reports"].as_u64().is_some_and(|reports| reports >= least), "{summary}");
        for read in ["of_the_graph", "of_named_tasks", "bottlenecks", "estimate"] {
            assert!(summary[read]["p50_us"].is_u64(), "{read} is missing");
        }
    }
}
