//! Timers: what must be looked at when, derived from the tasks themselves.
//!
//! No timer is stored: a replica that takes a shard over derives them anew, and what is overdue fires at
//! once. Snapshots keep only whose stall was told, for a task does not say so.

use std::collections::{BTreeSet, HashMap};

use troupe_domain::{Task, TaskId, TaskStatus, Timestamp};

/// What a timer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// The lease ends.
    Lease,
    /// The wait before a retry ends.
    Retry,
    /// No progress for long.
    Stalled,
    /// The attempt has spent its time.
    Budget,
}

/// A timer that is due.
pub type Due = (TimerKind, TaskId);

/// A lease that was renewed in memory because its holder is alive.
#[derive(Debug, Clone, Copy)]
struct SoftLease {
    epoch: u64,
    until: Timestamp,
    graces: u32,
}

/// Why a lease is renewed in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Its holder is alive and at work.
    Alive,
    /// Somebody is being asked; it fires again if no answer comes.
    Asking,
    /// Nobody knows; counted, because it is given once.
    Grace,
}

/// All timers of a shard.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeSet<(Timestamp, TimerKind, TaskId)>,
    soft: HashMap<TaskId, SoftLease>,
    stalled: HashMap<TaskId, u64>,
    stalled_after_ms: u64,
}

impl Timers {
    /// No timers; a task is stalled after `stalled_after_ms` without progress.
    pub fn new(stalled_after_ms: u64) -> Self {
        Self { stalled_after_ms, ..Self::default() }
    }

    /// Arms the timers of a task; `former` is the epoch that it had when it was disarmed. What was
    /// granted in memory counts for one hold.
    pub fn arm_anew(&mut self, task: &Task, former: Option<u64>) {
        if former.is_some_and(|former| !task.status.is_held() || former != task.epoch) {
            self.soft.remove(&task.id);
            self.stalled.remove(&task.id);
        }
        self.arm(task);
    }

    /// Disarms the timers of a task that is about to change.
    pub fn disarm(&mut self, task: &Task) {
        for (at, kind) in self.of(task) {
            self.queue.remove(&(at, kind, task.id.clone()));
        }
    }

    fn arm(&mut self, task: &Task) {
        for (at, kind) in self.of(task) {
            self.queue.insert((at, kind, task.id.clone()));
        }
    }

    fn of(&self, task: &Task) -> impl Iterator<Item = (Timestamp, TimerKind)> + use<> {
        let held = task.status.is_held();
        let at_work = task.status == TaskStatus::InProgress;
        let lease = task.lease_expires_at.filter(|_| held).map(|at| self.lease_end(task, at));
        let retry = task.retry_at.filter(|_| task.status == TaskStatus::Available);
        let told = self.stalled.get(&task.id) == Some(&task.epoch);
        let stalled = task
            .progress_at
            .filter(|_| at_work && !told)
            .map(|at| at.plus_millis(self.stalled_after_ms));
        let budget = task.budget.as_ref().and_then(|b| b.max_duration_ms);
        let spent = match (task.started_at, budget) {
            (Some(at), Some(ms)) if at_work => Some(at.plus_millis(ms + BUDGET_GRACE_MS)),
            _ => None,
        };
        [
            lease.map(|at| (at, TimerKind::Lease)),
            retry.map(|at| (at, TimerKind::Retry)),
            stalled.map(|at| (at, TimerKind::Stalled)),
            spent.map(|at| (at, TimerKind::Budget)),
        ]
        .into_iter()
        .flatten()
    }

    /// When the lease of a held task ends, soft renewals included.
    pub fn lease_end(&self, task: &Task, durable: Timestamp) -> Timestamp {
        match self.soft.get(&task.id) {
            Some(soft) if soft.epoch == task.epoch => soft.until.max(durable),
            _ => durable,
        }
    }

    /// Renews a lease in memory.
    pub fn renew(&mut self, task: &Task, until: Timestamp, why: Renewal) {
        self.disarm(task);
        let before = self.graces(task);
        let graces = match why {
            Renewal::Alive => 0,
            Renewal::Asking => before,
            Renewal::Grace => before + 1,
        };
        self.soft.insert(task.id.clone(), SoftLease { epoch: task.epoch, until, graces });
        self.arm(task);
    }

    /// How many graces in a row the holder of `task` was given.
    pub fn graces(&self, task: &Task) -> u32 {
        self.soft.get(&task.id).filter(|s| s.epoch == task.epoch).map_or(0, |s| s.graces)
    }

    /// The tasks whose stall was told, with the epoch of the hold, by id.
    pub fn stalled(&self) -> Vec<(TaskId, u64)> {
        let mut told: Vec<_> =
            self.stalled.iter().map(|(id, epoch)| (id.clone(), *epoch)).collect();
        told.sort();
        told
    }

    /// Remembers that the stall of this epoch was told.
    pub fn told_stalled(&mut self, task: &Task) {
        self.disarm(task);
        self.stalled.insert(task.id.clone(), task.epoch);
        self.arm(task);
    }

    /// The next moment at which something is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// What is due at `now`, at most `limit`; each stays until its task changes or is renewed.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<Due> {
        self.queue
            .iter()
            .take_while(|(at, ..)| *at <= now)
            .take(limit)
            .map(|(_, kind, id)| (*kind, id.clone()))
            .collect()
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// How long after the budget the service steps in; the agent itself ends the attempt on time.
pub const BUDGET_GRACE_MS: u64 = 5_000;
