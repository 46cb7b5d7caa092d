//! The rules as a whole: a state that is told what happened, and what it then says.

mod flow;
mod goals;
mod laws;
mod reports;

use std::sync::Arc;

use troupe_contract::event::TaskEventKind;
use troupe_contract::progress::{Over, ProgressSummary, ReportReceipt, ReportRequest};
use troupe_domain::progress::{ProgressEntry, ProgressStatus};
use troupe_domain::{Fault, Name, TaskId, TaskStatus, Timestamp};
use troupe_shard::Machine;

use super::facts::{Edge, Fact, Facts, Version};
use super::record::{Place, Record, SnapshotLine};
use super::reporting::Said;
use super::request::{ProgressReply, ProgressRequest};
use super::state::{ProgressState, Settings};

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + ms)
}

/// A report of ann's.
pub(crate) fn entry(task: &str, epoch: u64, percentage: f64) -> Arc<ProgressEntry> {
    Arc::new(ProgressEntry {
        id: name("r"),
        task_id: name(task),
        epoch,
        agent_id: name("ann"),
        percentage,
        status: ProgressStatus::InProgress,
        message: String::new(),
        details: None,
        timestamp: at(0),
        time_spent_minutes: None,
        estimated_remaining_minutes: None,
        blockers: Vec::new(),
        metadata: None,
        regression: None,
    })
}

pub(crate) fn facts(id: &str) -> Facts {
    Facts {
        id: name(id),
        title: format!("task {id}"),
        status: TaskStatus::Available,
        epoch: 0,
        holder: None,
        role: Some(name("implementer")),
        graph: Some(name("g")),
        plan: None,
        parent: None,
        edges: Vec::new(),
        estimated_ms: Some(600_000),
        created_at: at(0),
        updated_at: at(0),
        started_at: None,
        took_ms: None,
        percent: None,
        progress_at: None,
        trace: None,
    }
}

pub(crate) fn after(id: &str, on: &[&str]) -> Facts {
    let edge = |on: &&str| Edge { on: name(on), on_failure: troupe_domain::task::OnFailure::Block };
    let status = if on.is_empty() { TaskStatus::Available } else { TaskStatus::Blocked };
    Facts { edges: on.iter().map(edge).collect(), status, ..facts(id) }
}

