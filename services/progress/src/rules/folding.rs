//! Taking in what happened to tasks.
//!
//! Invariants: events come at least once and are counted once, because a task's events grow in their
//! version; what work distribution said of a task when it was asked may be ahead of the events, and
//! what they then say moves the task nowhere, but is counted.

use std::sync::Arc;

use troupe_contract::event::{ProgressEventKind, TaskEventKind};
use troupe_domain::progress::{Percent, ProgressEntry, Regression};
use troupe_domain::{AgentId, Name, TaskId, TaskStatus, Timestamp};

use super::facts::{Fact, Facts};
use super::notice;
use super::state::ProgressState;
use super::task::TaskState;

/// Where a task goes.
struct Move<'a> {
    status: TaskStatus,
    epoch: u64,
    holder: Option<AgentId>,
    started_at: Option<Timestamp>,
    at: Timestamp,
    /// Why a hold ended, in words.
    why: &'a str,
}

/// What a move left behind.
#[derive(Default)]
struct Left {
    /// Who held the task before.
    holder: Option<AgentId>,
    /// What the attempt took that ended with it.
    took_ms: u64,
    blocked_ms: u64,
    /// The percentage that was lost with the hold.
    lost: Option<Arc<ProgressEntry>>,
    bytes: (usize, usize),
}

impl ProgressState {
    /// Takes a fact in.
    pub(super) fn fold(&mut self, fact: &Fact) {
        match fact {
            Fact::Seen(facts) => self.fold_seen(facts),
            Fact::Happened { task, .. } if self.tasks.contains_key(task) => self.fold_event(fact),
            Fact::Happened { event, version, whole: Some(whole), at, .. } => {
                let task = TaskState::new(Facts::clone(whole), *version, false);
                let (holder, id) = (task.holder.clone(), task.id.clone());
                self.track(task);
                self.count(&id, *event, holder.as_ref(), *at);
            }
            // Nothing is known of the task, and the event does not say it: whoever reads the events
            // asks work distribution before.
            Fact::Happened { .. } => {}
        }
    }

    fn fold_seen(&mut self, facts: &Facts) {
        let Some(known) = self.tasks.get(&facts.id) else {
            return self.track(TaskState::new(facts.clone(), None, true));
        };
        let same = (known.status, known.epoch) == (facts.status, facts.epoch);
        if facts.epoch < known.epoch || (!same && facts.updated_at < known.since) {
            return;
        }
        if !same {
            let move_ = Move {
                status: facts.status,
                epoch: facts.epoch,
                holder: facts.holder.clone(),
                started_at: facts.started_at,
                at: facts.updated_at,
                why: "the hold ended",
            };
            self.move_task(&facts.id, &move_);
        }
        self.change(&facts.id, |task, _| {
            task.seen_at = task.seen_at.max(Some(facts.updated_at));
            if facts.progress_at > task.heard_at {
                task.heard_at = facts.progress_at;
                task.stalled_since = None;
                // What came with a renewal of the lease counts as long as it does not lower anything.
                if task.is_held() {
                    task.percent = task.percent.max(facts.percent.unwrap_or_default());
                }
            }
        });
    }

    fn fold_event(&mut self, fact: &Fact) {
        let Fact::Happened { event, task: id, status, epoch, at, by, reason, version, .. } = fact
        else {
            return;
        };
        let Some(task) = self.tasks.get(id) else { return };
        let known = match (version, &task.version) {
            (Some(version), Some(known)) => version <= known,
            _ => *at < task.since,
        };
        if known {
            return;
        }
        let same = (task.status, task.epoch) == (*status, *epoch);
        let ahead = task.seen_at.is_some_and(|seen| *at < seen || (*at == seen && same));
        let moves = !matches!(event, TaskEventKind::TaskCreated | TaskEventKind::ProgressStalled);
        let holder = task.holder.clone();
        if moves && !ahead {
            let why = reason.as_deref().filter(|reason| !reason.is_empty());
            let move_ = Move {
                status: *status,
                epoch: *epoch,
                holder: by.clone(),
                started_at: None,
                at: *at,
                why: &why.map_or_else(
                    || words(*event).to_owned(),
                    |why| format!("{}: {why}", words(*event)),
                ),
            };
            self.move_task(id, &move_);
        }
        self.change(id, |task, _| task.version = task.version.max(*version));
        // Whose attempt ended: the events of a verdict name who judged.
        let attempt = match event {
            TaskEventKind::TaskCompleted | TaskEventKind::TaskRejected => holder.or(by.clone()),
            _ => by.clone().or(holder),
        };
        self.count(id, *event, attempt.as_ref(), *at);
    }

    /// Counts what an event means for whose attempt it was, and what completed tasks took.
    fn count(
        &mut self,
        id: &TaskId,
        event: TaskEventKind,
        attempt: Option<&AgentId>,
        at: Timestamp,
    ) {
        let Some(task) = self.tasks.get(id).cloned() else { return };
        let by_an_agent = !matches!(
            event,
            TaskEventKind::TaskCreated
                | TaskEventKind::TaskUnblocked
                | TaskEventKind::TaskCancelled
                | TaskEventKind::TaskRevived
                | TaskEventKind::ProgressStalled
        );
        if let Some(agent) = attempt.filter(|_| by_an_agent) {
            self.account(agent, at).tally.ended(event, task.attempt_ms);
        }
        if event == TaskEventKind::TaskCompleted {
            self.durations.completed(task.role.as_ref(), task.estimated_ms, task.spent_ms);
        }
    }

