//! Notices: events as they are derived from what happened, before they have a sequence.

use bytes::Bytes;
use troupe_bus::port::OutgoingEvent;
use troupe_contract::event::{self, TaskEvent, TaskEventKind};
use troupe_contract::subject;
use troupe_domain::task::change::Change;
use troupe_domain::{AgentId, Task, TaskId, Timestamp, TraceContext};

use super::record::Record;

/// An event without its id: the id is the place in the log of what caused it.
#[derive(Debug, Clone)]
pub struct Notice {
    kind: TaskEventKind,
    id: TaskId,
    at: Timestamp,
    trace: Option<TraceContext>,
    body: Bytes,
}

/// The event of a change, if it has one.
pub fn kind_of(change: &Change) -> Option<TaskEventKind> {
    Some(match change {
        Change::Claimed { .. } => TaskEventKind::TaskClaimed,
        Change::Started => TaskEventKind::TaskStarted,
        Change::Stalled => TaskEventKind::ProgressStalled,
        Change::Reported { .. } => TaskEventKind::TaskReported,
        Change::Completed { .. } | Change::Verified { .. } => TaskEventKind::TaskCompleted,
        Change::Rejected(_) => TaskEventKind::TaskRejected,
        Change::Retrying { .. } => TaskEventKind::TaskRetrying,
        Change::Failed(_) => TaskEventKind::TaskFailed,
        Change::Died(_) => TaskEventKind::TaskDead,
        Change::Released(_) => TaskEventKind::TaskReleased,
        Change::LeaseExpired(_) => TaskEventKind::LeaseExpired,
        Change::Cancelled(_) => TaskEventKind::TaskCancelled,
        Change::Unblocked => TaskEventKind::TaskUnblocked,
        Change::Revived(_) => TaskEventKind::TaskRevived,
        Change::Extended { .. }
        | Change::Settled { .. }
        | Change::Unsettled { .. }
        | Change::SubtaskAdded { .. } => return None,
    })
}

/// How many notices a record that was just drafted has.
pub fn count_of(record: &Record) -> usize {
    match record {
        Record::Created { tasks, .. } => tasks.len(),
        Record::Changed { change, .. } => usize::from(kind_of(change).is_some()),
        _ => 0,
    }
}

fn reason_of(change: &Change) -> Option<String> {
    match change {
        Change::Rejected(reason)
        | Change::Retrying { reason, .. }
        | Change::Failed(reason)
        | Change::Died(reason)
        | Change::Released(reason)
        | Change::LeaseExpired(reason)
        | Change::Cancelled(reason)
        | Change::Revived(reason) => Some(reason.message.clone()),
        _ => None,
    }
}

/// The same data as [`TaskEvent`], borrowed.
#[derive(serde::Serialize)]
struct Data<'a> {
    event: TaskEventKind,
    task_id: &'a TaskId,
    status: troupe_domain::TaskStatus,
    epoch: u64,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_id: Option<&'a troupe_domain::Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a Task>,
}

impl Notice {
    /// The notice that `task` came to be.
    pub fn created(task: &Task, at: Timestamp) -> Self {
        Self::new(TaskEventKind::TaskCreated, task, Some(&task.created_by), None, at)
    }

    /// The notice of a change, if it has an event; `task` is as it is afterwards, `holder` held it
    /// before.
    pub fn changed(
        change: &Change,
        task: &Task,
        holder: Option<&AgentId>,
        at: Timestamp,
    ) -> Option<Self> {
        let kind = kind_of(change)?;
        let by = match change {
            Change::Verified { by, .. } => Some(by),
            Change::Rejected(r) | Change::Cancelled(r) | Change::Revived(r) => r.by.as_ref(),
            _ => task.claimed_by.as_ref().or(holder),
        };
        Some(Self::new(kind, task, by, reason_of(change), at))
    }

    fn new(
        kind: TaskEventKind,
        task: &Task,
        by: Option<&AgentId>,
        reason: Option<String>,
        at: Timestamp,
    ) -> Self {
        let data = Data {
            event: kind,
            task_id: &task.id,
            status: task.status,
            epoch: task.epoch,
            at,
            by,
            reason,
            graph_id: task.graph_id.as_ref(),
            task: kind.carries_task().then_some(task),
        };
        let mut body = Vec::with_capacity(if kind.carries_task() { 1_024 } else { 256 });
        if let Err(why) = serde_json::to_writer(&mut body, &data) {
            tracing::error!(%why, task = %task.id, "an event cannot be written");
        }
        Self { kind, id: task.id.clone(), at, trace: task.trace.clone(), body: body.into() }
    }

    /// The event, now that its place in the log is known.
    pub fn into_event(self, shard: u16, sequence: u64, index: usize) -> OutgoingEvent {
        OutgoingEvent {
            subject: subject::event(event::TASK, &self.id, self.kind.token()),
            id: format!("work-{shard}-{sequence}-{index}"),
            kind: format!("troupe.task.{}.v1", self.kind.token()),
            entity_id: self.id.as_str().to_owned(),
            at: self.at,
            trace: self.trace,
            body: self.body,
        }
    }

    /// The data, read back.
    pub fn data(&self) -> Result<TaskEvent, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}
