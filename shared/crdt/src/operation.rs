//! The operations that a document knows.
//!
//! An operation says what somebody wanted, in the words of the field: the twelve of a plan, and those of
//! the generic shared objects. What it does to the cells of a document stands in `effects`.

mod check;
mod codec;

use std::sync::Arc;

use troupe_domain::plan::PlanItemStatus;
pub use troupe_domain::plan::{ItemId, ObjectKind as Kind};
use troupe_domain::{AgentId, Priority, TaskId, VectorClock};

pub use check::{check_key, check_tag, check_text, check_title};
pub(crate) use codec::{read_kind, write_kind};

use crate::field::Field;
use crate::order::OrderKey;
use crate::stamp::OperationId;

/// One field of a plan or of an item, changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A plan's name.
    Name(Arc<str>),
    /// The description of a plan or an item.
    Description(Arc<str>),
    /// A plan's owner.
    Owner(Option<AgentId>),
    /// A plan's phase.
    CurrentPhase(u32),
    /// A plan's number of phases.
    TotalPhases(u32),
    /// One more works on the plan.
    AddCollaborator(AgentId),
    /// One less works on the plan.
    RemoveCollaborator(AgentId),
    /// An item's title.
    Title(Arc<str>),
    /// An item's status.
    Status(PlanItemStatus),
    /// An item's priority.
    Priority(Priority),
    /// Who does an item.
    AssignedTo(Option<AgentId>),
    /// An item's progress, 0 to 100.
    Progress(u8),
    /// Minutes that an item should take.
    EstimatedMinutes(Option<u64>),
    /// All minutes that this actor ever added to an item, and all that it took away.
    ActualMinutes {
        /// Added.
        up: u64,
        /// Taken away.
        down: u64,
    },
    /// The task that does an item.
    TaskId(Option<TaskId>),
    /// An item must wait for another one.
    AddDependency(ItemId),
    /// It need not.
    RemoveDependency(ItemId),
    /// A tag.
    AddTag(Arc<str>),
    /// A tag less.
    RemoveTag(Arc<str>),
}

