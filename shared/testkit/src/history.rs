//! A checker of histories: reads what happened to tasks from the event stream alone, and says which
//! promise was broken.
//!
//! Events are told at least once, so what carries the same `ce-id` counts once; the id is the place
//! of the cause in its shard's log, which gives the order even where a broken connection made the
//! stream store two events the wrong way round. Nothing here trusts a service's own counters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, consumer::pull};
use futures::StreamExt;
use tokio::time::timeout;

use troupe_contract::event::{self, TaskEvent, TaskEventKind};
use troupe_contract::{stream, subject};
use troupe_domain::{AgentId, Json, TaskId, TaskStatus};

use crate::nats::NatsServer;

const READ_STALL_SECONDS: u64 = 20;

/// The place of an event's cause: shard, sequence in its log, number within the batch.
pub type Place = (u16, u64, usize);

/// What happened to tasks, in the order of its causes.
#[derive(Debug, Default)]
pub struct History {
    events: Vec<(Place, TaskEvent)>,
    /// Events that came more than once.
    pub repeated: usize,
    /// Events that the stream holds after one that they caused.
    pub late: usize,
}

/// What callers were told: promises to be found in the history.
#[derive(Debug, Default, Clone)]
pub struct Acknowledged {
    /// Tasks that were created.
    pub created: BTreeSet<TaskId>,
    /// Tasks that were claimed: epoch and holder.
    pub claimed: Vec<(TaskId, u64, AgentId)>,
    /// Tasks whose completion was accepted: epoch and result.
    pub completed: Vec<(TaskId, u64, Option<Json>)>,
}

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A task's first event is its creation, and there is one.
    CreatedOnce,
    /// At most one agent holds a task at an epoch.
    OneHolderPerEpoch,
    /// Each claim is at the epoch after the former one.
    EpochsIncrease,
    /// Only the holder at the newest epoch moves a task that is held, and only while it holds it.
    NothingFromAStaleEpoch,
    /// A task ends at most once before it is revived, and nothing but a revival follows.
    OneOutcome,
    /// Every task ends.
    EveryTaskEnds,
    /// What was acknowledged as created was created.
    AcknowledgedCreates,
    /// What was acknowledged as claimed was claimed by that agent at that epoch.
    AcknowledgedClaims,
    /// What was acknowledged as completed was completed at that epoch with that result.
    AcknowledgedCompletions,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// For which task.
    pub task_id: TaskId,
    /// How.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.rule, self.task_id, self.why)
    }
}

impl History {
    /// Reads every task's events from the event stream of `nats`.
    pub async fn read(nats: &NatsServer) -> Result<Self> {
        let context = jetstream::new(nats.connect().await?);
        let mut stream = context.get_stream(stream::events().name).await?;
        let last = stream.info().await?.state.last_sequence;
        let filter_subject = subject::events_of(event::TASK);
        let config = pull::OrderedConfig { filter_subject, ..pull::OrderedConfig::default() };
        let consumer = stream.create_consumer(config).await?;
        let mut left = consumer.cached_info().num_pending;
        let mut messages = consumer.messages().await?;
        let mut told = Vec::new();
        while left > 0 {
            let limit = Duration::from_secs(READ_STALL_SECONDS);
            let next = timeout(limit, messages.next()).await.context("no event came in time")?;
            let message = next.context("the consumer ended")??;
            let info = message.info().map_err(|why| anyhow::anyhow!("{why}"))?;
            left = if info.stream_sequence >= last { 0 } else { info.pending };
            let events = event::decode(&message.payload).context("no batch of events")?;
            told.extend(events.into_iter().map(|event| (event.id, event.data)));
        }
        Self::of(told)
    }

    /// The history that events tell: id and data, in the order of the stream.
    pub fn of(told: impl IntoIterator<Item = (String, TaskEvent)>) -> Result<Self> {
        let mut history = Self::default();
        let mut seen = BTreeSet::new();
        let mut newest: BTreeMap<TaskId, Place> = BTreeMap::new();
        for (id, event) in told {
            let place = place_of(&id).with_context(|| format!("{id:?} is not a place in a log"))?;
            if !seen.insert(place) {
                history.repeated += 1;
                continue;
            }
            let newest = newest.entry(event.task_id.clone()).or_insert(place);
            history.late += usize::from(place < *newest);
            *newest = place.max(*newest);
            history.events.push((place, event));
        }
        history.events.sort_by_key(|(place, _)| *place);
        Ok(history)
    }

