//! Who changed what: a batch as people read it.

use serde::Serialize;
use serde_json::{Value as Json, json};
use troupe_domain::Name;
use troupe_domain::plan::ItemId;

use crate::batch::Batch;
use crate::conflict::field_name;
use crate::operation::{Change, Operation};

/// One thing that a batch did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The operation's name.
    pub operation: &'static str,
    /// To which item, if to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// To which field, if to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was written.
    pub value: Json,
}

impl Batch {
    /// What the batch did, in the order in which it was done.
    pub fn account(&self) -> Vec<Entry> {
        self.operations.iter().flat_map(account).collect()
    }
}

fn account(operation: &Operation) -> Vec<Entry> {
    let entry = |item: Option<&ItemId>, field: Option<&str>, value: Json| Entry {
        operation: operation.name(),
        item_id: item.cloned(),
        field: field.map(str::to_owned),
        value,
    };
    let whole = |item: Option<&ItemId>, value: Json| vec![entry(item, None, value)];
    let fields = |item: Option<&ItemId>, changes: &[Change]| -> Vec<Entry> {
        let field = |change: &Change| field_name(change.field());
        changes.iter().map(|c| entry(item, Some(&field(c)), c.shown())).collect()
    };
    match operation {
        Operation::CreatePlan { changes } | Operation::UpdatePlan { changes } => {
            fields(None, changes)
        }
        Operation::DeletePlan => whole(None, Json::Null),
        Operation::AddItem { item, parent, changes, .. } => {
            let mut entries = whole(Some(item), json!({ "parent_id": parent }));
            entries.extend(fields(Some(item), changes));
            entries
        }
        Operation::UpdateItem { item, changes } => fields(Some(item), changes),
        Operation::DeleteItem { items } | Operation::Purge { items } => {
            items.iter().map(|item| entry(Some(item), None, Json::Null)).collect()
        }
        Operation::MoveItem { item, parent, from, .. } => {
            vec![entry(Some(item), Some("parent"), json!({ "to": parent, "from": from }))]
        }
        Operation::ReorderItems { orders } => {
            let items: Vec<&str> = orders.iter().map(|(item, _)| item.as_str()).collect();
            vec![entry(None, Some("order"), json!(items))]
        }
        Operation::AssignItem { item, to } => {
            vec![entry(Some(item), Some("assigned_to"), json!(to))]
        }
        Operation::UpdateStatus { item, status } => {
            vec![entry(Some(item), Some("status"), json!(status))]
        }
        Operation::AddNote { item, text } => {
            vec![entry(Some(item), Some("notes"), json!(text.as_ref()))]
        }
        Operation::BulkUpdate { updates } => {
            updates.iter().flat_map(|(item, changes)| fields(Some(item), changes)).collect()
        }
        Operation::Read { item, field, .. } => {
            vec![entry(item.as_ref(), Some(&field_name(*field)), Json::Null)]
        }
        Operation::Acknowledge { conflict } => whole(None, json!({ "conflict_id": &**conflict })),
        Operation::Count { up, down } => whole(None, json!({ "up": up, "down": down })),
        Operation::Write { value } => whole(None, parsed(value)),
        Operation::Put { key, value } => vec![entry(None, Some(key), parsed(value))],
        Operation::Insert { elements: keys } | Operation::Remove { keys } => {
            whole(None, keys.iter().map(|key| json!(key.as_ref())).collect())
        }
        Operation::Raise { clock } => whole(None, json!(clock)),
    }
}

fn parsed(value: &str) -> Json {
    serde_json::from_str(value).unwrap_or(Json::Null)
}

impl Change {
    fn shown(&self) -> Json {
        let add = |name: &Name| json!({ "add": name });
        let remove = |name: &Name| json!({ "remove": name });
        match self {
            Self::Name(text) | Self::Description(text) | Self::Title(text) => json!(text.as_ref()),
            Self::Owner(name) | Self::AssignedTo(name) | Self::TaskId(name) => json!(name),
            Self::CurrentPhase(number) | Self::TotalPhases(number) => json!(number),
            Self::AddCollaborator(name) | Self::AddDependency(name) => add(name),
            Self::RemoveCollaborator(name) | Self::RemoveDependency(name) => remove(name),
            Self::Status(status) => json!(status),
            Self::Priority(priority) => json!(priority),
            Self::Progress(progress) => json!(progress),
            Self::EstimatedMinutes(minutes) => json!(minutes),
            Self::ActualMinutes { up, down } => json!({ "up": up, "down": down }),
            Self::AddTag(tag) => json!({ "add": tag.as_ref() }),
            Self::RemoveTag(tag) => json!({ "remove": tag.as_ref() }),
        }
    }
}
