//! Telling events beside requests: until they are acknowledged, and where their writer may have died,
//! once more.
//!
//! Invariant: an event that a write means is told by whoever wrote it, in order; where other replicas
//! know of the write they check a little later, and the event's id makes that one event. What a shard
//! writes needs none of this: its publisher follows the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use troupe_domain::Timestamp;

use crate::port::{EventSink, Log, OutgoingEvent};

/// Events that are told at once.
const BATCH_EVENTS: usize = 256;
/// Events of other replicas that wait to be checked.
pub const RETELL_EVENTS: usize = 65_536;
/// How long another replica has to tell its events.
const RETELL_AFTER: Duration = Duration::from_secs(2);
/// First and longest wait before events are sent again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What tells events, in a task of its own.
#[derive(Debug)]
pub struct Telling {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Telling {
    /// Tells what comes through `outbox`, whose capacity bounds what waits, in order.
    pub fn start(sink: Arc<dyn EventSink>, outbox: mpsc::Receiver<OutgoingEvent>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { task: tokio::spawn(run(sink, outbox, stopped)), stop }
    }

    /// Takes no more, and tells what waits. After `patience` it gives up and says so: false.
    pub async fn drain(mut self, patience: Duration) -> bool {
        self.stop.send_replace(true);
        let told = timeout(patience, &mut self.task).await.is_ok();
        if !told {
            tracing::warn!("events were not told in time");
            self.task.abort();
        }
        told
    }
}

async fn run(
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

/// Tells the events of other replicas that are not in the event stream after a while. The sink must
/// be one whose stream recognises an event by its id.
pub async fn retell(
    events: Arc<dyn Log>,
    mut foreign: mpsc::Receiver<OutgoingEvent>,
    outbox: mpsc::Sender<OutgoingEvent>,
) {
    let mut waiting = VecDeque::<(Instant, OutgoingEvent)>::new();
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

/// The part of every event's data that says when it happened.
#[derive(Deserialize)]
struct Moment {
    at: Timestamp,
}

/// Whether this event is the last word that is kept on its entity. Behind a newer one it is sent again:
/// its id makes that nothing.
async fn is_told(events: &dyn Log, event: &OutgoingEvent) -> bool {
    let Some(kept_on) = &event.kept_on else { return false };
    let Ok(Some(entry)) = events.last(kept_on).await else { return false };
    serde_json::from_slice::<Moment>(&entry.body).is_ok_and(|told| told.at == event.at)
}
