//! The result as tables.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;

use super::accuracy::{Accuracy, SetReport};
use super::report::Report;

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

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
