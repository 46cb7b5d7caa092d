//! Learning from what happens in the fleet: the owner of the namespace that it goes to takes the events
//! of tasks and of feedback in, in order.
//!
//! Invariants: how far they were taken in is in the shard's own log, stored with what was learned, so
//! that nothing is learned twice or missed when the owner changes; what cannot be understood is passed
//! over with a word and never stops the reading.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_bus::follow::{Follower, Published};
use troupe_bus::port::ReadError;
use troupe_contract::event::{FEEDBACK, TASK};
use troupe_contract::{stream, subject};
use troupe_domain::Fault;
use troupe_domain::memory::Namespace;
use troupe_shard::place::shard_of;

use super::learned::{Lessons, of_feedback, of_task};
use crate::handlers::{Router, Shard};
use crate::rules::record::Heard;
use crate::rules::request::MemoryRequest;

/// Messages on their way here, each with several events.
const MAX_AHEAD: u16 = 128;
/// Messages that are taken in together.
const MAX_BATCH_MESSAGES: usize = 64;
/// Bytes of what is learned at once, about.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How long messages gather: most of them teach nothing, and each batch is a write.
const GATHER: Duration = Duration::from_millis(200);
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Why the events are not taken in for the moment.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Stream(#[from] ConnectError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{0}")]
    Shard(#[from] Fault),
}

/// The events of tasks, as one replica learns from them.
#[derive(Debug)]
pub struct Learning {
    /// Where the stream is.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
    /// Where what is learned goes.
    pub namespace: Namespace,
    /// Replicas of the stream in the NATS cluster.
    pub stream_replicas: usize,
}

/// The reader; it ends when this is dropped.
struct Reader {
    shard: Arc<Shard>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Learning {
    /// Learns while the namespace is here, until it is aborted.
    pub async fn run(self) {
        let learning = Arc::new(self);
        let number = shard_of(learning.namespace.as_str(), learning.router.shards());
        let mut changes = learning.router.changes();
        let mut reader: Option<Reader> = None;
        loop {
            changes.borrow_and_update();
            reader = match (learning.router.find(number), reader) {
                (None, _) => None,
                (Some(shard), Some(reader)) if Arc::ptr_eq(&shard, &reader.shard) => Some(reader),
                (Some(shard), _) => {
                    let task = tokio::spawn(learning.clone().take_in(shard.clone()));
                    Some(Reader { shard, task })
                }
            };
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn take_in(self: Arc<Self>, shard: Arc<Shard>) {
        let mut wait = RETRY.0;
        while shard.closed().is_none() {
            let began = tokio::time::Instant::now();
            if let Err(why) = self.follow(&shard).await
                && shard.closed().is_none()
            {
                tracing::warn!(%why, "the events of tasks are learned from again");
                if began.elapsed() > RETRY.1 {
                    wait = RETRY.0;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
        }
    }

    async fn follow(&self, shard: &Arc<Shard>) -> Result<(), Interrupted> {
        let log = self.bus.open_stream(&stream::events(), self.stream_replicas).await?;
        let made_at = log.made_at();
        let known = shard.look(crate::rules::state::MemoryState::heard);
        let taken = known.filter(|known| known.stream_made_at == made_at).map_or(0, |k| k.sequence);
        let follower = log.follow(subject::events_of(TASK), taken + 1);
        let mut follower = follower.and(subject::events_of(FEEDBACK)).ahead(MAX_AHEAD);
        loop {
            let first = follower.published().await?;
            tokio::time::sleep(GATHER).await;
            let (lessons, sequence) = self.batch(first, &mut follower);
            let Lessons { memories, outcomes } = lessons;
            let heard = Heard { stream_made_at: made_at, sequence };
            shard.call(MemoryRequest::Learn { memories, outcomes, heard }).await?;
        }
    }

    /// What is here already goes along with the first.
    fn batch(&self, first: Published, follower: &mut Follower) -> (Lessons, u64) {
        let mut sequence = first.entry.sequence;
        let mut lessons = self.learned(&first);
        let mut bytes = lessons.bytes();
        for _ in 1..MAX_BATCH_MESSAGES {
            if bytes >= MAX_BATCH_BYTES {
                break;
            }
            // What was read is taken in; whatever is wrong is met again.
            let Some(Ok(next)) = follower.published_now() else { break };
            sequence = next.entry.sequence;
            let more = self.learned(&next);
            bytes += more.bytes();
            lessons.extend(more);
        }
        (lessons, sequence)
    }

    fn learned(&self, published: &Published) -> Lessons {
        let subject = &published.entry.subject;
        let lessons = if subject.starts_with(&subject::event(FEEDBACK, "")) {
            self.each(published, of_feedback)
        } else {
            self.each(published, of_task)
        };
        lessons.unwrap_or_else(|why| {
            tracing::error!(subject, %why, "no events that can be learned from; passed over");
            Lessons::default()
        })
    }

    fn each<T: DeserializeOwned>(
        &self,
        published: &Published,
        of: impl Fn(&T, &str, &Namespace) -> Lessons,
    ) -> Result<Lessons, serde_json::Error> {
        let mut lessons = Lessons::default();
        for event in published.events::<T>()? {
            lessons.extend(of(&event.data, &event.id, &self.namespace));
        }
        Ok(lessons)
    }
}
