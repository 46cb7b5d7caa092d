//! Following the tasks of items: what happens to a task moves its item, and a task that could not be
//! made is made.
//!
//! Invariants: how far the events of tasks were followed is in the shard's own log, so that none is
//! missed when the owner changes, and one that comes twice moves nothing twice; a shard none of whose
//! items has a task follows nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use troupe_bus::follow::{Follower, Published};
use troupe_bus::log::StreamLog;
use troupe_contract::event::{self, CloudEvent, ProgressEvent, ProgressEventKind, TaskEvent};
use troupe_contract::subject;
use troupe_domain::{Fault, Timestamp};

use crate::handlers::{Plans, Shard, dispatching};
use crate::rules::record::Place;
use crate::rules::request::{News, PlanRequest, TaskMoved};

/// Events on their way here.
const MAX_AHEAD: u16 = 256;
/// How often it is looked whether there is something to follow, or a task to make.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Messages about other tasks that are passed over before the place is written down.
const PLACE_AFTER_MESSAGES: u64 = 10_000;
/// A task that was to be made so long ago is made again.
const LATE_MS: i64 = 3_000;
/// Tasks that are made again in one round.
const MAX_LATE: usize = 64;

/// Follows the tasks of this replica's shards.
#[derive(Debug)]
pub struct Following {
    /// What every handler needs.
    pub plans: Arc<Plans>,
    /// The event stream.
    pub events: StreamLog,
}

/// The follower of one shard; it ends when this is dropped.
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
    /// Follows until it is aborted.
    pub async fn run(self) {
        let following = Arc::new(self);
        let router = following.plans.router.clone();
        let mut changes = router.changes();
        let mut readers: BTreeMap<u16, Reader> = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let owned = router.local();
            readers.retain(|_, reading| owned.iter().any(|s| Arc::ptr_eq(s, &reading.shard)));
            for shard in owned {
                readers.entry(shard.number()).or_insert_with(|| Reader {
                    task: tokio::spawn(following.clone().follow(shard.clone())),
                    shard,
                });
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Follows for one shard, for as long as it is owned.
    async fn follow(self: Arc<Self>, shard: Arc<Shard>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut at: Option<At> = None;
        while shard.closed().is_none() {
            let next = async {
                match &mut at {
                    Some(at) => at.follower.published().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = look.tick() => {
                    self.make_late(&shard).await;
                    at = self.place(&shard, at);
                }
                read = next => match (read, &mut at) {
                    (Ok(published), Some(at)) => self.take(&shard, at, published).await,
                    (Err(why), _) => {
                        tracing::debug!(%why, "following tasks again");
                        at = None;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Where to follow: nowhere, where the shard has no tasks; where it was, or else where the shard's
    /// log says.
    fn place(&self, shard: &Arc<Shard>, at: Option<At>) -> Option<At> {
        let known = shard.look(|state| state.followed)?;
        if at.as_ref().is_some_and(|at| at.made_at == known.stream_made_at) {
            return at;
        }
        let made_at = self.events.made_at();
        // A stream that was made anew is read from its beginning.
        let from = if made_at == known.stream_made_at { known.sequence + 1 } else { 1 };
        let reports = subject::event(event::PROGRESS, ProgressEventKind::ProgressReported.token());
        let follower = self.events.follow(subject::events_of(event::TASK), from);
        let follower = follower.and(reports).ahead(MAX_AHEAD);
        Some(At { follower, made_at: known.stream_made_at, stream: made_at, passed: 0 })
    }

    /// A message is applied whole: what it tells moves items in one write, with its place.
    async fn take(&self, shard: &Arc<Shard>, at: &mut At, published: Published) {
        let place = Place { stream_made_at: at.stream, sequence: published.entry.sequence };
        let mut moves = told(&published);
        moves.retain(|moved| shard.look(|state| state.is_linked(&moved.task)));
        if moves.is_empty() {
            at.passed += 1;
            if at.passed >= PLACE_AFTER_MESSAGES {
                at.passed = 0;
                // Should it fail, events of other tasks are passed over once more.
                let _ = shard.call(PlanRequest::Followed(place)).await;
            }
            return;
        }
        at.passed = 0;
        if let Err(fault) = shard.call(PlanRequest::TasksMoved { moves, place }).await {
            // Whoever owns the shard next follows from the same place.
            tracing::warn!(%fault, "items were not moved");
        }
    }

    /// Makes the tasks that could not be made when their items were dispatched.
    async fn make_late(&self, shard: &Arc<Shard>) {
        let before = Timestamp::from_millis(self.plans.world.now().as_millis() - LATE_MS);
        let late = shard.look(|state| state.unconfirmed(before, MAX_LATE));
        let began = Instant::now();
        for (task, link, item) in late {
            let made: Result<(), Fault> =
                dispatching::create(&self.plans.bus, &link.plan, &item, &task, link.role).await;
            if let Err(why) = made {
                tracing::warn!(%why, %task, "a task cannot be made yet");
                if began.elapsed() > LOOK_EVERY {
                    return;
                }
                continue;
            }
            let _ = shard.call(PlanRequest::Confirm { task }).await;
        }
    }
}

/// Where a shard follows.
struct At {
    follower: Follower,
    /// The stream that the shard's log speaks of.
    made_at: Timestamp,
    /// The stream that is read.
    stream: Timestamp,
    /// Messages about other tasks since a place was written down.
    passed: u64,
}

/// What a message of the event stream tells of tasks.
fn told(published: &Published) -> Vec<TaskMoved> {
    let subject = &published.entry.subject;
    let reports = subject::event(event::PROGRESS, "");
    let told = if subject.starts_with(&reports) {
        published.events().map(|events| events.into_iter().map(reported).collect())
    } else {
        published.events().map(|events| events.into_iter().map(happened).collect())
    };
    told.unwrap_or_else(|why| {
        tracing::error!(subject, %why, "no events of tasks; passed over");
        Vec::new()
    })
}

fn happened(event: CloudEvent<TaskEvent>) -> TaskMoved {
    let trace = event.trace();
    let told = event.data;
    let worked = told.task.filter(|task| task.status.is_terminal());
    let minutes = worked.and_then(|task| Some(task.completed_at?.minutes_since(task.started_at?)));
    TaskMoved {
        task: told.task_id,
        news: News::Event(told.event),
        by: told.by,
        reason: told.reason,
        minutes: minutes.map(|minutes| minutes.round() as u64),
        trace,
    }
}

fn reported(event: CloudEvent<ProgressEvent>) -> TaskMoved {
    let trace = event.trace();
    let told = event.data;
    TaskMoved {
        task: told.task_id,
        news: News::Progress(told.percentage as u8),
        by: told.agent_id,
        reason: None,
        minutes: None,
        trace,
    }
}
