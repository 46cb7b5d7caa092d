//! What clients asked and were told: the only witness besides the log and the events.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use troupe_domain::{AgentId, Code, Task, TaskId, TaskStatus};

/// What a holder does with its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Start,
    Extend,
    Complete,
    Fail,
    Release,
}

/// A question.
#[derive(Debug, Clone)]
#[allow(dead_code)] // some of it only a reader of the trace wants to know
pub(crate) enum Asked {
    Create { ids: Vec<TaskId> },
    Claim { agent: AgentId },
    Hold { deed: Deed, id: TaskId, agent: AgentId, epoch: u64 },
    Cancel { id: TaskId },
    Revive { id: TaskId },
    Verify { id: TaskId, epoch: u64, by: AgentId, accept: bool },
    See { id: Option<TaskId> },
}

/// A task as a client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) id: TaskId,
    pub(crate) status: TaskStatus,
    pub(crate) epoch: u64,
    /// Not every answer tells it.
    pub(crate) holder: Option<AgentId>,
}

impl Sight {
    pub(crate) fn of(task: &Task) -> Self {
        Self {
            id: task.id.clone(),
            status: task.status,
            epoch: task.epoch,
            holder: task.claimed_by.clone().filter(|_| task.status.is_held()),
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// None came, or it said that the outcome is unknown.
    Unknown,
    Refused(Code),
    /// It was carried out; with what it showed.
    Done {
        sights: Vec<Sight>,
        ids: Vec<TaskId>,
    },
}

/// A question with its answer. `called` and `answered` order everything that clients do.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) asked: Asked,
    pub(crate) answer: Answer,
    pub(crate) called: (u64, Instant),
    pub(crate) answered: (u64, Instant),
}

#[derive(Debug, Default)]
struct Pages {
    ops: Vec<Op>,
    clock: u64,
    lines: Vec<String>,
}

/// Everything that clients asked, in the order of the answers.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pages: Arc<Mutex<Pages>>,
    began: Instant,
    loud: bool,
}

impl History {
    pub(crate) fn new(loud: bool) -> Self {
        Self { pages: Arc::default(), began: Instant::now(), loud }
    }

    /// A question goes out.
    pub(crate) fn call(&self) -> (u64, Instant) {
        let mut pages = self.pages.lock();
        pages.clock += 1;
        (pages.clock, Instant::now())
    }

    /// Its answer is there.
    pub(crate) fn answer(&self, called: (u64, Instant), asked: Asked, answer: Answer) {
        let answered = self.call();
        let since = called.1.duration_since(self.began).as_millis();
        self.note(|| format!("(since {since}) {asked:?} -> {answer:?}"));
        self.pages.lock().ops.push(Op { asked, answer, called, answered });
    }

    /// A line for whoever replays the seed.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let line = format!("{:>7} {}", self.began.elapsed().as_millis(), line());
        if self.loud {
            println!("{line}");
        }
        self.pages.lock().lines.push(line);
    }

    pub(crate) fn ops(&self) -> Vec<Op> {
        self.pages.lock().ops.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.pages.lock().lines.clone()
    }
}