    fn move_task(&mut self, id: &TaskId, to: &Move<'_>) {
        let left = self.change(id, |task, settings| {
            let mut left = task.move_to(to);
            if let Some(lost) = &left.lost {
                left.bytes = task.history.push(lost.clone(), settings.max_reports_per_task);
            }
            left
        });
        let Some(left) = left else { return };
        self.report_bytes += left.bytes.0;
        self.report_bytes -= left.bytes.1;
        if let Some(holder) = &left.holder {
            let tally = &mut self.account(holder, to.at).tally;
            tally.spent_ms += left.took_ms;
            tally.blocked_ms += left.blocked_ms;
        }
        if let Some(holder) = &to.holder
            && to.status.is_held()
        {
            self.account(holder, to.at);
        }
        if let (Some(lost), Some(task)) = (left.lost, self.tasks.get(id)) {
            let kind = ProgressEventKind::ProgressRegressed;
            self.drafts.notices.push(notice::of_entry(kind, task, &lost));
        }
    }
}

impl TaskState {
    /// Ends the time of being blocked, unless it goes on. Gives what it was.
    pub(super) fn unblock_unless(&mut self, goes_on: bool, at: Timestamp) -> u64 {
        let Some(since) = self.blocked_since.filter(|_| !goes_on) else { return 0 };
        let blocked = at.millis_since(since);
        self.blocked_since = None;
        self.blocked_ms += blocked;
        blocked
    }

    fn move_to(&mut self, to: &Move<'_>) -> Left {
        let mut left = Left { holder: self.holder.clone(), ..Left::default() };
        let goes_on = to.epoch == self.epoch
            && (to.status.is_held()
                || matches!(to.status, TaskStatus::Reported | TaskStatus::Completed));
        let works_on = to.status == TaskStatus::InProgress && to.epoch == self.epoch;
        if let Some(since) = self.running_since.filter(|_| !works_on) {
            left.took_ms = to.at.millis_since(since);
            self.spent_ms += left.took_ms;
            self.attempt_ms = left.took_ms;
            self.running_since = None;
        }
        let still_held = to.status.is_held() && to.epoch == self.epoch;
        left.blocked_ms = self.unblock_unless(still_held, to.at);
        if !goes_on && self.percent > Percent::default() {
            left.lost = Some(Arc::new(self.lost(to)));
        }
        if to.epoch != self.epoch || !goes_on {
            self.percent = Percent::default();
            self.told = Percent::default();
            self.latest = None;
            self.heard_at = None;
        }
        if to.epoch != self.epoch {
            self.attempt_ms = 0;
        }
        self.take_place(to);
        left
    }

    fn take_place(&mut self, to: &Move<'_>) {
        self.status = to.status;
        self.epoch = to.epoch;
        self.since = to.at;
        self.touched_at = self.touched_at.max(to.at);
        self.stalled_since = None;
        match to.status {
            TaskStatus::Claimed | TaskStatus::InProgress => {
                self.holder = to.holder.clone().or(self.holder.take());
            }
            TaskStatus::Reported | TaskStatus::Completed => {}
            _ => self.holder = None,
        }
        if to.status == TaskStatus::InProgress && self.running_since.is_none() {
            self.running_since = Some(to.started_at.unwrap_or(to.at));
        }
        if to.status == TaskStatus::Completed {
            self.percent = Percent::FULL;
            self.told = Percent::FULL;
        }
    }

    /// What a hold that ended had reached is lost, and that is said.
    fn lost(&self, to: &Move<'_>) -> ProgressEntry {
        let id = format!("lost-{}-{}", self.epoch, to.at.as_millis());
        ProgressEntry {
            id: Name::parse(&id).unwrap_or_else(|_| self.id.clone()),
            task_id: self.id.clone(),
            epoch: self.epoch,
            agent_id: self.holder.clone().unwrap_or_else(|| self.id.clone()),
            percentage: 0.0,
            status: troupe_domain::progress::ProgressStatus::NotStarted,
            message: String::new(),
            details: None,
            timestamp: to.at,
            time_spent_minutes: None,
            estimated_remaining_minutes: None,
            blockers: Vec::new(),
            metadata: None,
            regression: Some(Regression {
                from: self.percent.percentage(),
                reason: to.why.to_owned(),
            }),
        }
    }
}

fn words(event: TaskEventKind) -> &'static str {
    match event {
        TaskEventKind::TaskRetrying => "the attempt failed",
        TaskEventKind::TaskFailed => "the task failed",
        TaskEventKind::TaskDead => "the task is out of retries",
        TaskEventKind::TaskReleased => "the holder gave the task back",
        TaskEventKind::TaskRejected => "the report was refused",
        TaskEventKind::LeaseExpired => "the lease ran out",
        TaskEventKind::TaskCancelled => "the task was called off",
        _ => "the hold ended",
    }
}
