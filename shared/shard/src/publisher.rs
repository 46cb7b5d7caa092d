//! The publisher: turns what was stored into events, in order, each at least once.
//!
//! Publishing follows the log and never leads it. Rounds keep a distance, so that what happens at about
//! the same time travels together; after a silence the first event goes at once.
//! How far it got is written into later batches, so that whoever takes the shard over sends again what
//! may be missing; the ids make that safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use troupe_bus::port::{EventSink, OutgoingEvent};
use troupe_contract::Service;

use crate::notice::Notice;

/// Time from the start of one round to the next.
pub const ROUND_DISTANCE: Duration = Duration::from_millis(10);
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

/// The events of one shard on their way out.
pub(crate) struct Publisher {
    pub(crate) service: Service,
    pub(crate) shard: u16,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) published: Arc<Published>,
}

impl Publisher {
    /// Publishes `first`, then what comes through `parcels`, until its senders are gone.
    pub(crate) async fn run(self, first: Vec<Parcel>, mut parcels: mpsc::Receiver<Parcel>) {
        let mut round = Vec::new();
        for parcel in first {
            let sequence = self.pack(parcel, &mut round);
            self.publish(&mut round, sequence).await;
        }
        let mut next_round = Instant::now();
        while let Some(parcel) = parcels.recv().await {
            sleep_until(next_round).await;
            next_round = Instant::now() + ROUND_DISTANCE;
            let mut sequence = self.pack(parcel, &mut round);
            while round.len() < MAX_EVENTS_PER_ROUND {
                let Ok(parcel) = parcels.try_recv() else { break };
                sequence = self.pack(parcel, &mut round);
            }
            self.publish(&mut round, sequence).await;
        }
    }

    fn pack(&self, parcel: Parcel, round: &mut Vec<OutgoingEvent>) -> u64 {
        let Parcel { sequence, notices } = parcel;
        let numbered = notices.into_iter().enumerate();
        round.extend(
            numbered.map(|(index, notice)| {
                notice.into_event(self.service, self.shard, sequence, index)
            }),
        );
        sequence
    }

    /// Sends until it is acknowledged. A full or absent event stream holds the shard up in the end,
    /// and loses nothing.
    async fn publish(&self, round: &mut Vec<OutgoingEvent>, sequence: u64) {
        let mut wait = FIRST_RETRY;
        while !round.is_empty() {
            match self.events.publish(round).await {
                Ok(()) => round.clear(),
                Err(why) => {
                    tracing::warn!(%why, events = round.len(), "events were not acknowledged");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LAST_RETRY);
                }
            }
        }
        self.published.set(sequence);
    }
}