impl Change {
    /// The field.
    pub const fn field(&self) -> Field {
        match self {
            Self::Name(_) => Field::Name,
            Self::Description(_) => Field::Description,
            Self::Owner(_) => Field::Owner,
            Self::CurrentPhase(_) => Field::CurrentPhase,
            Self::TotalPhases(_) => Field::TotalPhases,
            Self::AddCollaborator(_) | Self::RemoveCollaborator(_) => Field::Collaborators,
            Self::Title(_) => Field::Title,
            Self::Status(_) => Field::Status,
            Self::Priority(_) => Field::Priority,
            Self::AssignedTo(_) => Field::AssignedTo,
            Self::Progress(_) => Field::Progress,
            Self::EstimatedMinutes(_) => Field::EstimatedMinutes,
            Self::ActualMinutes { .. } => Field::ActualMinutes,
            Self::TaskId(_) => Field::TaskId,
            Self::AddDependency(_) | Self::RemoveDependency(_) => Field::Dependencies,
            Self::AddTag(_) | Self::RemoveTag(_) => Field::Tags,
        }
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The plan is there, with these fields.
    CreatePlan {
        /// Fields of a plan.
        changes: Vec<Change>,
    },
    /// Fields of the plan change.
    UpdatePlan {
        /// Fields of a plan.
        changes: Vec<Change>,
    },
    /// The plan is deleted, as far as the author had seen it.
    DeletePlan,
    /// An item is there.
    AddItem {
        /// Its id, chosen by the author.
        item: ItemId,
        /// The item that it is a part of.
        parent: Option<ItemId>,
        /// Its place.
        order: OrderKey,
        /// Fields of an item.
        changes: Vec<Change>,
    },
    /// Fields of an item change.
    UpdateItem {
        /// Which.
        item: ItemId,
        /// Fields of an item.
        changes: Vec<Change>,
    },
    /// Items are deleted, as far as the author had seen them.
    DeleteItem {
        /// Which: an item with all parts of it that the author had seen.
        items: Vec<ItemId>,
    },
    /// An item goes under another parent.
    MoveItem {
        /// Which.
        item: ItemId,
        /// Under which.
        parent: Option<ItemId>,
        /// Under which it was: there it stays if the move would make a cycle.
        from: Option<ItemId>,
        /// Its place.
        order: OrderKey,
    },
    /// Siblings change places.
    ReorderItems {
        /// The new place of each that moves.
        orders: Vec<(ItemId, OrderKey)>,
    },
    /// Somebody does an item, or nobody.
    AssignItem {
        /// Which.
        item: ItemId,
        /// Who.
        to: Option<AgentId>,
    },
    /// An item's status changes.
    UpdateStatus {
        /// Which.
        item: ItemId,
        /// To what.
        status: PlanItemStatus,
    },
    /// A note is added to an item.
    AddNote {
        /// Which.
        item: ItemId,
        /// What it says.
        text: Arc<str>,
    },
    /// Fields of several items change, all or none.
    BulkUpdate {
        /// Each item with its fields.
        updates: Vec<(ItemId, Vec<Change>)>,
    },
    /// The author's other operations rest on what this field held.
    Read {
        /// Of which item; of the plan if none.
        item: Option<ItemId>,
        /// Which field.
        field: Field,
        /// The ids of the values that the author read.
        seen: Vec<OperationId>,
        /// The ids of values that had come meanwhile, and that the author had not read.
        missed: Vec<OperationId>,
    },
    /// Somebody looked at a conflict and lets it be.
    Acknowledge {
        /// The conflict's id.
        conflict: Arc<str>,
    },
    /// What the author had seen of deleted items is forgotten for good; edits that it had not seen stay.
    Purge {
        /// Which.
        items: Vec<ItemId>,
    },
    /// The actor's share of a counter: all that it ever added, and all that it took away.
    Count {
        /// Added.
        up: u64,
        /// Taken away.
        down: u64,
    },
    /// A register's value, a JSON text.
    Write {
        /// The value.
        value: Arc<str>,
    },
    /// A key's value, a JSON text.
    Put {
        /// The key.
        key: Arc<str>,
        /// The value.
        value: Arc<str>,
    },
    /// Elements are in the set.
    Insert {
        /// Which.
        elements: Vec<Arc<str>>,
    },
    /// Keys or elements are removed, as far as the author had seen them.
    Remove {
        /// Which.
        keys: Vec<Arc<str>>,
    },
    /// The clock is at least this.
    Raise {
        /// Counts by name.
        clock: VectorClock,
    },
}

impl Operation {
    /// How many items, keys and changes it names: what applying it costs.
    pub(crate) fn effects(&self) -> usize {
        1 + match self {
            Self::CreatePlan { changes }
            | Self::UpdatePlan { changes }
            | Self::AddItem { changes, .. }
            | Self::UpdateItem { changes, .. } => changes.len(),
            Self::DeleteItem { items } | Self::Purge { items } => items.len(),
            Self::ReorderItems { orders } => orders.len(),
            Self::BulkUpdate { updates } => {
                updates.iter().map(|(_, changes)| 1 + changes.len()).sum()
            }
            Self::Insert { elements: keys } | Self::Remove { keys } => keys.len(),
            Self::Raise { clock } => clock.len(),
            _ => 0,
        }
    }

    /// Its name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreatePlan { .. } => "create_plan",
            Self::UpdatePlan { .. } => "update_plan",
            Self::DeletePlan => "delete_plan",
            Self::AddItem { .. } => "add_item",
            Self::UpdateItem { .. } => "update_item",
            Self::DeleteItem { .. } => "delete_item",
            Self::MoveItem { .. } => "move_item",
            Self::ReorderItems { .. } => "reorder_items",
            Self::AssignItem { .. } => "assign_item",
            Self::UpdateStatus { .. } => "update_status",
            Self::AddNote { .. } => "add_note",
            Self::BulkUpdate { .. } => "bulk_update",
            Self::Read { .. } => "read",
            Self::Acknowledge { .. } => "acknowledge",
            Self::Purge { .. } => "purge",
            Self::Count { .. } => "count",
            Self::Write { .. } => "write",
            Self::Put { .. } => "put",
            Self::Insert { .. } => "insert",
            Self::Remove { .. } => "remove",
            Self::Raise { .. } => "raise",
        }
    }
}
