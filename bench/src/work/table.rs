//! The result as tables.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::report::{Report, Series, Throughput};
use crate::latency::Latency;

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let (machine, versions) = (&report.machine, &report.versions);
    let mut text = format!(
        "{}\n{}, {} cores, {:.1} GiB, load before {}\n{}, Linux {} ({})\n{}; troupe {} ({}); {}\n\
         durability: {:?}; sizes: {:?}\n",
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
        report.durability,
        report.sizes,
    );
    if let Some(throughput) = &report.throughput {
        let _ = write!(text, "\n{}", throughput_text("Throughput", throughput));
    }
    let _ = write!(text, "\n{}", latencies(report));
    if let Some(always) = &report.always {
        let title = "With a sync before each acknowledgement";
        let _ = write!(text, "\n{}", throughput_text(title, always));
    }
    text.push('\n');
    for failure in &report.failures {
        let _ = writeln!(text, "- not measured: {failure}");
    }
    for note in &report.notes {
        let _ = writeln!(text, "- {note}");
    }
    let peers = report.throughput.iter().flat_map(|throughput| &throughput.peers);
    for peer in peers {
        let _ = writeln!(text, "- {} ({}): {}", peer.name, peer.durability, peer.comparability);
    }
    text
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

fn throughput_text(title: &str, throughput: &Throughput) -> String {
    let mut rows =
        table([title, "median per s", "each", "to baseline", "processor time per task, us"]);
    let mut add = |name: String, series: &Series| {
        let each: Vec<_> = series.tasks_per_s.iter().map(|rate| format!("{rate:.0}")).collect();
        let processor: Vec<_> = series
            .processor_us_per_task
            .iter()
            .map(|(part, us)| format!("{part} {us:.0}"))
            .collect();
        let ratio = series.median_tasks_per_s / throughput.baseline.median_tasks_per_s.max(1.0);
        rows.add_row([
            name,
            format!("{:.0}", series.median_tasks_per_s),
            each.join(" "),
            format!("{ratio:.2}"),
            processor.join(", "),
        ]);
    };
    add("raw: 4 writes by compare-and-set".to_owned(), &throughput.baseline);
    add("create, next, start, complete".to_owned(), &throughput.lifecycle);
    add("create, complete and take the next".to_owned(), &throughput.joined);
    for peer in &throughput.peers {
        add(format!("{}: {} in flight", peer.versions, peer.in_flight), &peer.jobs);
    }
    let behind: Vec<_> =
        throughput.events_behind_s.iter().map(|seconds| format!("{seconds:.1}")).collect();
    format!("{rows}\nEvents were published until {} s after the load\n", behind.join(", "))
}

fn latencies(report: &Report) -> String {
    let mut rows = table(["Latency, us", "count", "p50", "p90", "p99", "p99.9", "max"]);
    let mut add = |name: &str, latency: &Latency| {
        let Latency { count, p50_us, p90_us, p99_us, p999_us, max_us } = *latency;
        let numbers = [count, p50_us, p90_us, p99_us, p999_us, max_us].map(|n| n.to_string());
        rows.add_row(std::iter::once(name.to_owned()).chain(numbers));
    };
    for (step, latency) in report.throughput.iter().flat_map(|throughput| &throughput.steps) {
        add(&format!("{step}, full load"), latency);
    }
    if let Some(idle) = &report.claims_idle {
        add("next, idle", &idle.next);
        add("create to delivered, idle", &idle.create_to_delivered);
    }
    if let Some(loaded) = &report.claims_under_half_load {
        let at = format!("{:.0} lifecycles/s", loaded.rate_per_s);
        add(&format!("next, {at}, since due"), &loaded.next_since_due);
        add(&format!("next, {at}, since sent"), &loaded.next_since_sent);
    }
    if let Some(waiting) = &report.waiting {
        add(&format!("next, {} waiting", waiting.few), &waiting.next_with_few);
        add(&format!("next, {} waiting", waiting.tasks), &waiting.next_with_all);
    }
    let mut text = format!("{rows}\n");
    if let Some(graph) = &report.graph {
        let _ = writeln!(
            text,
            "\nA graph of {} tasks, {} dependencies, {} bytes: taken in {:.2} s, run in {:.2} s, \
             {:.0} tasks/s",
            graph.tasks,
            graph.dependencies,
            graph.request_bytes,
            graph.submit_s,
            graph.run_s,
            graph.tasks_per_s
        );
    }
    if let Some(waiting) = &report.waiting {
        let memory = waiting.resident_bytes_per_task;
        let memory = memory.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes:.0}"));
        let _ = writeln!(
            text,
            "\n{} waiting tasks, {} distinct needs: next slower by {:.2} (p50), {:.2} (p99); \
             {memory} resident bytes per task; ready again after {:.2} s (left in order), {:.2} s \
             (vanished), {} of them there",
            waiting.tasks,
            waiting.profiles,
            waiting.slowdown_p50,
            waiting.slowdown_p99,
            waiting.restart_ready_s,
            waiting.crash_ready_s,
            waiting.open_after_restart,
        );
    }
    text
}
