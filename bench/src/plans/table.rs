//! The result as tables.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::report::{Convergence, Report, Scale, Series, Throughput, Visibility};

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let (machine, versions) = (&report.machine, &report.versions);
    let mut text = format!(
        "{}\n{}, {} cores, {:.1} GiB, load before {}\n{}, Linux {} ({})\n{}; troupe {} ({}); {}\n",
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
    );
    if !report.convergence.is_empty() {
        let _ = write!(text, "\n{}", convergence_text(&report.convergence));
    }
    if let Some(visibility) = &report.visibility {
        let _ = write!(text, "\n{}", visibility_text(visibility));
    }
    if let Some(throughput) = &report.throughput {
        let _ = write!(text, "\n{}", throughput_text(throughput));
    }
    if let Some(scale) = &report.scale {
        let _ = write!(text, "\n{}", scale_text(scale));
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

fn convergence_text(all: &[Convergence]) -> String {
    let header = [
        "replicas",
        "items",
        "edits",
        "pace",
        "editing ms",
        "converged ms",
        "hashes",
        "heard",
        "saved",
    ];
    let mut table = table(header);
    for one in all {
        table.add_row([
            one.replicas.to_string(),
            one.items.to_string(),
            one.edits.to_string(),
            format!("{} ms", one.pace_ms),
            format!("{:.0}", one.editing_ms),
            format!("{:.0}", one.converged_ms),
            if one.equal_hashes { "equal" } else { "UNEQUAL" }.to_owned(),
            format!("{} KiB", one.batch_bytes / 1024),
            format!("× {:.0}", one.bytes_saved),
        ]);
    }
    format!("Convergence after the last edit\n{table}\n")
}

fn visibility_text(visibility: &Visibility) -> String {
    let mut table = table(["", "p50 ms", "p99 ms", "max ms"]);
    for (name, latency) in [("idle", &visibility.idle), ("loaded", &visibility.loaded)] {
        let figures = [latency.p50_us, latency.p99_us, latency.max_us];
        let [p50, p99, max] = figures.map(ms);
        table.add_row([name.to_owned(), p50, p99, max]);
    }
    format!("An edit, until another agent sees it\n{table}\n")
}

fn throughput_text(throughput: &Throughput) -> String {
    let mut table = table(["", "per second", "p50 ms", "p99 ms", "processor µs each"]);
    let mut row = |name: &str, series: &Series| {
        let parts = series.processor_us.iter();
        let parts: Vec<String> = parts.map(|(part, used)| format!("{part} {used:.0}")).collect();
        table.add_row([
            name.to_owned(),
            format!("{:.0}", series.median_per_s),
            ms(series.latency.p50_us),
            ms(series.latency.p99_us),
            parts.join(", "),
        ]);
    };
    row("raw publishes", &throughput.raw);
    row("edits, a plan each", &throughput.edits);
    let large = format!("edits, one plan of {} items", throughput.large_plan_items);
    row(&large, &throughput.edits_of_a_large_plan);
    let batches = format!("signed batches of {} edits", throughput.edits_in_a_batch);
    row(&batches, &throughput.batches);
    format!("Through the service\n{table}\n")
}

fn scale_text(scale: &Scale) -> String {
    let mut table = table(["", ""]);
    let mib = |bytes: f64| format!("{:.2} MiB", bytes / f64::from(1 << 20));
    let rows = [
        ("replicas", scale.replicas.to_string()),
        ("batches", scale.batches.to_string()),
        ("bytes of a batch", format!("{:.0}", scale.batch_bytes)),
        ("merge, signatures checked", format!("{:.0} ms", scale.merge_ms)),
        ("of one batch", format!("{:.0} µs", scale.merge_us_per_batch)),
        ("replay, signatures known", format!("{:.0} ms", scale.replay_ms)),
        ("load a snapshot", format!("{:.1} ms", scale.load_ms)),
        ("save a snapshot", format!("{:.1} ms", scale.save_ms)),
        ("view", format!("{:.1} ms", scale.view_ms)),
        ("look for conflicts", format!("{:.1} ms", scale.conflicts_ms)),
        ("compacted", mib(scale.compacted_bytes as f64)),
        ("whole history", mib(scale.history_bytes as f64)),
        ("counted in memory", mib(scale.counted_bytes as f64)),
        (
            "resident, each of the replicas",
            scale.resident_bytes.map_or_else(String::new, |bytes| mib(bytes as f64)),
        ),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    format!("A plan of {} items after {} operations\n{table}\n", scale.items, scale.operations)
}

fn ms(us: u64) -> String {
    format!("{:.2}", us as f64 / 1_000.0)
}
