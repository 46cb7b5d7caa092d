//! The benchmark of memory runs with the real model, and its JSON has everything. What it measures is
//! not looked at, but for what is no speed: words and meaning together find what the set asks for.

use std::path::PathBuf;

use clap::Parser;
use serde_json::Value;
use troupe_bench::memory::{MemoryArgs, measure};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: MemoryArgs,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_run_measures_every_part() {
    let mut args = Cli::parse_from(["bench", "--quick"]).args;
    args.sets = PathBuf::from("memory-sets");
    let report = serde_json::to_value(Box::pin(measure(args)).await.unwrap()).unwrap();
    assert_eq!(report["failures"], Value::Array(Vec::new()));

    let set = &report["quality"]["sets"][0];
    assert_eq!(set["name"], "fleet");
    assert_eq!(set["questions"], 20);
    let ways = set["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 6);
    let recall = |way: &Value| way["scores"]["recall_at_10"].as_f64().unwrap();
    for way in ways {
        assert!(recall(way) > 0.3, "{way}");
        for score in ["recall_at_5", "ndcg_at_10", "mrr"] {
            assert!(way["scores"][score].as_f64().is_some_and(|s| s > 0.0 && s <= 1.0), "{way}");
        }
    }
    // The set is small and the model always the same: this is a property of the code.
    assert!(recall(&ways[5]) >= 0.8, "{}", ways[5]);

    let index = report["index"].as_array().unwrap();
    assert_eq!(index.len(), 2);
    for (sized, entries) in index.iter().zip([500, 2_000]) {
        assert_eq!(sized["entries"], entries);
        for latency in ["words", "meaning", "both", "selective", "removed_and_put"] {
            assert_eq!(sized[latency]["count"], 20, "{latency}");
        }
        assert!(sized["sketch_recall_at_10"].as_f64().is_some_and(|share| share > 0.8), "{sized}");
    }

    let service = &report["service"];
    // Counts are facts, whatever the speed.
    assert_eq!((&service["entries"], &service["cold_entries"]), (&240.into(), &24.into()));
    assert_eq!(service["write_under_load"]["count"], 220);
    for latency in ["write", "read_hot", "read_warm", "read_cold", "search"] {
        assert_eq!(service[latency]["count"], 20, "{latency}");
    }
    for bytes in ["warm_bytes_each", "cold_bytes_each"] {
        assert!(service[bytes].as_f64().is_some_and(|bytes| bytes > 0.0), "{bytes}");
    }
}
