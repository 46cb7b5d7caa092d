//! Who changed what: batches as people read them.

use serde_json::{Value, json};
use troupe_contract::plan::{
    PlanHistoryChange, PlanHistoryEntry, PlanHistoryPage, PlanHistoryRequest,
};
use troupe_crdt::{Change, Operation, SignedBatch};
use troupe_domain::plan::ItemId;

use super::object::{Kept, Object};

/// The items that an operation is about.
pub fn items_of(operation: &Operation) -> Vec<ItemId> {
    match operation {
        Operation::AddItem { item, .. }
        | Operation::UpdateItem { item, .. }
        | Operation::MoveItem { item, .. }
        | Operation::AssignItem { item, .. }
        | Operation::UpdateStatus { item, .. }
        | Operation::AddNote { item, .. }
        | Operation::Read { item: Some(item), .. } => vec![item.clone()],
        Operation::DeleteItem { items } | Operation::Purge { items } => items.clone(),
        Operation::BulkUpdate { updates } => updates.iter().map(|(item, _)| item.clone()).collect(),
        Operation::ReorderItems { orders } => orders.iter().map(|(item, _)| item.clone()).collect(),
        _ => Vec::new(),
    }
}

/// A batch as people read it, if it is one that they asked for.
pub fn entry(kept: &Kept, request: &PlanHistoryRequest) -> Option<PlanHistoryEntry> {
    let signed = SignedBatch::decode(kept.batch.as_ref()).ok()?;
    let batch = signed.batch();
    let by = batch.on_behalf_of.as_ref().unwrap_or(&batch.agent);
    let wanted = request.by.as_ref().is_none_or(|wanted| wanted == by)
        && request.before.is_none_or(|before| kept.sequence < before);
    if !wanted {
        return None;
    }
    let about = |operation: &&Operation| {
        request.item_id.as_ref().is_none_or(|item| items_of(operation).contains(item))
    };
    let operations: Vec<_> = batch.operations.iter().filter(about).collect();
    if operations.is_empty() {
        return None;
    }
    Some(PlanHistoryEntry {
        sequence: kept.sequence,
        replica: batch.agent.clone(),
        seq: batch.seq,
        by: by.clone(),
        at: kept.at,
        changes: operations.into_iter().flat_map(changes).collect(),
    })
}

fn changes(operation: &Operation) -> Vec<PlanHistoryChange> {
    let one = |item: Option<&ItemId>, field: Option<&str>, value: Value| PlanHistoryChange {
        operation: operation.name().to_owned(),
        item_id: item.cloned(),
        field: field.map(str::to_owned),
        value,
    };
    let fields = |item: Option<&ItemId>, changes: &[Change]| {
        let field = |change: &Change| {
            let (field, value) = told(change);
            one(item, Some(field), value)
        };
        changes.iter().map(field).collect::<Vec<_>>()
    };
    match operation {
        Operation::CreatePlan { changes } | Operation::UpdatePlan { changes } => {
            fields(None, changes)
        }
        Operation::AddItem { item, parent, changes, .. } => {
            let mut told = vec![one(Some(item), Some("parent_id"), json!(parent))];
            told.extend(fields(Some(item), changes));
            told
        }
        Operation::UpdateItem { item, changes } => fields(Some(item), changes),
        Operation::BulkUpdate { updates } => {
            updates.iter().flat_map(|(item, changes)| fields(Some(item), changes)).collect()
        }
        Operation::MoveItem { item, parent, .. } => {
            vec![one(Some(item), Some("parent_id"), json!(parent))]
        }
        Operation::AssignItem { item, to } => {
            vec![one(Some(item), Some("assigned_to"), json!(to))]
        }
        Operation::UpdateStatus { item, status } => {
            vec![one(Some(item), Some("status"), json!(status.as_str()))]
        }
        Operation::AddNote { item, text } => vec![one(Some(item), Some("notes"), json!(text))],
        Operation::Acknowledge { conflict } => vec![one(None, Some("conflict"), json!(conflict))],
        Operation::Count { up, down } => {
            vec![one(None, Some("count"), json!({"up": up, "down": down}))]
        }
        Operation::Write { value } => vec![one(None, Some("value"), json!(value))],
        Operation::Put { key, value } => vec![one(None, Some(key), json!(value))],
        Operation::Insert { elements } => vec![one(None, None, json!(elements))],
        Operation::Remove { keys } => vec![one(None, None, json!(keys))],
        Operation::Raise { clock } => vec![one(None, None, json!(clock))],
        other => {
            let items = items_of(other);
            if items.is_empty() {
                return vec![one(None, None, Value::Null)];
            }
            items.iter().map(|item| one(Some(item), None, Value::Null)).collect()
        }
    }
}

/// A field, and what it says now.
fn told(change: &Change) -> (&'static str, Value) {
    match change {
        Change::Name(text) => ("name", json!(text)),
        Change::Description(text) => ("description", json!(text)),
        Change::Owner(agent) => ("owner", json!(agent)),
        Change::CurrentPhase(phase) => ("current_phase", json!(phase)),
        Change::TotalPhases(phases) => ("total_phases", json!(phases)),
        Change::AddCollaborator(agent) => ("add_collaborators", json!(agent)),
        Change::RemoveCollaborator(agent) => ("remove_collaborators", json!(agent)),
        Change::Title(text) => ("title", json!(text)),
        Change::Status(status) => ("status", json!(status.as_str())),
        Change::Priority(priority) => ("priority", json!(priority)),
        Change::AssignedTo(agent) => ("assigned_to", json!(agent)),
        Change::Progress(percent) => ("progress", json!(percent)),
        Change::EstimatedMinutes(minutes) => ("estimated_minutes", json!(minutes)),
        Change::ActualMinutes { up, down } => {
            ("actual_minutes", json!(i128::from(*up) - i128::from(*down)))
        }
        Change::TaskId(task) => ("task_id", json!(task)),
        Change::AddDependency(item) => ("add_dependencies", json!(item)),
        Change::RemoveDependency(item) => ("remove_dependencies", json!(item)),
        Change::AddTag(tag) => ("add_tags", json!(tag)),
        Change::RemoveTag(tag) => ("remove_tags", json!(tag)),
    }
}

/// The newest `limit` entries of what is kept. Where memory ends and the archive goes on, the page says
/// with `next_before` where.
pub fn page(object: &Object, request: &PlanHistoryRequest, limit: usize) -> PlanHistoryPage {
    let before = request.before.unwrap_or(u64::MAX);
    let mut entries = Vec::new();
    let mut kept = object.kept.iter().rev().filter(|kept| kept.sequence < before).peekable();
    while let Some(next) = kept.next_if(|_| entries.len() < limit) {
        entries.extend(entry(next, request));
    }
    let horizon = object.horizon();
    let more_here = kept.peek().map(|next| next.sequence + 1);
    let archived = (horizon <= object.base.sequence && before > horizon)
        .then_some(object.base.sequence.min(before.saturating_sub(1)) + 1)
        .filter(|_| object.archived_through() >= object.base.sequence && object.base.sequence > 0);
    PlanHistoryPage { entries, horizon, next_before: more_here.or(archived) }
}
