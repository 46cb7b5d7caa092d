//! Group commit on the way to a service: calls that are made at the same time travel together.
//!
//! A call that finds nothing on its way is sent at once, by itself. While [`MAX_FLIGHTS`] messages are
//! on their way the next ones gather, and fly as one when one of those is answered. So it costs a lone
//! call nothing, and makes a crowd's way cheap. Invariants: each call has its own outcome; one that
//! takes long holds up no other; nothing is ever sent twice.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use troupe_contract::Service;
use troupe_contract::batch::{BatchCall, BatchOutcome, BatchReply, BatchRequest, MAX_BATCH_CALLS};
use troupe_contract::subject::{self, BATCH};
use troupe_domain::Fault;

use crate::call::{Answer, Failed, Frame, broken, too_late, unheard};
use crate::connect::Bus;
use crate::lines::{Line, Lines, Silence};
use crate::wire;

/// Messages of gathered calls on their way to one service.
pub(crate) const MAX_FLIGHTS: usize = 2;
/// Calls that wait to be sent; the next one is refused.
pub(crate) const MAX_GATHERED_CALLS: usize = 16_384;
/// Bytes of one batch's calls; a larger call goes by itself.
pub(crate) const MAX_BATCH_BYTES: usize = 512 * 1024;
/// A flight that is not over by then makes room for the next, and its answers are waited for aside.
const FLIGHT_PATIENCE: Duration = Duration::from_millis(100);

/// The calls that gather, by service.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    queues: Mutex<BTreeMap<Service, Queue>>,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    flights: usize,
}

#[derive(Debug)]
struct Waiting {
    call: BatchCall,
    until: Instant,
    answer: oneshot::Sender<Result<Answer, Failed>>,
}

/// Asks `service`, together with whoever else asks it now.
pub(crate) async fn ask(
    bus: &Bus,
    service: Service,
    call: BatchCall,
    left: Duration,
) -> Result<Answer, Failed> {
    let until = Instant::now() + left;
    let (answer, answered) = oneshot::channel();
    let begins = {
        let mut queues = bus.gathering.queues.lock();
        let queue = queues.entry(service).or_default();
        if queue.waiting.len() >= MAX_GATHERED_CALLS {
            let full = Fault::exhausted("MAX_GATHERED_CALLS", MAX_GATHERED_CALLS);
            return Err(Failed::Told(full));
        }
        queue.waiting.push_back(Waiting { call, until, answer });
        let begins = queue.flights < MAX_FLIGHTS;
        queue.flights += usize::from(begins);
        begins
    };
    if begins {
        tokio::spawn(fly(bus.clone(), service));
    }
    match tokio::time::timeout_at(until, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(too_late(&subject::request_of(service, BATCH, &bus.name))),
    }
}

/// Sends what gathers, until there is nothing.
async fn fly(bus: Bus, service: Service) {
    loop {
        let calls = {
            let mut queues = bus.gathering.queues.lock();
            let queue = queues.entry(service).or_default();
            let calls = queue.take();
            if calls.is_empty() {
                queue.flights -= 1;
                return;
            }
            calls
        };
        let mut flight = tokio::spawn(send(bus.clone(), service, calls));
        // Whoever it was for is answered, or finds out by its own deadline.
        let _ = tokio::time::timeout(FLIGHT_PATIENCE, &mut flight).await;
    }
}

impl Queue {
    /// What flies together next. Whoever does not wait any more is passed over.
    fn take(&mut self) -> Vec<Waiting> {
        let mut calls = Vec::new();
        let mut bytes = 0;
        while calls.len() < MAX_BATCH_CALLS
            && let Some(next) = self.waiting.front()
        {
            bytes += next.call.request.len();
            if bytes > MAX_BATCH_BYTES && !calls.is_empty() {
                break;
            }
            calls.extend(self.waiting.pop_front().filter(|next| !next.answer.is_closed()));
        }
        calls
    }
}

async fn send(bus: Bus, service: Service, mut calls: Vec<Waiting>) {
    if calls.len() > 1 {
        return Batch::new(&bus, service, calls).fly().await;
    }
    let Some(Waiting { call, until, answer }) = calls.pop() else { return };
    let subject = subject::request_of(service, &call.operation, &bus.name);
    let left = until.saturating_duration_since(Instant::now());
    let body = Bytes::copy_from_slice(call.request.get().as_bytes());
    let sent = bus.send_alone(&subject, body, &Frame::of(&call), left).await;
    let _ = answer.send(sent.map(Answer::Body));
}

/// A batch on its way.
struct Batch<'a> {
    bus: &'a Bus,
    subject: String,
    /// Who waits, by the place of the call.
    open: BTreeMap<usize, oneshot::Sender<Result<Answer, Failed>>>,
    request: BatchRequest,
    /// When the last of them stops waiting.
    until: Instant,
}

impl<'a> Batch<'a> {
    fn new(bus: &'a Bus, service: Service, waiting: Vec<Waiting>) -> Self {
        let until = waiting.iter().map(|one| one.until).max().unwrap_or_else(Instant::now);
        let (calls, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|one| (one.call, one.answer)).unzip();
        Self {
            bus,
            subject: subject::request_of(service, BATCH, &bus.name),
            open: answers.into_iter().enumerate().collect(),
            request: BatchRequest { calls },
            until,
        }
    }

    async fn fly(mut self) {
        let lines = &self.bus.gathering.lines;
        let mut line = match lines.take(self.bus).await {
            Ok(line) => line,
            Err(why) => {
                let why = broken(&self.subject, &why);
                return self.fail(&why);
            }
        };
        match self.exchange(&mut line).await {
            Ok(()) => lines.give_back(line),
            Err(failed) => self.fail(&failed),
        }
    }

    async fn exchange(&mut self, line: &mut Line) -> Result<(), Failed> {
        let body = wire::encode(&self.request).map_err(Failed::Told)?;
        let exchange = line.exchange(self.bus);
        let published =
            self.bus.client.publish_with_reply(self.subject.clone(), exchange.clone(), body);
        published.await.map_err(|why| broken(&self.subject, &why))?;
        while !self.open.is_empty() {
            let left = self.until.saturating_duration_since(Instant::now());
            let message = line.next(&exchange, left).await.map_err(|silence| match silence {
                Silence::Unheard => unheard(&self.subject),
                Silence::TimedOut => too_late(&self.subject),
                Silence::Closed => broken(&self.subject, &"it is closed"),
            })?;
            if let Some(fault) = wire::fault_of(&message) {
                return Err(Failed::Told(fault));
            }
            let reply: BatchReply = serde_json::from_slice(&message.payload)
                .map_err(|why| broken(&self.subject, &why))?;
            for answer in reply.answers {
                let Some(open) = self.open.remove(&answer.call) else { continue };
                let _ = open.send(match answer.outcome {
                    BatchOutcome::Reply(json) => Ok(Answer::Json(json)),
                    BatchOutcome::Fault(fault) => Err(Failed::Told(fault)),
                });
            }
        }
        Ok(())
    }

    fn fail(&mut self, why: &Failed) {
        for (_, open) in std::mem::take(&mut self.open) {
            let _ = open.send(Err(why.clone()));
        }
    }
}
