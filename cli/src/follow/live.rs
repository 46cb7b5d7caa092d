//! A graph on a terminal: one bar for all of it, one per role, and a line for each task at work.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use troupe_contract::event::{TaskEvent, TaskEventKind};
use troupe_domain::Fault;

use super::View;
use super::lines::describe;
use super::tally::Tally;

/// Tasks at work that get a line.
const SHOWN_MAX_TASKS: usize = 8;
/// Roles that get a bar.
const SHOWN_MAX_ROLES: usize = 8;

/// Bars and lines that are drawn again and again.
pub(crate) struct Live {
    screen: MultiProgress,
    overall: ProgressBar,
    roles: BTreeMap<String, ProgressBar>,
    at_work: Vec<ProgressBar>,
}

impl Live {
    pub(crate) fn new() -> Self {
        let screen = MultiProgress::new();
        let overall = screen.add(ProgressBar::new(0));
        overall.set_style(style("{prefix:>14} [{bar:32}] {pos}/{len} {elapsed} {msg}"));
        overall.set_prefix("tasks");
        Self { screen, overall, roles: BTreeMap::new(), at_work: Vec::new() }
    }

    /// What is drawn on, for lines of others.
    pub(crate) fn screen(&self) -> MultiProgress {
        self.screen.clone()
    }

    /// A line above the bars, that stays.
    pub(crate) fn say(&self, text: &str) {
        // Where the terminal is gone, there is nobody to tell.
        let _ = self.screen.println(text);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl View for Live {
    fn event(&mut self, event: &TaskEvent, tally: &Tally) {
        use TaskEventKind as Kind;
        let remarkable = matches!(
            event.event,
            Kind::TaskRetrying
                | Kind::TaskFailed
                | Kind::TaskDead
                | Kind::TaskCancelled
                | Kind::TaskRejected
                | Kind::TaskReleased
                | Kind::LeaseExpired
                | Kind::ProgressStalled
        );
        if remarkable {
            self.say(&describe(event, tally));
        }
    }

    fn draw(&mut self, tally: &Tally) {
        self.overall.set_length(tally.total() as u64);
        self.overall.set_position(tally.ended() as u64);
        self.overall.set_message(tally.summary());
        for (role, (ended, total)) in tally.by_role().into_iter().take(SHOWN_MAX_ROLES) {
            let screen = &self.screen;
            let bar = self.roles.entry(role).or_insert_with_key(|role| {
                let bar = screen.add(ProgressBar::new(0));
                bar.set_style(style("{prefix:>14} [{bar:32}] {pos}/{len}"));
                bar.set_prefix(role.clone());
                bar
            });
            bar.set_length(total as u64);
            bar.set_position(ended as u64);
        }
        let held = tally.held();
        let shown = held.len().min(SHOWN_MAX_TASKS);
        while self.at_work.len() < shown {
            let line = self.screen.add(ProgressBar::new_spinner());
            line.set_style(style("{prefix:>14} {msg}"));
            self.at_work.push(line);
        }
        for (index, line) in self.at_work.iter().enumerate() {
            let (holder, what) = held.get(index).map_or_else(Default::default, |row| {
                let holder = row.holder.as_ref().map_or_else(String::new, ToString::to_string);
                (holder, row.label.clone())
            });
            line.set_prefix(holder);
            line.set_message(what);
        }
    }

    fn trouble(&mut self, fault: &Fault) {
        self.say(&format!("{fault}; trying again"));
    }

    fn close(&mut self) {
        for line in self.at_work.drain(..) {
            line.finish_and_clear();
        }
        for bar in self.roles.values() {
            bar.abandon();
        }
        self.overall.abandon();
    }
}
