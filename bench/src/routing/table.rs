//! The result as tables.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;

use super::accuracy::{Accuracy, SetReport};
use super::mailboxes::Mailboxes;
use super::report::{Report, Series};
use crate::latency::Latency;

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let (machine, versions) = (&report.machine, &report.versions);
    let mut text = format!(
        "{}\n{}, {} cores, {:.1} GiB, load before {}\n{}, Linux {} ({})\n{}; troupe {} ({}); {}\n\
         sizes: {:?}\n",
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
        report.sizes,
    );
    if let Some(accuracy) = &report.accuracy {
        let _ = write!(text, "\n{}", accuracy_text(accuracy));
    }
    if let Some(mailboxes) = &report.mailboxes {
        let _ = write!(text, "\n{}\n", mailboxes_text(mailboxes));
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
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    table
}

fn accuracy_text(accuracy: &Accuracy) -> String {
    let mut text = format!("{}, {:.0} texts/s embedded", accuracy.model, accuracy.embedded_per_s);
    if let Some(peer) = &accuracy.peer {
        let _ = write!(text, "; {peer}");
    }
    text.push('\n');
    for set in &accuracy.sets {
        let _ = write!(text, "\n{}\n", set_text(set));
    }
    text
}

fn set_text(set: &SetReport) -> String {
    let title = format!(
        "{}: {} routes, {} asked, {} out of scope",
        set.name, set.routes, set.test, set.out_of_scope
    );
    let mut rows = table([
        title.as_str(),
        "examples",
        "accuracy",
        "AUROC",
        "calibration error",
        "coverage",
        "precision",
        "strangers taken",
        "build s",
        "decide p50, us",
    ]);
    for of_shots in &set.shots {
        for (name, router) in &of_shots.routers {
            let mean = &router.mean;
            let shots = of_shots.shots.map_or_else(|| "all".to_owned(), |shots| shots.to_string());
            rows.add_row([
                name.clone(),
                shots,
                percent(Some(mean.accuracy)),
                number(mean.out_of_scope_auroc, 3),
                number(mean.calibration_error, 3),
                percent(mean.coverage),
                percent(mean.precision),
                percent(mean.strangers_taken),
                format!("{:.2}", mean.build_s),
                number(mean.decide_p50_us, 0),
            ]);
        }
    }
    rows.to_string()
}

fn mailboxes_text(mailboxes: &Mailboxes) -> String {
    let title = format!("Mailboxes, {} bytes", mailboxes.body_bytes);
    let mut rows = series_table(&title);
    series_row(&mut rows, "raw: publish, pull, acknowledge", &mailboxes.raw);
    series_row(&mut rows, "send, inbox, ack", &mailboxes.mailboxes);
    let mut latencies = latency_table();
    latency_row(&mut latencies, "raw: until acknowledged", &mailboxes.raw_latency);
    latency_row(&mut latencies, "until acknowledged", &mailboxes.latency);
    format!("{rows}\nMailboxes to raw: {:.2}\n\n{latencies}", mailboxes.ratio)
}

fn series_table(title: &str) -> Table {
    table([title, "median per s", "each", "processor time for each, us"])
}

fn series_row(rows: &mut Table, name: &str, series: &Series) {
    let each: Vec<_> = series.per_s.iter().map(|rate| format!("{rate:.0}")).collect();
    let processor = series.processor_us_each.iter().map(|(part, us)| format!("{part} {us:.0}"));
    rows.add_row([
        name.to_owned(),
        format!("{:.0}", series.median_per_s),
        each.join(" "),
        processor.collect::<Vec<_>>().join(", "),
    ]);
}

fn latency_table() -> Table {
    table(["Latency, us", "count", "p50", "p90", "p99", "p99.9", "max"])
}

fn latency_row(rows: &mut Table, name: &str, latency: &Latency) {
    let Latency { count, p50_us, p90_us, p99_us, p999_us, max_us } = *latency;
    let numbers = [count, p50_us, p90_us, p99_us, p999_us, max_us].map(|n| n.to_string());
    rows.add_row(std::iter::once(name.to_owned()).chain(numbers));
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
