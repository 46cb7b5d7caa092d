//! Following a graph of tasks to its end.
//!
//! Events give the live view and may be lost; a page-by-page list of the graph is the truth, read
//! now and then and before the end is believed.

pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod tally;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior, interval};
use troupe_bus::events::Listener;
use troupe_client::{CallOptions, Troupe};
use troupe_contract::event::{TASK, TaskEvent};
use troupe_contract::subject;
use troupe_contract::work::{ListTasks, TaskFilter};
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{Fault, Name, Task};

use self::tally::Tally;

/// How often the list is read while events come.
const TRUTH_INTERVAL_MS: u64 = 2_000;
/// How often a live view is drawn.
const DRAW_INTERVAL_MS: u64 = 100;

/// What is shown while a graph is followed.
pub(crate) trait View {
    /// One event changed the tally.
    fn event(&mut self, event: &TaskEvent, tally: &Tally);
    /// Time passed, or the list was read.
    fn draw(&mut self, tally: &Tally);
    /// The list could not be read; it will be tried again.
    fn trouble(&mut self, fault: &Fault);
    /// Nothing more will be shown.
    fn close(&mut self);
}

/// A graph that is being followed.
pub(crate) struct Follow {
    troupe: Troupe,
    graph_id: Name,
    events: Option<Listener>,
    timeout: Duration,
    pub(crate) tally: Tally,
}

impl Follow {
    /// Hears every event from now on: begin before the graph is created.
    pub(crate) async fn listen(troupe: &Troupe) -> Result<Listener> {
        Ok(troupe.bus().listen(&subject::events_of(TASK)).await?)
    }

    pub(crate) fn new(troupe: Troupe, graph_id: Name, events: Listener, timeout: Duration) -> Self {
        Self { troupe, graph_id, events: Some(events), timeout, tally: Tally::default() }
    }

    /// Follows until every task has ended, or none can go on.
    pub(crate) async fn run_to_end(&mut self, view: &mut dyn View) -> Result<Vec<Arc<Task>>> {
        let mut draw = interval(Duration::from_millis(DRAW_INTERVAL_MS));
        draw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut truth_due = Instant::now();
        loop {
            tokio::select! {
                Some(events) = next_events(&mut self.events, &self.graph_id) => {
                    for event in events {
                        self.tally.apply(&event);
                        view.event(&event, &self.tally);
                    }
                    if self.tally.may_be_over() {
                        truth_due = Instant::now();
                    }
                }
                _ = draw.tick() => view.draw(&self.tally),
                () = tokio::time::sleep_until(truth_due) => {
                    match self.read().await {
                        Ok(tasks) => {
                            if self.tally.refresh(&tasks) {
                                view.draw(&self.tally);
                                view.close();
                                return Ok(tasks);
                            }
                        }
                        Err(fault) if fault.code.is_transient() => view.trouble(&fault),
                        Err(fault) => return Err(fault.into()),
                    }
                    truth_due = Instant::now() + Duration::from_millis(TRUTH_INTERVAL_MS);
                }
            }
        }
    }

    /// Every task of the graph.
    pub(crate) async fn read(&self) -> Result<Vec<Arc<Task>>, Fault> {
        let options = CallOptions::within(self.timeout);
        let mut filter = TaskFilter {
            graph_id: Some(self.graph_id.clone()),
            limit: Some(MAX_PAGE_ROWS),
            ..TaskFilter::default()
        };
        let mut tasks = Vec::new();
        loop {
            let page = self.troupe.call_with::<ListTasks>(&filter, &options).await?;
            tasks.extend(page.tasks);
            match page.next_after {
                Some(after) => filter.after = Some(after),
                None => return Ok(tasks),
            }
        }
    }
}

/// The next events of the graph; never, once the connection is closed.
async fn next_events(events: &mut Option<Listener>, graph_id: &Name) -> Option<Vec<TaskEvent>> {
    while let Some(heard) = events.as_mut()?.next().await {
        match heard.events::<TaskEvent>() {
            Ok(events) => {
                let events = events.into_iter().map(|event| event.data);
                let of_graph: Vec<TaskEvent> =
                    events.filter(|event| event.graph_id.as_ref() == Some(graph_id)).collect();
                if !of_graph.is_empty() {
                    return Some(of_graph);
                }
            }
            Err(why) => tracing::debug!(%why, subject = heard.subject, "unreadable events"),
        }
    }
    *events = None;
    None
}
