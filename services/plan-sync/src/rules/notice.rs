//! Notices: the events of plans and other objects, as they are derived from what happened.

use troupe_contract::event::{PLAN, PlanEvent, PlanEventKind};
use troupe_contract::plan::Fork;
use troupe_crdt::{Operation, SignedBatch};
use troupe_domain::plan::{Conflict, ItemId, ObjectKind};
use troupe_domain::{AgentId, Name, TaskId, Timestamp, TraceContext};
use troupe_shard::Notice;

use super::history::items_of;
use super::object::Object;
use super::record::{Merged, NewLink, Record};

/// Operations and items that one event names.
const MAX_NAMED: usize = 16;

/// How many notices a record has.
pub fn count_of(record: &Record) -> usize {
    match record {
        Record::Merged(merged) => 1 + merged.links.len() + usize::from(merged.followed.is_some()),
        Record::Conflicts { opened, closed, .. } => opened.len() + closed.len(),
        Record::Forked { .. } | Record::Diverged { .. } | Record::Archived { .. } => 1,
        Record::Key { .. }
        | Record::Folded { .. }
        | Record::Confirmed { .. }
        | Record::Unlinked { .. }
        | Record::Followed(_) => 0,
    }
}

fn event(object: &Object, event: PlanEventKind, at: Timestamp) -> PlanEvent {
    PlanEvent {
        event,
        plan_id: object.id().clone(),
        kind: object.kind,
        sequence: object.sequence,
        at,
        by: None,
        replica: None,
        operations: Vec::new(),
        item_ids: Vec::new(),
        status: None,
        task_id: None,
        conflict_id: None,
        conflict: None,
        reason: None,
    }
}

fn notice(event: &PlanEvent, trace: Option<TraceContext>) -> Notice {
    Notice {
        entity: PLAN,
        id: event.plan_id.clone(),
        event: event.event.token(),
        at: event.at,
        trace,
        // A tree of plain fields always serialises.
        body: serde_json::to_vec(event).unwrap_or_default().into(),
        told: None,
    }
}

fn by_of(signed: &SignedBatch) -> AgentId {
    let batch = signed.batch();
    batch.on_behalf_of.as_ref().unwrap_or(&batch.agent).clone()
}

/// A batch was taken in.
pub fn merged(object: &Object, signed: &SignedBatch, merged: &Merged) -> Notice {
    let batch = signed.batch();
    let deletes = || batch.operations.iter().any(|op| matches!(op, Operation::DeletePlan));
    let kind = match object.sequence {
        1 => PlanEventKind::PlanCreated,
        _ if object.kind == ObjectKind::Plan && deletes() => PlanEventKind::PlanDeleted,
        _ => PlanEventKind::PlanChanged,
    };
    let mut operations: Vec<String> = Vec::new();
    let mut item_ids: Vec<ItemId> = Vec::new();
    for operation in &batch.operations {
        if operations.len() < MAX_NAMED && !operations.iter().any(|name| name == operation.name()) {
            operations.push(operation.name().to_owned());
        }
        for item in items_of(operation) {
            if item_ids.len() < MAX_NAMED && !item_ids.contains(&item) {
                item_ids.push(item);
            }
        }
    }
    let told = PlanEvent {
        by: Some(by_of(signed)),
        replica: Some(batch.agent.clone()),
        operations,
        item_ids,
        ..event(object, kind, merged.at)
    };
    notice(&told, merged.trace.clone())
}

/// An item got a task.
pub fn dispatched(
    object: &Object,
    signed: &SignedBatch,
    link: &NewLink,
    merged: &Merged,
) -> Notice {
    let told = PlanEvent {
        by: Some(by_of(signed)),
        item_ids: vec![link.item.clone()],
        task_id: Some(link.task.clone()),
        ..event(object, PlanEventKind::ItemDispatched, merged.at)
    };
    notice(&told, merged.trace.clone())
}

/// The task of an item went on.
pub fn followed(object: &Object, signed: &SignedBatch, task: &TaskId, merged: &Merged) -> Notice {
    let status = signed.batch().operations.iter().find_map(|operation| match operation {
        Operation::UpdateStatus { status, .. } => Some(*status),
        _ => None,
    });
    let told = PlanEvent {
        by: Some(by_of(signed)),
        item_ids: merged.item_ids.clone(),
        task_id: Some(task.clone()),
        status,
        ..event(object, PlanEventKind::ItemFollowed, merged.at)
    };
    notice(&told, merged.trace.clone())
}

/// An agent signed two histories.
pub fn forked(object: &Object, fork: &Fork) -> Notice {
    let told = PlanEvent {
        by: Some(fork.agent_id.clone()),
        replica: Some(fork.agent_id.clone()),
        reason: Some(format!("two batches with the number {}", fork.seq)),
        ..event(object, PlanEventKind::PlanForked, fork.at)
    };
    notice(&told, None)
}

/// A replica has another state at the same vector.
pub fn diverged(object: &Object, replica: &AgentId, at: Timestamp) -> Notice {
    let told = PlanEvent {
        replica: Some(replica.clone()),
        ..event(object, PlanEventKind::PlanDiverged, at)
    };
    notice(&told, None)
}

/// A conflict was met.
pub fn conflict(object: &Object, conflict: &Conflict, at: Timestamp) -> Notice {
    let told = PlanEvent {
        item_ids: conflict.item_id.iter().cloned().collect(),
        conflict_id: Some(conflict.id.clone()),
        conflict: Some(Box::new(conflict.clone())),
        ..event(object, PlanEventKind::ConflictDetected, at)
    };
    notice(&told, None)
}

/// A conflict is over.
pub fn conflict_closed(object: &Object, id: &Name, at: Timestamp) -> Notice {
    let told = PlanEvent {
        conflict_id: Some(id.clone()),
        ..event(object, PlanEventKind::ConflictResolved, at)
    };
    notice(&told, None)
}

/// A snapshot is in the archive.
pub fn archived(object: &Object, through: u64, at: Timestamp) -> Notice {
    let told = PlanEvent {
        reason: Some(format!("through {through}")),
        ..event(object, PlanEventKind::PlanArchived, at)
    };
    notice(&told, None)
}
