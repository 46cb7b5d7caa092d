//! Telling events: until they are acknowledged, and where their writer may have died, once more.
//!
//! Invariant: an event that a write means is told by whoever wrote it, and checked a little later by
//! every other replica; its id makes that one event.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use troupe_bus::port::{EventSink, Log, OutgoingEvent};
use troupe_contract::event::AgentEvent;

/// Events that are told at once.
const BATCH_EVENTS: usize = 256;
/// Events of other replicas that wait to be checked.
pub const RETELL_EVENTS: usize = 65_536;
/// How long another replica has to tell its events.
const RETELL_AFTER: Duration = Duration::from_secs(2);
/// First and longest wait before events are sent again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Tells what comes, in order, until `stop` is true and everything is told.
pub async fn run(
    sink: Arc<dyn EventSink>,
    mut outbox: mpsc::Receiver<OutgoingEvent>,
    mut stop: watch::Receiver<bool>,
) {
    let mut batch = Vec::with_capacity(BATCH_EVENTS);
    loop {
        let taken = tokio::select! {
            biased;
            taken = outbox.recv_many(&mut batch, BATCH_EVENTS) => taken,
            _ = stop.wait_for(|stop| *stop), if !outbox.is_closed() => {
                outbox.close();
                continue;
            }
        };
        if taken == 0 {
            return;
        }
        let mut wait = RETRY.0;
        while let Err(why) = sink.publish(&batch).await {
            tracing::warn!(%why, events = batch.len(), "events are not acknowledged; again");
            sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
        batch.clear();
    }
}

/// Tells the events of other replicas that are not in the event stream after a while.
pub async fn retell(
    events: Arc<dyn Log>,
    mut foreign: mpsc::Receiver<OutgoingEvent>,
    outbox: mpsc::Sender<OutgoingEvent>,
) {
    let mut waiting = std::collections::VecDeque::<(Instant, OutgoingEvent)>::new();
    loop {
        let due = waiting.front().map(|(at, _)| *at);
        tokio::select! {
            event = foreign.recv(), if waiting.len() < RETELL_EVENTS => match event {
                Some(event) => waiting.push_back((Instant::now() + RETELL_AFTER, event)),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let Some((_, event)) = waiting.pop_front() else { continue };
                if !is_told(&*events, &event).await && outbox.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Whether the newest event on the subject is this one, or a later one that came after it.
async fn is_told(events: &dyn Log, event: &OutgoingEvent) -> bool {
    let Ok(Some(entry)) = events.last(&event.subject).await else { return false };
    serde_json::from_slice::<AgentEvent>(&entry.body).is_ok_and(|told| told.at == event.at)
}
