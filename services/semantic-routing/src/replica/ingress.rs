//! What agents publish themselves: the owner of a shard takes its part of each way's stream in, in
//! order.
//!
//! Invariants: how far a way was taken in is in the shard's own log, stored with what came, so that
//! each message enters once however often the owner changes; what cannot be understood goes to the
//! dead letters and never stops the reading; what was taken in is purged, so that the stream, which
//! refuses when it is full, is as long as routing is behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_bus::follow::{Follower, Published};
use troupe_bus::log::StreamLog;
use troupe_bus::port::{Log, ReadError};
use troupe_contract::ingress::Way;
use troupe_domain::{Fault, Timestamp};

use super::admission::Admission;
use crate::handlers::{Router, Shard};
use crate::rules::record::IngressPlace;
use crate::rules::request::RoutingRequest;

/// The stream in which an earlier version kept mailboxes: its subjects are those of an ingress stream.
const FORMER_STREAM: &str = "TROUPE_MAILBOXES";
/// Messages of one way and shard on their way here.
const MAX_AHEAD: u16 = 64;
/// Messages that are taken in together.
const MAX_BATCH_MESSAGES: usize = 64;
/// Bytes of them, about.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How often what was taken in is purged.
const PURGE_EVERY: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Why a way is not taken in for the moment.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Stream(#[from] ConnectError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{0}")]
    Shard(Fault),
    #[error("the stream was made at {0}, before the one of which messages were taken in")]
    Older(Timestamp),
}

/// What is published, as one replica takes it in.
#[derive(Debug)]
pub struct Ingress {
    /// Where the streams are.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
    /// What admits messages.
    pub admission: Admission,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
}

/// The readers of one shard; they end when this is dropped.
struct Readers {
    shard: Arc<Shard>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Makes the streams: before anything runs, because they may be refused.
pub async fn open_streams(
    bus: &Bus,
    shards: u16,
    stream_replicas: usize,
) -> Result<(), ConnectError> {
    bus.retire_stream(FORMER_STREAM).await?;
    for way in Way::ALL {
        bus.open_stream(&way.stream(shards), stream_replicas).await?;
    }
    Ok(())
}

impl Ingress {
    /// Takes in for the shards that are here, until it is aborted.
    pub async fn run(self) {
        let ingress = Arc::new(self);
        let mut changes = ingress.router.changes();
        let mut readers: BTreeMap<u16, Readers> = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let owned = ingress.router.local();
            readers
                .retain(|_, reading| owned.iter().any(|shard| Arc::ptr_eq(shard, &reading.shard)));
            for shard in owned {
                readers.entry(shard.number()).or_insert_with(|| {
                    let read = |way| tokio::spawn(ingress.clone().take_in(shard.clone(), way));
                    Readers { tasks: Way::ALL.map(read).into(), shard: shard.clone() }
                });
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes in one way for one shard, for as long as it is owned.
    async fn take_in(self: Arc<Self>, shard: Arc<Shard>, way: Way) {
        let mut wait = FIRST_RETRY;
        while shard.closed().is_none() {
            let began = Instant::now();
            if let Err(why) = self.follow(&shard, way).await
                && shard.closed().is_none()
            {
                tracing::warn!(shard = shard.number(), way = way.token(), %why, "taking in again");
                if began.elapsed() > LAST_RETRY {
                    wait = FIRST_RETRY;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LAST_RETRY);
            }
        }
    }

    async fn follow(&self, shard: &Arc<Shard>, way: Way) -> Result<(), Interrupted> {
        // Opened each time: it may have been made anew.
        let spec = way.stream(self.router.shards());
        let log = self.bus.open_stream(&spec, self.stream_replicas).await?;
        let made_at = log.made_at();
        let known = shard.look(|state| state.ingested(way));
        if made_at < known.stream_made_at {
            return Err(Interrupted::Older(made_at));
        }
        let taken = if made_at == known.stream_made_at { known.sequence } else { 0 };
        let filter = way.filter(shard.number());
        let mut follower = log.follow(&filter, taken + 1).ahead(MAX_AHEAD);
        let mut sweeper = Sweeper { log, filter, made_at, taken, swept: 0, due: Instant::now() };
        loop {
            let first = tokio::select! {
                biased;
                first = follower.published() => first?,
                () = sweeper.due() => {
                    sweeper.sweep().await;
                    continue;
                }
            };
            let batch = batch(first, &mut follower);
            let last = batch.last().map_or(0, |published| published.entry.sequence);
            let place = |sequence| IngressPlace { stream_made_at: made_at, sequence };
            let items = self.admission.admit(shard, way, &batch, place).await;
            let taken = shard.call(RoutingRequest::Ingest { items }).await;
            taken.map_err(Interrupted::Shard)?;
            sweeper.taken(last);
        }
    }
}

/// What is here already goes along with the first.
fn batch(first: Published, follower: &mut Follower) -> Vec<Published> {
    let mut bytes = first.entry.body.len();
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH_MESSAGES && bytes < MAX_BATCH_BYTES {
        match follower.published_now() {
            Some(Ok(next)) => {
                bytes += next.entry.body.len();
                batch.push(next);
            }
            // What was read is taken in; whatever is wrong is met again.
            Some(Err(_)) | None => break,
        }
    }
    batch
}

/// Purges what was taken in.
struct Sweeper {
    log: StreamLog,
    filter: String,
    made_at: Timestamp,
    /// Taken in and stored up to here.
    taken: u64,
    /// Purged up to here.
    swept: u64,
    due: Instant,
}

impl Sweeper {
    fn taken(&mut self, sequence: u64) {
        if self.taken == self.swept {
            self.due = Instant::now() + PURGE_EVERY;
        }
        self.taken = sequence;
    }

    /// Returns when there is something to purge, and it is time.
    async fn due(&self) {
        if self.taken == self.swept {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep_until(self.due).await;
    }

    async fn sweep(&mut self) {
        self.due = Instant::now() + PURGE_EVERY;
        let (below, made_at) = (self.taken + 1, self.made_at);
        let swept = async {
            // Of a stream that was made anew nothing was taken in yet.
            if self.log.made_at_now().await? == made_at {
                self.log.purge_below(&self.filter, below).await?;
            }
            Ok::<_, ReadError>(())
        };
        match swept.await {
            Ok(()) => self.swept = self.taken,
            Err(why) => tracing::warn!(filter = self.filter, %why, "what was taken in stays"),
        }
    }
}