/// A state, the log that it wrote, and the clock.
pub(crate) struct Stage {
    pub(crate) state: ProgressState,
    pub(crate) log: Vec<Record>,
    pub(crate) told: Vec<(String, serde_json::Value)>,
    pub(crate) now: i64,
    settings: Settings,
    sequence: u64,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            state: ProgressState::new(settings.clone()),
            log: Vec::new(),
            told: Vec::new(),
            now: 0,
            settings,
            sequence: 0,
        }
    }

    /// Takes what was drafted, as the owner of a shard does.
    fn store(&mut self) {
        self.state.evict();
        let drafts = self.state.drafts();
        let records = std::mem::take(&mut drafts.records);
        let notices = std::mem::take(&mut drafts.notices);
        let counted: usize = records.iter().map(ProgressState::notices_of).sum();
        assert_eq!(counted, notices.len(), "every record says how many notices it has");
        self.log.extend(records);
        for notice in notices {
            let data = serde_json::from_slice(&notice.body).unwrap();
            self.told.push((notice.event.to_owned(), data));
        }
    }

    pub(crate) fn ask(&mut self, request: ProgressRequest) -> Result<ProgressReply, Fault> {
        let reply = self.state.execute(request, at(self.now), 0.0);
        self.store();
        reply
    }

    pub(crate) fn learn(&mut self, facts: Vec<Fact>) {
        self.sequence += 1;
        let place = Place { stream_made_at: at(0), sequence: self.sequence };
        let learn = ProgressRequest::Learn { facts, heard: Some(place), complete: None };
        self.ask(learn).unwrap();
    }

    /// A task came to be.
    pub(crate) fn created(&mut self, facts: Facts) {
        let fact = self.event(TaskEventKind::TaskCreated, facts.id.as_str(), facts.status, 0, None);
        let Fact::Happened { event, task, status, epoch, at, by, reason, version, .. } = fact
        else {
            unreachable!()
        };
        let whole = Some(Box::new(Facts { created_at: at, updated_at: at, ..facts }));
        self.learn(vec![Fact::Happened {
            event,
            task,
            status,
            epoch,
            at,
            by,
            reason,
            version,
            whole,
        }]);
    }

    /// An event, the next of its task.
    pub(crate) fn event(
        &mut self,
        event: TaskEventKind,
        task: &str,
        status: TaskStatus,
        epoch: u64,
        by: Option<&str>,
    ) -> Fact {
        self.sequence += 1;
        Fact::Happened {
            event,
            task: name(task),
            status,
            epoch,
            at: at(self.now),
            by: by.map(name),
            reason: None,
            version: Some(Version(self.sequence, 0)),
            whole: None,
        }
    }

    pub(crate) fn happened(
        &mut self,
        event: TaskEventKind,
        task: &str,
        status: TaskStatus,
        epoch: u64,
        by: &str,
    ) {
        let fact = self.event(event, task, status, epoch, Some(by));
        self.learn(vec![fact]);
    }

    /// An agent claims a task and starts it.
    pub(crate) fn started(&mut self, task: &str, epoch: u64, by: &str) {
        self.happened(TaskEventKind::TaskClaimed, task, TaskStatus::Claimed, epoch, by);
        self.happened(TaskEventKind::TaskStarted, task, TaskStatus::InProgress, epoch, by);
    }

    pub(crate) fn completed(&mut self, task: &str, epoch: u64, by: &str) {
        self.happened(TaskEventKind::TaskCompleted, task, TaskStatus::Completed, epoch, by);
    }

    pub(crate) fn say(&mut self, by: &str, request: ReportRequest) -> Result<ReportReceipt, Fault> {
        self.sequence += 1;
        let id = name(&format!("r{}", self.sequence));
        let said = Box::new(Said { id, by: name(by), request });
        match self.ask(ProgressRequest::Report { said, seen: None })? {
            ProgressReply::Reported(receipt) => Ok(receipt),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn report(
        &mut self,
        task: &str,
        epoch: u64,
        by: &str,
        percentage: f64,
    ) -> Result<ReportReceipt, Fault> {
        let request =
            ReportRequest { percentage: Some(percentage), ..ReportRequest::new(name(task), epoch) };
        self.say(by, request)
    }

    pub(crate) fn summary(&mut self, over: Over) -> ProgressSummary {
        match self.ask(ProgressRequest::Summary { over }).unwrap() {
            ProgressReply::Summary(summary) => *summary,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn of_graph(&mut self) -> ProgressSummary {
        self.summary(Over { graph_id: Some(name("g")), ..Over::default() })
    }

    pub(crate) fn task(&self, id: &str) -> &super::task::TaskState {
        self.state.task(&name(id)).unwrap()
    }

    pub(crate) fn events(&self) -> Vec<&str> {
        self.told.iter().map(|(event, _)| event.as_str()).collect()
    }

    pub(crate) fn fire(&mut self) -> Vec<super::firing::SilentTask> {
        let silent = self.state.fire(at(self.now), 100);
        self.store();
        silent
    }

    /// The state as it is rebuilt from the log, through JSON.
    pub(crate) fn replayed(&self) -> ProgressState {
        let mut state = ProgressState::new(self.settings.clone());
        for record in &self.log {
            let text = serde_json::to_string(record).unwrap();
            state.apply(&serde_json::from_str(&text).unwrap());
        }
        state
    }

    /// The state as it is rebuilt from a snapshot, through JSON.
    pub(crate) fn restored(&self) -> ProgressState {
        let mut state = ProgressState::new(self.settings.clone());
        for line in self.state.snapshot() {
            let text = serde_json::to_string(&line).unwrap();
            state.restore(serde_json::from_str::<SnapshotLine>(&text).unwrap());
        }
        state
    }
}

/// Two states that must be the same in everything that anybody can see.
pub(crate) fn assert_same(left: &ProgressState, right: &ProgressState) {
    assert_eq!(left.tasks, right.tasks);
    assert_eq!(left.milestones, right.milestones);
    assert_eq!(left.accounts, right.accounts);
    assert_eq!(left.durations, right.durations);
    assert_eq!(
        (left.heard, left.complete, left.untracked),
        (right.heard, right.complete, right.untracked)
    );
    assert_same_sums(left, right);
}

/// What follows from the tasks.
pub(crate) fn assert_same_sums(left: &ProgressState, right: &ProgressState) {
    let sums = |state: &ProgressState| {
        let all = state.totals.iter().filter(|(_, total)| !total.is_empty());
        let mut all: Vec<_> = all.map(|(scope, total)| (scope.clone(), total.timeless())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    assert_eq!(sums(left), sums(right));
    assert_eq!(left.members, right.members);
    assert_eq!(left.required_by, right.required_by);
    assert_eq!(left.ended_families, right.ended_families);
    assert_eq!(left.families, right.families);
    assert_eq!((left.ended_tasks, left.report_bytes), (right.ended_tasks, right.report_bytes));
    assert_eq!((&left.reported, &left.stalled), (&right.reported, &right.stalled));
    assert_eq!(left.timers.next(), right.timers.next());
}

pub(crate) fn ids(tasks: &[&str]) -> Vec<TaskId> {
    tasks.iter().map(|id| name(id)).collect()
}
