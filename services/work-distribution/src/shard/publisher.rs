//! The publisher: turns what was stored into events, in order, each at least once.
//!
//! Publishing follows the log and never leads it. How far it got is written into later batches, so that
//! whoever takes the shard over sends again what may be missing; the ids make that safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use troupe_bus::port::{EventSink, OutgoingEvent};

use crate::rules::notice::Notice;

/// Events sent together.
pub const MAX_EVENTS_PER_ROUND: usize = 1_024;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What one batch has to tell.
#[derive(Debug)]
pub struct Parcel {
    /// Where the batch is stored.
    pub sequence: u64,
    /// Its events.
    pub notices: Vec<Notice>,
}

/// How far publishing got.
#[derive(Debug)]
pub struct Published {
    sequence: AtomicU64,
    changed: watch::Sender<u64>,
}

impl Published {
    /// Everything up to `sequence` is published.
    pub fn new(sequence: u64) -> Self {
        Self { sequence: AtomicU64::new(sequence), changed: watch::channel(sequence).0 }
    }

    /// Every event of the batches up to this sequence is acknowledged.
    pub fn get(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    fn set(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Release);
        self.changed.send_replace(sequence);
    }

    /// Waits until everything up to `sequence` is published; false if publishing ended before.
    pub async fn reaches(&self, sequence: u64) -> bool {
        self.changed.subscribe().wait_for(|done| *done >= sequence).await.is_ok()
    }
}

/// Publishes `first`, then what comes through `parcels`, until its senders are gone.
pub async fn run(
    shard: u16,
    events: Arc<dyn EventSink>,
    mut parcels: mpsc::Receiver<Parcel>,
    first: Vec<Parcel>,
    published: Arc<Published>,
) {
    for parcel in first {
        let sequence = parcel.sequence;
        publish(&*events, &into_events(shard, parcel)).await;
        published.set(sequence);
    }
    let mut round = Vec::new();
    while let Some(parcel) = parcels.recv().await {
        let mut sequence = parcel.sequence;
        round.extend(into_events(shard, parcel));
        while round.len() < MAX_EVENTS_PER_ROUND {
            let Ok(parcel) = parcels.try_recv() else { break };
            sequence = parcel.sequence;
            round.extend(into_events(shard, parcel));
        }
        publish(&*events, &round).await;
        round.clear();
        published.set(sequence);
    }
}

fn into_events(shard: u16, parcel: Parcel) -> Vec<OutgoingEvent> {
    let sequence = parcel.sequence;
    let numbered = parcel.notices.into_iter().enumerate();
    numbered.map(|(index, notice)| notice.into_event(shard, sequence, index)).collect()
}

/// Sends until it is acknowledged. A full or absent event stream holds the shard up in the end, and
/// loses nothing.
async fn publish(events: &dyn EventSink, round: &[OutgoingEvent]) {
    let mut wait = FIRST_RETRY;
    while !round.is_empty() {
        match events.publish(round).await {
            Ok(()) => return,
            Err(why) => tracing::warn!(%why, events = round.len(), "events were not acknowledged"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}
