//! The result as tables.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::index::Indexed;
use super::quality::{Quality, SetReport};
use super::report::Report;
use super::service::Served;
use crate::latency::Latency;

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
    if let Some(quality) = &report.quality {
        let _ = write!(text, "\n{}", quality_text(quality));
    }
    if !report.index.is_empty() {
        let _ = write!(text, "\n{}", index_text(&report.index));
    }
    if let Some(served) = &report.service {
        let _ = write!(text, "\n{}", service_text(served));
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

fn quality_text(quality: &Quality) -> String {
    let mut text = format!("Retrieval, {}\n", quality.model);
    for set in &quality.sets {
        let _ = writeln!(text, "{}", set_text(set));
    }
    text
}

fn set_text(set: &SetReport) -> String {
    let title = format!("{}: {} entries, {} questions", set.name, set.entries, set.questions);
    let mut rows = table([title.as_str(), "R@5", "R@10", "nDCG@10", "MRR"]);
    for way in &set.ways {
        let scores = way.scores;
        let numbers = [scores.recall_at_5, scores.recall_at_10, scores.ndcg_at_10, scores.mrr];
        let numbers = numbers.map(|number| format!("{number:.3}"));
        rows.add_row(std::iter::once(way.way.to_owned()).chain(numbers));
    }
    rows.to_string()
}

fn index_text(index: &[Indexed]) -> String {
    let header = [
        "entries",
        "put per s",
        "bytes: words",
        "vector",
        "words",
        "meaning",
        "both",
        "one of 1,000",
        "removed and put",
        "sketch R@10",
    ];
    let mut rows = table(header);
    for one in index {
        let both = |latency: &Latency| {
            let ms = |us: u64| us as f64 / 1_000.0;
            format!("{:.2} / {:.2}", ms(latency.p50_us), ms(latency.p99_us))
        };
        let recall = format!(
            "{:.3}{}",
            one.sketch_recall_at_10,
            if one.sketched { "" } else { " (not used)" }
        );
        rows.add_row([
            one.entries.to_string(),
            format!("{:.0}", one.put_per_s),
            format!("{:.0}", one.words_bytes_each),
            format!("{:.0}", one.vector_bytes_each),
            both(&one.words),
            both(&one.meaning),
            both(&one.both),
            both(&one.selective),
            both(&one.removed_and_put),
            recall,
        ]);
    }
    format!("The index in this process; times in ms: p50 / p99\n{rows}\n")
}

fn service_text(served: &Served) -> String {
    let title = format!("{} entries, {} of them cold", served.entries, served.cold_entries);
    let mut rows = table([title.as_str(), "count", "p50 ms", "p99 ms", "max ms"]);
    let under_load = format!("write, {} at once", served.in_flight);
    for (name, latency) in [
        ("write, one by one", &served.write),
        (under_load.as_str(), &served.write_under_load),
        ("read, hot", &served.read_hot),
        ("read, warm", &served.read_warm),
        ("read, cold", &served.read_cold),
        ("search", &served.search),
    ] {
        let ms = |us: u64| format!("{:.2}", us as f64 / 1_000.0);
        let Latency { count, p50_us, p99_us, max_us, .. } = *latency;
        rows.add_row([name.to_owned(), count.to_string(), ms(p50_us), ms(p99_us), ms(max_us)]);
    }
    format!(
        "The service\n{rows}\n{:.0} written per second, {:.0} embedded per second; {:.0} bytes of \
         memory for a warm entry, {:.0} bytes of segments for a cold one; started again in {:.2} s, \
         cold words found again {:.2} s later\n",
        served.written_per_s,
        served.embedded_per_s,
        served.warm_bytes_each,
        served.cold_bytes_each,
        served.restart_ready_s,
        served.restart_complete_s,
    )
}
