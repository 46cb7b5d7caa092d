//! Messages until they are acknowledged: so many workers, each of whom sends one, and begins anew
//! when its recipient has acknowledged it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::routing::{
    Ack, AckEffect, AckOutcome, AckRequest, DeliveryRef, Inbox, InboxRequest, Send,
};
use troupe_domain::message::MessageSpec;

use super::stack::Stack;
use crate::agents::{Agent, ask};
use crate::latency::Recorder;
use crate::load::{Loaded, Span, closed_loop};

/// Polls that one agent has under way: while one is being acknowledged another waits.
const POLLS: usize = 2;
/// How long a poll waits: a run ends when the last one has come back.
const WAIT_MS: u64 = 500;
/// Messages that one poll takes.
const TAKEN_MAX: usize = 64;
/// A message that is not acknowledged by then is lost, and the run with it.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// Tells each worker that its message was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Arrivals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    workers: Vec<Notify>,
    over: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Arrivals {
    pub(super) fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Notify::new()).collect();
        Self(Arc::new(Shared { workers, over: AtomicBool::new(false), failure: Mutex::new(None) }))
    }

    /// The message of `worker` was acknowledged.
    pub(super) fn tell(&self, worker: usize) {
        if let Some(waits) = self.0.workers.get(worker) {
            waits.notify_one();
        }
    }

    /// Who takes messages cannot go on.
    pub(super) fn fail(&self, why: &anyhow::Error) {
        self.0.failure.lock().get_or_insert_with(|| format!("{why:#}"));
        self.0.workers.iter().for_each(Notify::notify_one);
    }

    /// Waits until the message of `worker` is acknowledged.
    pub(super) async fn wait(&self, worker: usize) -> Result<()> {
        let told = tokio::time::timeout(LOST_AFTER, self.0.workers[worker].notified()).await;
        if let Some(why) = &*self.0.failure.lock() {
            bail!("messages are no longer taken: {why}");
        }
        told.with_context(|| format!("a message was not acknowledged within {LOST_AFTER:?}"))
    }
}

/// Makes the message number `round` of `worker`. Its subject must be [`subject`].
pub(super) trait Shape:
    Fn(usize, usize) -> MessageSpec + Clone + std::marker::Send + 'static
{
}

impl<F: Fn(usize, usize) -> MessageSpec + Clone + std::marker::Send + 'static> Shape for F {}

/// The subject by which the recipient knows whom to tell.
pub(super) fn subject(worker: usize) -> String {
    worker.to_string()
}

/// Messages by `in_flight` workers over the senders' connections to mailboxes of `agents`.
pub(super) async fn run(
    stack: &Stack,
    senders: &[Bus],
    agents: &[Arc<Agent>],
    in_flight: usize,
    span: Span,
    shape: impl Shape,
    until_acknowledged: &Arc<Recorder>,
) -> Result<Loaded> {
    let arrivals = Arrivals::new(in_flight);
    let mut takers = JoinSet::new();
    for agent in agents {
        for _ in 0..POLLS {
            takers.spawn(take(agent.bus.clone(), arrivals.clone()));
        }
    }
    let others = stack.others();
    let loaded = closed_loop(in_flight, span, &others, |worker, phase| {
        let (bus, arrivals) = (senders[worker % senders.len()].clone(), arrivals.clone());
        let (shape, recorder) = (shape.clone(), until_acknowledged.clone());
        let mut round = 0;
        move || {
            round += 1;
            let (message, bus, arrivals) = (shape(worker, round), bus.clone(), arrivals.clone());
            let (recorder, phase) = (recorder.clone(), phase.clone());
            async move {
                let began = Instant::now();
                ask::<Send>(&bus, &message).await?;
                arrivals.wait(worker).await?;
                if phase.measuring() {
                    recorder.record(began.elapsed());
                }
                Ok(())
            }
        }
    });
    let loaded = loaded.await;
    // A poll that nobody waits for would still take messages, and keep them for a while.
    arrivals.0.over.store(true, Ordering::Relaxed);
    takers.join_all().await;
    loaded
}

/// Takes messages and acknowledges them, until the run is over.
async fn take(bus: Bus, arrivals: Arrivals) {
    while !arrivals.0.over.load(Ordering::Relaxed) {
        if let Err(why) = take_once(&bus, &arrivals).await {
            arrivals.fail(&why);
            return;
        }
    }
}

async fn take_once(bus: &Bus, arrivals: &Arrivals) -> Result<()> {
    let poll =
        InboxRequest { wait_ms: WAIT_MS, max_messages: Some(TAKEN_MAX), ..InboxRequest::default() };
    let taken = ask::<Inbox>(bus, &poll).await?.messages;
    if taken.is_empty() {
        return Ok(());
    }
    let messages = taken.iter().map(|delivered| DeliveryRef {
        message_id: delivered.message.id.clone(),
        sender_id: Some(delivered.message.sender_id.clone()),
        attempt: delivered.delivery_attempts,
    });
    let done = AckRequest {
        messages: messages.collect(),
        outcome: AckOutcome::Acknowledged,
        reason: String::new(),
        forward_to: None,
    };
    let told = ask::<Ack>(bus, &done).await?;
    for (delivered, result) in taken.iter().zip(&told.results) {
        if result.result != AckEffect::Done {
            bail!("an acknowledgement was not taken: {result:?}");
        }
        if let Ok(worker) = delivered.message.subject.parse() {
            arrivals.tell(worker);
        }
    }
    Ok(())
}
