//! Notices: the events of progress, as they are derived from what happened.

use serde::Serialize;
use troupe_contract::event::{
    MILESTONE, MilestoneEvent, MilestoneEventKind, PROGRESS, ProgressEvent, ProgressEventKind,
};
use troupe_domain::progress::{Milestone, MilestoneStatus, ProgressEntry};
use troupe_domain::{Name, Timestamp};
use troupe_shard::Notice;

use super::task::TaskState;

/// The notice of a report: that the task moved on, or went back.
pub fn report(task: &TaskState, entry: &ProgressEntry) -> Notice {
    let kind = match entry.regression {
        Some(_) => ProgressEventKind::ProgressRegressed,
        None => ProgressEventKind::ProgressReported,
    };
    of_entry(kind, task, entry)
}

/// The notice of a kind about a report.
pub fn of_entry(kind: ProgressEventKind, task: &TaskState, entry: &ProgressEntry) -> Notice {
    let regression = entry.regression.as_ref();
    let message = regression.map(|regression| regression.reason.clone());
    let data = ProgressEvent {
        event: kind,
        task_id: task.id.clone(),
        epoch: entry.epoch,
        agent_id: Some(entry.agent_id.clone()),
        percentage: entry.percentage,
        from_percentage: regression.map(|regression| regression.from),
        status: entry.status,
        at: entry.timestamp,
        message: message.or_else(|| (!entry.message.is_empty()).then(|| entry.message.clone())),
        blockers: entry.blockers.clone(),
        graph_id: task.graph.clone(),
        plan_id: task.plan.clone(),
    };
    of_task(kind, task, entry.timestamp, &data)
}

/// The notice that nothing was heard of a task.
pub fn stalled(task: &TaskState, at: Timestamp) -> Notice {
    let kind = ProgressEventKind::ProgressStalled;
    let data = ProgressEvent {
        event: kind,
        task_id: task.id.clone(),
        epoch: task.epoch,
        agent_id: task.holder.clone(),
        percentage: task.percent.percentage(),
        from_percentage: None,
        status: task.progress_status(),
        at,
        message: task.stalled_since.map(|since| format!("nothing was heard since {since}")),
        blockers: Vec::new(),
        graph_id: task.graph.clone(),
        plan_id: task.plan.clone(),
    };
    of_task(kind, task, at, &data)
}

fn of_task(
    kind: ProgressEventKind,
    task: &TaskState,
    at: Timestamp,
    data: &ProgressEvent,
) -> Notice {
    Notice {
        entity: PROGRESS,
        id: task.id.clone(),
        event: kind.token(),
        at,
        trace: task.trace.clone(),
        body: body(data).into(),
        told: None,
    }
}

/// The notice of what happened to a milestone.
pub fn milestone(
    kind: MilestoneEventKind,
    milestone: &Milestone,
    by: Option<&Name>,
    at: Timestamp,
) -> Notice {
    let late = milestone.status == MilestoneStatus::Achieved
        && milestone.target_date.is_some_and(|target| milestone.completed_date > Some(target));
    let data = MilestoneEvent {
        event: kind,
        milestone_id: milestone.id.clone(),
        name: milestone.name.clone(),
        status: milestone.status,
        at,
        by: by.cloned(),
        target_date: milestone.target_date,
        late,
    };
    Notice {
        entity: MILESTONE,
        id: milestone.id.clone(),
        event: kind.token(),
        at,
        trace: None,
        body: body(&data).into(),
        told: None,
    }
}

fn body(data: &impl Serialize) -> Vec<u8> {
    // A tree of plain fields always serialises.
    serde_json::to_vec(data).unwrap_or_default()
}
