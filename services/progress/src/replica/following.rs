//! Following what happens to tasks: the owner of the state takes the stream of events in, in order.
//!
//! Invariants: how far it was taken in is in the state's own log, stored with what came, so that each
//! event counts once however often the owner changes; what cannot be understood is passed over with a
//! word and never stops the reading; of a task that is not known work distribution is asked before its
//! event counts. What was there before the stream, or fell out of it, is read from work distribution.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_bus::follow::{Follower, Published};
use troupe_bus::port::ReadError;
use troupe_contract::event::{TASK, TaskEvent};
use troupe_contract::{stream, subject};
use troupe_domain::{Fault, TaskId};

use super::{asking, catching_up};
use crate::handlers::{Router, Shard};
use crate::rules::facts::Fact;
use crate::rules::record::Place;
use crate::rules::request::ProgressRequest;

/// Messages on their way here, each with several events.
const MAX_AHEAD: u16 = 128;
/// Messages that are taken in together.
const MAX_BATCH_MESSAGES: usize = 64;
/// Bytes of them, about.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

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

/// The events of tasks, as one replica takes them in.
#[derive(Debug)]
pub struct Following {
    /// Where the stream is.
    pub bus: Bus,
    /// Where the state is.
    pub router: Arc<Router>,
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

impl Following {
    /// Takes in while the state is here, until it is aborted.
    pub async fn run(self) {
        let following = Arc::new(self);
        let mut changes = following.router.changes();
        let mut reader: Option<Reader> = None;
        loop {
            changes.borrow_and_update();
            let owned = following.router.local().into_iter().next();
            reader = match (owned, reader) {
                (None, _) => None,
                (Some(shard), Some(reader)) if Arc::ptr_eq(&shard, &reader.shard) => Some(reader),
                (Some(shard), _) => {
                    let task = tokio::spawn(following.clone().take_in(shard.clone()));
                    Some(Reader { shard, task })
                }
            };
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn take_in(self: Arc<Self>, shard: Arc<Shard>) {
        let mut wait = FIRST_RETRY;
        while shard.closed().is_none() {
            let began = tokio::time::Instant::now();
            if let Err(why) = self.follow(&shard).await
                && shard.closed().is_none()
            {
                tracing::warn!(%why, "the events of tasks are taken in again");
                if began.elapsed() > LAST_RETRY {
                    wait = FIRST_RETRY;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LAST_RETRY);
            }
        }
    }

    async fn follow(&self, shard: &Arc<Shard>) -> Result<(), Interrupted> {
        // Opened each time: it may have been made anew.
        let log = self.bus.open_stream(&stream::events(), self.stream_replicas).await?;
        let made_at = log.made_at();
        let first = log.first_sequence().await?;
        let known = shard.look(crate::rules::state::ProgressState::heard);
        let taken = known.filter(|known| known.stream_made_at == made_at).map_or(0, |k| k.sequence);
        // Events went before they were heard: whoever still knows must say what they said.
        let lost = known.is_some_and(|known| known.stream_made_at != made_at);
        if lost || taken + 1 < first {
            self.learn(shard, Vec::new(), None, Some(false)).await?;
        }
        let mut follower = log.follow(subject::events_of(TASK), taken + 1).ahead(MAX_AHEAD);
        let reading = catching_up::run(self.bus.clone(), shard.clone());
        let _reading = AbortOnDrop(tokio::spawn(reading));
        loop {
            let batch = batch(follower.published().await?, &mut follower);
            let sequence = batch.last().map_or(taken, |published| published.entry.sequence);
            let facts = self.whole(shard, batch.iter().flat_map(facts_of).collect()).await?;
            let place = Place { stream_made_at: made_at, sequence };
            self.learn(shard, facts, Some(place), None).await?;
        }
    }

    /// Puts what work distribution knows of tasks that are not known before the first event of each.
    async fn whole(&self, shard: &Shard, facts: Vec<Fact>) -> Result<Vec<Fact>, Interrupted> {
        let mut told: BTreeSet<&TaskId> = BTreeSet::new();
        let mut missing: BTreeSet<TaskId> = BTreeSet::new();
        shard.look(|state| {
            // What would not be followed need not be known.
            if state.is_full() {
                return;
            }
            for fact in &facts {
                let task = fact.task();
                if fact.is_whole() {
                    told.insert(task);
                } else if !told.contains(task) && state.task(task).is_none() {
                    missing.insert(task.clone());
                }
            }
        });
        if missing.is_empty() {
            return Ok(facts);
        }
        let missing: Vec<TaskId> = missing.into_iter().collect();
        let seen = asking::ask_all(&self.bus, &missing).await?;
        let seen = seen.into_iter().map(|facts| Fact::Seen(Box::new(facts)));
        Ok(seen.chain(facts).collect())
    }

    async fn learn(
        &self,
        shard: &Shard,
        facts: Vec<Fact>,
        heard: Option<Place>,
        complete: Option<bool>,
    ) -> Result<(), Interrupted> {
        shard.call(ProgressRequest::Learn { facts, heard, complete }).await?;
        Ok(())
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
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

fn facts_of(published: &Published) -> Vec<Fact> {
    match published.events::<TaskEvent>() {
        Ok(events) => {
            events.into_iter().map(|event| Fact::of_event(event.data, Some(&event.id))).collect()
        }
        Err(why) => {
            let subject = &published.entry.subject;
            tracing::error!(subject, %why, "no events of tasks; passed over");
            Vec::new()
        }
    }
}