    /// Every event, in the order of its causes within each shard.
    pub fn events(&self) -> impl Iterator<Item = &TaskEvent> {
        self.events.iter().map(|(_, event)| event)
    }

    /// The events of one task.
    pub fn of_task<'a>(&'a self, id: &'a TaskId) -> impl Iterator<Item = &'a TaskEvent> {
        self.events().filter(move |event| event.task_id == *id)
    }

    /// How many events of a kind there are.
    pub fn count(&self, kind: TaskEventKind) -> usize {
        self.events().filter(|event| event.event == kind).count()
    }

    /// Tasks that have not ended, or came back since.
    pub fn open_tasks(&self) -> BTreeSet<TaskId> {
        let mut open = BTreeSet::new();
        for event in self.events() {
            if is_end(event.event) {
                open.remove(&event.task_id);
            } else if matches!(event.event, TaskEventKind::TaskCreated | TaskEventKind::TaskRevived)
            {
                open.insert(event.task_id.clone());
            }
        }
        open
    }

    /// Every broken promise of a history that may still go on.
    pub fn check(&self, acknowledged: &Acknowledged) -> Vec<Violation> {
        let mut lives: BTreeMap<&TaskId, Life> = BTreeMap::new();
        let mut found = Vec::new();
        for event in self.events() {
            let life = lives.entry(&event.task_id).or_default();
            if let Err((rule, why)) = life.follow(event) {
                found.push(Violation { rule, task_id: event.task_id.clone(), why });
            }
        }
        acknowledged.check(&lives, &mut found);
        found
    }

    /// Every broken promise of a history in which all work is done.
    pub fn check_ended(&self, acknowledged: &Acknowledged) -> Vec<Violation> {
        let mut found = self.check(acknowledged);
        found.extend(self.open_tasks().into_iter().map(|task_id| {
            let last = self.of_task(&task_id).last().map(|event| event.event);
            let why = format!("it has not ended; the last event is {last:?}");
            Violation { rule: Rule::EveryTaskEnds, task_id, why }
        }));
        found
    }
}

/// `work-<shard>-<sequence>-<number>`
fn place_of(id: &str) -> Option<Place> {
    let mut parts = id.strip_prefix("work-")?.splitn(3, '-');
    let mut next = || parts.next();
    Some((next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?))
}

fn is_end(kind: TaskEventKind) -> bool {
    use TaskEventKind as K;
    matches!(kind, K::TaskCompleted | K::TaskFailed | K::TaskCancelled | K::TaskDead)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Unborn,
    Waiting,
    Held,
    Reported,
    Ended,
}

/// One task's life, as far as it was followed.
#[derive(Debug, Default)]
struct Life {
    stage: Stage,
    holders: BTreeMap<u64, AgentId>,
    completions: BTreeMap<u64, Option<Json>>,
}

type Broken = (Rule, String);

impl Life {
    fn epoch(&self) -> u64 {
        self.holders.last_key_value().map_or(0, |(epoch, _)| *epoch)
    }

    fn follow(&mut self, event: &TaskEvent) -> Result<(), Broken> {
        use TaskEventKind as K;
        if (self.stage == Stage::Unborn) != (event.event == K::TaskCreated) {
            let stage = self.stage;
            self.stage = if stage == Stage::Unborn { Stage::Waiting } else { stage };
            return Err((Rule::CreatedOnce, format!("{:?} comes when {stage:?}", event.event)));
        }
        if self.stage == Stage::Ended && event.event != K::TaskRevived {
            return Err((Rule::OneOutcome, format!("{:?} comes after the end", event.event)));
        }
        if event.event == K::TaskClaimed {
            return self.claimed(event);
        }
        let stage = self.stage;
        let result = self.check_epoch(event);
        if event.event == K::TaskCompleted {
            let result = event.task.as_ref().and_then(|task| task.result.clone());
            self.completions.insert(event.epoch, result);
        }
        self.stage = match event.event {
            K::TaskReported => Stage::Reported,
            kind if is_end(kind) => Stage::Ended,
            K::TaskStarted | K::ProgressStalled => stage,
            _ => Stage::Waiting,
        };
        result
    }

