//! Plans as wholes: made, read, listed, changed, deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::plan::{ItemId, ObjectId, Plan, PlanHead, PlanItemStatus};
use troupe_domain::{AgentId, Timestamp, VectorClock};

use super::items::NewItem;

/// A plan to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePlanRequest {
    /// The id, chosen by the caller; a new one where there is none.
    #[serde(default, alias = "id", skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<ObjectId>,
    /// One line, not empty.
    pub name: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose it is; the caller's where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AgentId>,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collaborators: Vec<AgentId>,
    /// The phase that it is in, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_phase: Option<u32>,
    /// How many phases it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_phases: Option<u32>,
    /// Its first items, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<NewItem>,
}

/// What came of an edit, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReceipt {
    /// The plan or object.
    pub plan_id: ObjectId,
    /// How many batches the service had taken in afterwards: a version to come back to.
    pub sequence: u64,
    /// The same, by replica.
    pub version: VectorClock,
    /// The items that were added or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub item_ids: Vec<ItemId>,
}

/// One plan by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRef {
    /// The plan.
    #[serde(alias = "id")]
    pub plan_id: ObjectId,
}

/// A plan, as it is or as it was. At most one of `at_sequence`, `at_version` and `at_time`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPlanRequest {
    /// The plan.
    #[serde(alias = "id")]
    pub plan_id: ObjectId,
    /// After so many batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_sequence: Option<u64>,
    /// With these batches of each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_version: Option<VectorClock>,
    /// As the service had it at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_time: Option<Timestamp>,
    /// At most so many items; 1,000 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Leaves out so many items, in the plan's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReply {
    /// The plan, with the items of this page.
    pub plan: Plan,
    /// After how many batches it was like this.
    pub sequence: u64,
    /// Items that can begin: pending, and everything that they depend on is completed.
    pub ready_item_ids: Vec<ItemId>,
    /// Conflicts that nobody has decided.
    pub open_conflicts: usize,
    /// Ask again with this offset; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<usize>,
}

/// A page of plans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPlansRequest {
    /// Only this agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AgentId>,
    /// Deleted ones too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ObjectId>,
}

/// Plans in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanPage {
    /// Each without its items.
    pub plans: Vec<PlanHead>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<ObjectId>,
}

/// A change of what a plan says of itself. What is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePlanRequest {
    /// The plan.
    #[serde(alias = "id")]
    pub plan_id: ObjectId,
    /// One line, not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AgentId>,
    /// Who joins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_collaborators: Vec<AgentId>,
    /// Who leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_collaborators: Vec<AgentId>,
    /// The phase that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_phase: Option<u32>,
    /// How many phases it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_phases: Option<u32>,
}

/// Which ready items become tasks, and what the tasks ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DispatchRequest {
    /// The plan.
    #[serde(alias = "id")]
    pub plan_id: ObjectId,
    /// Only these; every ready one where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub item_ids: Vec<ItemId>,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The role that the tasks ask for.
    #[serde(default, alias = "role", skip_serializing_if = "Option::is_none")]
    pub required_role: Option<troupe_domain::Role>,
}

/// The tasks that ready items became.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DispatchReply {
    /// Each item with its task.
    pub dispatched: Vec<DispatchedItem>,
    /// Items that are ready and were left for the next call.
    pub left: usize,
}

/// An item and its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DispatchedItem {
    /// The item.
    pub item_id: ItemId,
    /// Its task.
    pub task_id: troupe_domain::TaskId,
    /// Where the item stands now.
    pub status: PlanItemStatus,
}
