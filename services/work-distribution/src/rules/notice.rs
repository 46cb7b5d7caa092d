//! Notices: the events of tasks, as they are derived from what happened.

use troupe_contract::event::{self, TaskEventKind};
use troupe_domain::task::change::Change;
use troupe_domain::{AgentId, Task, TaskId, Timestamp};
use troupe_shard::Notice;

use super::record::Record;

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

/// The same data as [`TaskEvent`](event::TaskEvent), borrowed.
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

/// The notice that `task` came to be.
pub fn created(task: &Task, at: Timestamp) -> Notice {
    notice(TaskEventKind::TaskCreated, task, Some(&task.created_by), None, at)
}

/// The notice of a change, if it has an event; `task` is as it is afterwards, `holder` held it before.
pub fn changed(
    change: &Change,
    task: &Task,
    holder: Option<&AgentId>,
    at: Timestamp,
) -> Option<Notice> {
    let kind = kind_of(change)?;
    let by = match change {
        Change::Verified { by, .. } => Some(by),
        Change::Rejected(r) | Change::Cancelled(r) | Change::Revived(r) => r.by.as_ref(),
        _ => task.claimed_by.as_ref().or(holder),
    };
    let mut notice = notice(kind, task, by, reason_of(change), at);
    notice.told = loser(kind, holder, by).cloned();
    Some(notice)
}

/// Who loses the task by it, other than by ending it.
fn loser<'a>(
    kind: TaskEventKind,
    holder: Option<&'a AgentId>,
    by: Option<&AgentId>,
) -> Option<&'a AgentId> {
    use TaskEventKind as Kind;
    match kind {
        Kind::TaskCancelled | Kind::LeaseExpired | Kind::TaskReleased => holder,
        Kind::TaskDead | Kind::TaskFailed => holder.filter(|holder| by != Some(holder)),
        _ => None,
    }
}

fn notice(
    kind: TaskEventKind,
    task: &Task,
    by: Option<&AgentId>,
    reason: Option<String>,
    at: Timestamp,
) -> Notice {
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
    Notice {
        entity: event::TASK,
        id: task.id.clone(),
        event: kind.token(),
        at,
        trace: task.trace.clone(),
        body: body.into(),
        told: None,
    }
}
