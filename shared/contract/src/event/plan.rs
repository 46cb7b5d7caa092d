//! The events of plans and of other shared objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::plan::{Conflict, ItemId, ObjectId, ObjectKind, PlanItemStatus};
use troupe_domain::{AgentId, Name, TaskId, Timestamp};

/// The entity token of the events of plans and other shared objects.
pub const PLAN: &str = "plan";

event_kinds! { PlanEventKind, "The events of a plan or another shared object.";
    PlanCreated = "plan_created": "A plan or another shared object came to be.";
    PlanChanged = "plan_changed": "A batch of edits was taken in.";
    PlanDeleted = "plan_deleted": "A plan was deleted.";
    ConflictDetected = "conflict_detected": "Two edits disagree; carries both sides, what counts, and who may decide otherwise.";
    ConflictResolved = "conflict_resolved": "Somebody decided, or an edit that knew both sides settled it.";
    PlanForked = "plan_forked": "An agent signed two histories of one replica; the second was refused, the proof is kept.";
    PlanDiverged = "plan_diverged": "A replica with the same batches has another state; it is repaired from a snapshot.";
    ItemDispatched = "item_dispatched": "A ready item became a task.";
    ItemFollowed = "item_followed": "The task of an item went on, and the item with it.";
    PlanArchived = "plan_archived": "A snapshot is in the archive; the history before the horizon is read from there.";
}

/// The data of an event of a plan or another shared object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanEvent {
    /// What happened.
    pub event: PlanEventKind,
    /// To which.
    pub plan_id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// After how many batches.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// The replica that the batch or the state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<AgentId>,
    /// What was done, by the operations' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// The items that it is about; the first of them, where they are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub item_ids: Vec<ItemId>,
    /// Where the item stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PlanItemStatus>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The conflict that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<Name>,
    /// The conflict that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Box<Conflict>>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
