//! Accuracy as tables, one a set.

use std::fmt::Write;

use super::super::accuracy::{Accuracy, SetReport};
use super::{number, percent, table};

/// Every set.
pub(super) fn text(accuracy: &Accuracy) -> String {
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
        "by chance",
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
                number(mean.calibration_error_of_chance, 3),
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
