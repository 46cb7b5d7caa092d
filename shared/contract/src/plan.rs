//! The endpoints of plan sync: plans, their items, replicas, and other shared objects.

use crate::Service;
use crate::batch::{BatchReply, BatchRequest};
use crate::endpoint::endpoints;
use crate::registry::Empty;

mod items;
mod objects;
mod plans;
mod reading;
mod replicas;

pub use crate::bytes64::Bytes64;
pub use items::*;
pub use objects::*;
pub use plans::*;
pub use reading::*;
pub use replicas::*;

endpoints! { Service::Plan;
    /// Makes a plan, with its first items where some are named.
    CreatePlan = "create" (CreatePlanRequest) -> PlanReceipt, Everyone;
    /// Reads a plan as it is, or as it was.
    GetPlan = "get" (GetPlanRequest) -> PlanReply, Everyone;
    /// Lists plans by id, page by page.
    ListPlans = "list" (ListPlansRequest) -> PlanPage, Everyone;
    /// Changes what a plan says of itself.
    UpdatePlan = "update" (UpdatePlanRequest) -> PlanReceipt, Everyone, batched = true;
    /// Deletes a plan.
    DeletePlan = "delete" (PlanRef) -> PlanReceipt, Everyone;
    /// Adds an item.
    AddItem = "add_item" (AddItemRequest) -> PlanReceipt, Everyone, batched = true;
    /// Changes fields of an item.
    UpdateItem = "update_item" (UpdateItemRequest) -> PlanReceipt, Everyone, batched = true;
    /// Deletes an item with its parts.
    DeleteItem = "delete_item" (ItemRef) -> PlanReceipt, Everyone, batched = true;
    /// Moves an item to another parent or another place.
    MoveItem = "move_item" (MoveItemRequest) -> PlanReceipt, Everyone, batched = true;
    /// Puts the parts of an item into an order.
    ReorderItems = "reorder_items" (ReorderItemsRequest) -> PlanReceipt, Everyone, batched = true;
    /// Says whose an item is.
    AssignItem = "assign_item" (AssignItemRequest) -> PlanReceipt, Everyone, batched = true;
    /// Says where an item stands.
    UpdateStatus = "update_status" (UpdateItemStatusRequest) -> PlanReceipt, Everyone, batched = true;
    /// Adds a remark to an item.
    AddNote = "add_note" (AddNoteRequest) -> PlanReceipt, Everyone, batched = true;
    /// Changes many items at once, all or none.
    BulkUpdate = "bulk_update" (BulkUpdateRequest) -> PlanReceipt, Everyone;
    /// Takes batches of a replica in, and answers when they are durable.
    Apply = "apply" (ApplyRequest) -> ApplyReply, Everyone;
    /// Gives the batches that a replica lacks.
    Sync = "sync" (SyncRequest) -> SyncReply, Everyone;
    /// Gives a snapshot of an object, piece by piece.
    Snapshot = "snapshot" (SnapshotRequest) -> SnapshotReply, Everyone;
    /// Compares the state of a replica with the service's.
    Digest = "digest" (DigestRequest) -> DigestReply, Everyone;
    /// Lists the conflicts of a plan or another object.
    Conflicts = "conflicts" (ConflictsRequest) -> ConflictPage, Everyone;
    /// Decides a conflict.
    Resolve = "resolve" (ResolveConflictRequest) -> PlanReceipt, Everyone;
    /// Says who changed what, newest first, page by page.
    History = "history" (PlanHistoryRequest) -> PlanHistoryPage, Everyone;
    /// Lists the proofs that an agent gave two histories of one replica.
    Forks = "forks" (ObjectRef) -> ForkList, Everyone;
    /// Turns ready items into tasks.
    Dispatch = "dispatch" (DispatchRequest) -> DispatchReply, Everyone;
    /// Reads a shared object.
    ObjectGet = "object_get" (ObjectRef) -> ObjectReply, Everyone;
    /// Changes a shared object; the first change makes it.
    ObjectUpdate = "object_update" (ObjectUpdateRequest) -> ObjectReply, Everyone, batched = true;
    /// Carries several calls of one caller, each with its own outcome.
    PlanBatch = "batch" (BatchRequest) -> BatchReply, Everyone;
    /// Counts plans, objects, batches and conflicts.
    PlanStats = "stats" (Empty) -> PlanStatistics, Everyone;
}