    fn claimed(&mut self, event: &TaskEvent) -> Result<(), Broken> {
        let (former, held) = (self.epoch(), self.stage == Stage::Held);
        let Some(by) = event.by.clone() else {
            return Err((Rule::OneHolderPerEpoch, "a claim by nobody".to_owned()));
        };
        self.stage = Stage::Held;
        if let Some(other) = self.holders.get(&event.epoch) {
            let why = format!("{other} and {by} claim it at epoch {}", event.epoch);
            return Err((Rule::OneHolderPerEpoch, why));
        }
        self.holders.insert(event.epoch, by);
        if event.epoch != former + 1 {
            let why = format!("epoch {} is claimed after epoch {former}", event.epoch);
            return Err((Rule::EpochsIncrease, why));
        }
        if held {
            let why = format!("epoch {} is claimed while {former} is held", event.epoch);
            return Err((Rule::OneHolderPerEpoch, why));
        }
        Ok(())
    }

    /// What an event needs of the hold it speaks of.
    fn check_epoch(&self, event: &TaskEvent) -> Result<(), Broken> {
        use TaskEventKind as K;
        let stale = |why: String| Err((Rule::NothingFromAStaleEpoch, why));
        let (kind, newest) = (event.event, self.epoch());
        if event.epoch != newest {
            return stale(format!("{kind:?} at epoch {}, the newest is {newest}", event.epoch));
        }
        let allowed: &[Stage] = match kind {
            K::TaskStarted
            | K::TaskReported
            | K::TaskRetrying
            | K::TaskReleased
            | K::LeaseExpired
            | K::ProgressStalled
            | K::TaskFailed => &[Stage::Held],
            K::TaskCompleted | K::TaskDead => &[Stage::Held, Stage::Reported],
            K::TaskRejected => &[Stage::Reported],
            K::TaskUnblocked => &[Stage::Waiting],
            K::TaskRevived => &[Stage::Ended],
            K::TaskCancelled => &[Stage::Waiting, Stage::Held, Stage::Reported],
            K::TaskCreated | K::TaskClaimed => return Ok(()),
        };
        if !allowed.contains(&self.stage) {
            return stale(format!("{kind:?} at epoch {newest} when {:?}", self.stage));
        }
        let holder = self.holders.get(&newest);
        let spoke = match kind {
            K::TaskStarted
            | K::TaskReported
            | K::TaskRetrying
            | K::TaskReleased
            | K::LeaseExpired
            | K::TaskFailed => event.by.as_ref(),
            K::TaskCompleted => event.task.as_ref().and_then(|task| task.claimed_by.as_ref()),
            _ => return Ok(()),
        };
        if spoke != holder {
            return stale(format!("{kind:?} by {spoke:?}, {holder:?} holds it"));
        }
        Ok(())
    }
}

impl Acknowledged {
    /// Adds what another caller was told.
    pub fn extend(&mut self, other: Self) {
        self.created.extend(other.created);
        self.claimed.extend(other.claimed);
        self.completed.extend(other.completed);
    }

    fn check(&self, lives: &BTreeMap<&TaskId, Life>, found: &mut Vec<Violation>) {
        let mut broken = |rule, task_id: &TaskId, why: String| {
            found.push(Violation { rule, task_id: task_id.clone(), why });
        };
        for id in self.created.iter().filter(|id| !lives.contains_key(id)) {
            broken(Rule::AcknowledgedCreates, id, "no event tells of it".to_owned());
        }
        for (id, epoch, by) in &self.claimed {
            let holder = lives.get(id).and_then(|life| life.holders.get(epoch));
            if holder != Some(by) {
                let why = format!("{by} was given epoch {epoch}; the events say {holder:?}");
                broken(Rule::AcknowledgedClaims, id, why);
            }
        }
        for (id, epoch, result) in &self.completed {
            match lives.get(id).and_then(|life| life.completions.get(epoch)) {
                Some(told) if told == result => {}
                told => {
                    let why = format!("completed at {epoch} with {result:?}; the events: {told:?}");
                    broken(Rule::AcknowledgedCompletions, id, why);
                }
            }
        }
    }
}

/// The status that a task has after its last event.
pub fn final_status(history: &History, id: &TaskId) -> Option<TaskStatus> {
    history.of_task(id).last().map(|event| event.status)
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
