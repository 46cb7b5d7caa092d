//! A graph in plain lines, or in one line of JSON per event.

use troupe_contract::event::{TaskEvent, TaskEventKind};
use troupe_domain::Fault;

use super::View;
use super::tally::Tally;
use crate::output;

/// Characters of a reason in a line.
const REASON_CHARS: usize = 160;

/// One line per event, for logs and pipes.
pub(crate) struct Lines;

impl View for Lines {
    fn event(&mut self, event: &TaskEvent, tally: &Tally) {
        // The creation of every task is one line each that says nothing.
        if event.event != TaskEventKind::TaskCreated {
            eprintln!("{} {}", event.at, describe(event, tally));
        }
    }

    fn draw(&mut self, _: &Tally) {}

    fn trouble(&mut self, fault: &Fault) {
        eprintln!("{fault}; trying again");
    }

    fn close(&mut self) {}
}

/// What happened, in words.
pub(crate) fn describe(event: &TaskEvent, tally: &Tally) -> String {
    let label = tally
        .row(&event.task_id)
        .map_or_else(|| event.task_id.to_string(), |row| row.label.clone());
    let what = event.event.token().trim_start_matches("task_").replace('_', " ");
    let mut text = format!("[{}/{}] {label} {what}", tally.ended(), tally.total());
    if let Some(by) = &event.by {
        text.extend([" by ", by.as_str()]);
    }
    if event.epoch > 1 {
        text.extend([" (attempt ", &event.epoch.to_string(), ")"]);
    }
    if let Some(reason) = event.reason.as_deref().filter(|reason| !reason.is_empty()) {
        text.extend([": ", &output::short(reason, REASON_CHARS)]);
    }
    text
}

/// One JSON object per event, on standard output.
pub(crate) struct JsonLines;

impl View for JsonLines {
    fn event(&mut self, event: &TaskEvent, _: &Tally) {
        print(&serde_json::json!({ "type": "event", "event": event }));
    }

    fn draw(&mut self, _: &Tally) {}

    fn trouble(&mut self, fault: &Fault) {
        print(&serde_json::json!({ "type": "trouble", "fault": fault }));
    }

    fn close(&mut self) {}
}

fn print(value: &serde_json::Value) {
    if let Err(why) = output::line(&value.to_string()) {
        tracing::warn!(%why, "standard output");
    }
}

/// Nothing at all.
pub(crate) struct Quiet;

impl View for Quiet {
    fn event(&mut self, _: &TaskEvent, _: &Tally) {}
    fn draw(&mut self, _: &Tally) {}
    fn trouble(&mut self, _: &Fault) {}
    fn close(&mut self) {}
}
