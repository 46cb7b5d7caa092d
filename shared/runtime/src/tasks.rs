//! Tasks by name, each with a policy, and their drain in order.
//!
//! Two stages end in turn. First the services: they see `shutdown`, stop taking requests and
//! finish those they have. Then the tasks behind them, which were still there for those requests,
//! see their own `stop`. Invariants: no task outlives [`Supervisor::drain`]; a critical task that
//! ends before a drain stops the process with an error that names it.

mod policy;
mod scope;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{task::AbortHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use policy::Backoff;
pub use scope::Scope;

/// How many names an error lists.
const LISTED_MAX_TASKS: usize = 20;

/// Why a process stopped otherwise than asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stopped {
    /// Something critical ended.
    #[error("{0}")]
    Failed(Failure),
    /// The drain took longer than it may; what was left has been aborted.
    #[error("the drain took longer than {limit_ms} ms (drain_timeout_ms); aborted: {left}")]
    DrainTimeout {
        /// The limit, in milliseconds.
        limit_ms: u64,
        /// Who was still running.
        left: String,
    },
    /// A second signal cut the drain short.
    #[error("a second signal ({signal}) cut the drain short; aborted: {left}")]
    Aborted {
        /// Which signal.
        signal: &'static str,
        /// Who was still running.
        left: String,
    },
}

/// What ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose task.
    pub service: String,
    /// Its name.
    pub task: String,
    /// What it said last.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: critical task `{}` has ended: {}", self.service, self.task, self.reason)
    }
}

/// Which stage of a drain ends a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Service,
    Task,
}

/// Everything that runs in this process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Somebody wants the process to stop.
    stop_asked: CancellationToken,
    stop_services: CancellationToken,
    stop_tasks: CancellationToken,
    services: TaskTracker,
    tasks: TaskTracker,
    running: Mutex<Running>,
    failure: Mutex<Option<Failure>>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    by_id: BTreeMap<u64, (String, AbortHandle)>,
}

impl Supervisor {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tasks of one service.
    pub fn scope(&self, service: &str) -> Scope {
        Scope::new(self.clone(), service)
    }

    /// Asks for a stop, as a first signal does.
    pub fn stop(&self) {
        self.0.stop_asked.cancel();
    }

    /// Ends when a stop has been asked for, or something critical has failed.
    pub async fn stop_asked(&self) {
        self.0.stop_asked.cancelled().await;
    }

    /// What critical task ended first, if any did.
    pub fn failure(&self) -> Option<Failure> {
        self.0.failure.lock().clone()
    }

    /// Ends the services, then the tasks, within `limit` for both; aborts what is left.
    pub async fn drain(&self, limit: Duration) -> Result<(), Stopped> {
        let deadline = Instant::now() + limit;
        let stages =
            [(&self.0.stop_services, &self.0.services), (&self.0.stop_tasks, &self.0.tasks)];
        for (stop, tracker) in stages {
            stop.cancel();
            tracker.close();
            if tokio::time::timeout_at(deadline, tracker.wait()).await.is_err() {
                let limit_ms = limit.as_millis() as u64;
                return Err(Stopped::DrainTimeout { limit_ms, left: self.abort() });
            }
        }
        match self.failure() {
            Some(failure) => Err(Stopped::Failed(failure)),
            None => Ok(()),
        }
    }

    /// Aborts everything at once; names what was running.
    pub fn abort(&self) -> String {
        self.0.stop_services.cancel();
        self.0.stop_tasks.cancel();
        let running = self.0.running.lock();
        for (_, task) in running.by_id.values() {
            task.abort();
        }
        let mut names: Vec<&str> =
            running.by_id.values().take(LISTED_MAX_TASKS).map(|(name, _)| name.as_str()).collect();
        if running.by_id.len() > LISTED_MAX_TASKS {
            names.push("…");
        }
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    fn is_draining(&self) -> bool {
        self.0.stop_services.is_cancelled()
    }

    fn fail(&self, failure: Failure) {
        tracing::error!(task = failure.task, reason = failure.reason, "a critical task has ended");
        self.0.failure.lock().get_or_insert(failure);
        self.stop();
    }

    fn launch(
        &self,
        stage: Stage,
        name: String,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let tracker = match stage {
            Stage::Service => &self.0.services,
            Stage::Task => &self.0.tasks,
        };
        // Held until the entry is in: a task that ends at once waits here to take it out.
        let mut running = self.0.running.lock();
        let id = running.next;
        running.next += 1;
        let entry = Entry { supervisor: self.clone(), id };
        let task = tracker.spawn(async move {
            let _entry = entry;
            future.await;
        });
        running.by_id.insert(id, (name, task.abort_handle()));
    }
}

/// A task's place in the list of what runs; leaves it however the task ends.
struct Entry {
    supervisor: Supervisor,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.supervisor.0.running.lock().by_id.remove(&self.id);
    }
}
