//! The lanes, shared by callers and workers.
//!
//! Invariant: a job that is in here is answered: by a worker, or by [`Queue::fail_all`].

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use troupe_domain::{Code, Fault};

use crate::Embedding;
use crate::lanes::{Lane, Lanes};
use crate::statistics::Counters;

/// A text, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) text: String,
    pub(crate) reply: oneshot::Sender<Result<Embedding, Fault>>,
}

/// What waits for a worker.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max_queue: usize,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct State {
    lanes: Lanes<Job>,
    /// Workers that wait for a job.
    idle: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(max_queue: usize) -> Self {
        let state = State { lanes: Lanes::new(), idle: 0, closed: false };
        let (changed, counters) = (Condvar::new(), Counters::default());
        Self { state: Mutex::new(state), changed, max_queue, counters }
    }

    /// The answer to come for a normalised text, or why there will be none.
    pub(crate) fn push(
        &self,
        lane: Lane,
        text: String,
    ) -> Result<oneshot::Receiver<Result<Embedding, Fault>>, Fault> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if state.closed {
            return Err(stopped());
        }
        if state.lanes.len() >= self.max_queue {
            self.counters.refused.fetch_add(1, Relaxed);
            return Err(Fault::exhausted("embedding.max_queue", self.max_queue));
        }
        state.lanes.push(lane, text.len(), Job { text, reply });
        drop(state);
        self.changed.notify_one();
        Ok(answer)
    }

    /// The next batch; waits for one. `None` once the queue is closed and empty.
    pub(crate) fn next_batch(&self, max_batch: usize) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        loop {
            let idle = state.idle;
            let batch = state.lanes.next_batch(max_batch, idle, |job| job.reply.is_closed());
            self.counters.skipped.fetch_add(batch.skipped as u64, Relaxed);
            if !batch.items.is_empty() {
                return Some(batch.items);
            }
            if state.closed && state.lanes.len() == 0 {
                return None;
            }
            if state.lanes.len() > 0 {
                // A whole window of texts was given up; what is behind it is looked at next.
                continue;
            }
            state.idle += 1;
            self.changed.wait(&mut state);
            state.idle -= 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().lanes.len()
    }

    /// No more texts; what waits is still answered.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Answers everything that waits with `fault`.
    pub(crate) fn fail_all(&self, fault: &Fault) {
        let jobs = self.state.lock().lanes.drain();
        for job in jobs {
            let _ = job.reply.send(Err(fault.clone()));
        }
    }

    /// Sleeps, or less if the queue is closed meanwhile: then false.
    pub(crate) fn sleep_unless_closed(&self, duration: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.closed, duration);
        !state.closed
    }
}

/// What is said of an embedder that was stopped.
pub(crate) fn stopped() -> Fault {
    Fault::new(Code::Unavailable, "the embedder was stopped")
}
