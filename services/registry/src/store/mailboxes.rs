//! How many messages wait in an agent's mailbox: semantic routing knows.
//!
//! Invariants: heartbeats that come together ask together, so that a fleet costs a few questions a
//! second; a heartbeat waits for at most [`COUNT_TIMEOUT`]; while routing does not answer nobody waits
//! for it, and the count is unknown.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::routing::{Pending, PendingRequest};
use troupe_domain::AgentId;
use troupe_domain::limits::MAX_PAGE_ROWS;

/// How long a heartbeat waits for the count.
pub const COUNT_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a question waits for others that go with it.
const GATHER_FOR: Duration = Duration::from_millis(5);
/// How long routing is left alone after it did not answer.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(1);
/// Heartbeats that may wait for their count; the next one goes without.
const MAX_WAITING: usize = 16_384;
/// Questions on their way at once.
const MAX_QUESTIONS: usize = 8;

type Asked = (AgentId, oneshot::Sender<u64>);

/// The mailboxes, as a counter.
#[derive(Debug, Clone)]
pub struct Mailboxes {
    asked: mpsc::Sender<Asked>,
}

/// What answers the counter: to be run beside the heartbeats.
#[derive(Debug)]
pub struct Counting {
    bus: Bus,
    asked: mpsc::Receiver<Asked>,
}

impl Mailboxes {
    /// A counter, and what answers it.
    pub fn new(bus: &Bus) -> (Self, Counting) {
        let (asked, questions) = mpsc::channel(MAX_WAITING);
        (Self { asked }, Counting { bus: bus.clone(), asked: questions })
    }

    /// Messages that wait for `id`; `None` if nobody could tell in time.
    pub async fn pending(&self, id: &AgentId) -> Option<u64> {
        let (answer, counted) = oneshot::channel();
        self.asked.try_send((id.clone(), answer)).ok()?;
        timeout(COUNT_TIMEOUT, counted).await.ok()?.ok()
    }
}

impl Counting {
    /// Gathers questions and asks them, until the counter is gone.
    pub async fn run(mut self) {
        let mut questions: JoinSet<bool> = JoinSet::new();
        let mut alone_until = Instant::now();
        while let Some(first) = self.asked.recv().await {
            let together = self.gather(first).await;
            while let Some(answered) = questions.try_join_next() {
                if answered.is_ok_and(|answered| !answered) {
                    alone_until = Instant::now() + LEFT_ALONE_FOR;
                }
            }
            // Whoever is dropped here learns at once that nobody can tell.
            if Instant::now() < alone_until || questions.len() >= MAX_QUESTIONS {
                continue;
            }
            questions.spawn(ask(self.bus.clone(), together));
        }
    }

    async fn gather(&mut self, first: Asked) -> Vec<Asked> {
        let mut together = vec![first];
        let until = Instant::now() + GATHER_FOR;
        while together.len() < MAX_PAGE_ROWS {
            match tokio::time::timeout_at(until, self.asked.recv()).await {
                Ok(Some(next)) => together.push(next),
                Ok(None) | Err(_) => break,
            }
        }
        together
    }
}

/// Asks routing, and answers; false if it does not tell.
async fn ask(bus: Bus, together: Vec<Asked>) -> bool {
    let (agent_ids, answers): (Vec<AgentId>, Vec<_>) = together.into_iter().unzip();
    let options = CallOptions { retry_unheard: false, ..CallOptions::within(COUNT_TIMEOUT) };
    let reply = bus.call_with::<Pending>(&PendingRequest { agent_ids }, &options).await;
    let counts = match reply {
        Ok(reply) => reply.pending,
        Err(fault) => {
            tracing::debug!(%fault, "routing does not tell how many messages wait");
            return false;
        }
    };
    for (answer, count) in answers.into_iter().zip(counts) {
        // Who asked may have gone on without.
        let _ = answer.send(count);
    }
    true
}
