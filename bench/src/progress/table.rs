//! The result as tables.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::report::{Report, Series, Summaries, Throughput};
use crate::latency::Latency;

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let (machine, versions) = (&report.machine, &report.versions);
    let mut text = format!(
        "{}\n{}, {} cores, {:.1} GiB, load before {}\n{}, Linux {} ({})\n{}; troupe {} ({}); {}\n\
         {} tasks\n",
        report.date,
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.load_before,
        machine.os,
        machine.kernel,
        machine.architecture,
        versions.nats_server,
        versions.troupe,
        versions.profile,
        versions.rustc,
        report.tasks,
    );
    if let Some(throughput) = &report.throughput {
        let _ = write!(text, "\n{}", throughput_text(throughput));
    }
    if !report.summaries.is_empty() {
        let _ = write!(text, "\n{}", summaries_text(&report.summaries));
    }
    text.push('\n');
    for failure in &report.failures {
        let _ = writeln!(text, "- not measured: {failure}");
    }
    for note in &report.notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

fn throughput_text(throughput: &Throughput) -> String {
    let mut table = table(["", "per second", "p50 ms", "p99 ms", "processor µs each"]);
    let mut row = |name: &str, series: Option<&Series>, latency: &Latency| {
        let rate = series.map_or_else(String::new, |series| format!("{:.0}", series.median_per_s));
        let used = series.map_or_else(String::new, |series| {
            let parts = series.processor_us.iter();
            let parts: Vec<String> =
                parts.map(|(part, used)| format!("{part} {used:.0}")).collect();
            parts.join(", ")
        });
        table.add_row([name.to_owned(), rate, ms(latency.p50_us), ms(latency.p99_us), used]);
    };
    row("raw publishes", Some(&throughput.raw), &throughput.raw_latency);
    row("reports", Some(&throughput.reports), &throughput.latency);
    row("a report, idle", None, &throughput.idle);
    let title = format!("Reports of {} bytes beside raw publishes", throughput.body_bytes);
    format!("{title}\n{table}\nreports to raw publishes: {:.2}\n", throughput.ratio)
}

fn summaries_text(summaries: &[Summaries]) -> String {
    let header = ["reports", "of the graph", "named tasks", "bottlenecks", "estimate", "resident"];
    let mut table = table(header);
    for one in summaries {
        let both = |latency: &Latency| format!("{} / {}", ms(latency.p50_us), ms(latency.p99_us));
        let resident = one.resident_bytes.map_or_else(String::new, |bytes| {
            format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
        });
        table.add_row([
            one.reports.to_string(),
            both(&one.of_the_graph),
            both(&one.of_named_tasks),
            both(&one.bottlenecks),
            both(&one.estimate),
            resident,
        ]);
    }
    format!("Reading, ms: p50 / p99\n{table}\n")
}

fn ms(us: u64) -> String {
    format!("{:.2}", us as f64 / 1_000.0)
}
