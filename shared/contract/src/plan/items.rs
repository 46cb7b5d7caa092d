//! The operations on items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::plan::{ItemId, ObjectId, PlanItemStatus};
use troupe_domain::{AgentId, Priority, VectorClock};

/// An item to be added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// The id, chosen by the caller; a new one where there is none.
    #[serde(default, alias = "id", skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// One line, not empty.
    pub title: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it stands.
    #[serde(default)]
    pub status: PlanItemStatus,
    /// How urgent.
    #[serde(default)]
    pub priority: Priority,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<AgentId>,
    /// Items that must be completed first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ItemId>,
    /// A guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_minutes: Option<u64>,
    /// The item that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ItemId>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// An item to be added to a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddItemRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item: NewItem,
    /// Directly after this one; the last of its siblings where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ItemId>,
}

/// A change of fields. What is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ItemChange {
    /// One line, not empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// As long as needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<PlanItemStatus>,
    /// How urgent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<AgentId>,
    /// How far it is, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// A guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_minutes: Option<u64>,
    /// What it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_minutes: Option<u64>,
    /// Items that must be completed first, from now on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_dependencies: Vec<ItemId>,
    /// Items that need not be completed first any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_dependencies: Vec<ItemId>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<String>,
    /// Words that no longer fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
}

/// A change of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateItemRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item_id: ItemId,
    /// What changes.
    pub change: ItemChange,
    /// The version of the plan on which the change rests: what changed in the item since then is a
    /// read-write conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_version: Option<VectorClock>,
}

/// One item of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemRef {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item_id: ItemId,
}

/// Another place for an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveItemRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item_id: ItemId,
    /// The item that it becomes a part of; the plan itself where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ItemId>,
    /// Directly after this one; the first where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ItemId>,
}

/// An order of the parts of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReorderItemsRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item whose parts they are; the plan itself where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ItemId>,
    /// The first parts, in their new order; parts that are not named follow as they were.
    pub item_ids: Vec<ItemId>,
}

/// Whose an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignItemRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item_id: ItemId,
    /// Whose; nobody's where none is named.
    #[serde(default, alias = "agent_id", skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<AgentId>,
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateItemStatusRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item_id: ItemId,
    /// Where.
    pub status: PlanItemStatus,
    /// How far it is, 0 to 100; a completed item is at 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// Why, in words: kept as a remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddNoteRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// The item.
    pub item_id: ItemId,
    /// What it says, not empty.
    #[serde(alias = "note")]
    pub text: String,
}

/// Changes of many items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkUpdateRequest {
    /// The plan.
    pub plan_id: ObjectId,
    /// What changes, all or none.
    pub changes: Vec<BulkChange>,
}

/// A change of one of many items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkChange {
    /// The item.
    pub item_id: ItemId,
    /// What changes.
    pub change: ItemChange,
}
