//! Edits: what somebody wants, in plain values, before it is an operation.
//!
//! An [`Edit`] says nothing of order keys, former parents or shares of counters: those follow from the
//! document as its author sees it. Edits of one batch see what the earlier ones did.

mod draft;
mod objects;
mod rows;

use troupe_domain::plan::{ItemId, PlanItemStatus};
use troupe_domain::{AgentId, Fault, Name, Priority, TaskId, Timestamp, VectorClock};

use crate::batch::SignedBatch;
use crate::document::Document;
use crate::key::AgentKey;
use crate::operation::Operation;
use draft::Draft;

/// Where among its siblings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position {
    /// Before all others.
    First,
    /// After all others.
    #[default]
    Last,
    /// Directly after this one.
    After(ItemId),
}

/// An item to be added.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewItem {
    /// One line, not empty.
    pub title: String,
    /// As long as needed.
    pub description: String,
    /// Where it stands.
    pub status: PlanItemStatus,
    /// How urgent.
    pub priority: Priority,
    /// Whose it is.
    pub assigned_to: Option<AgentId>,
    /// Items that must be completed first.
    pub dependencies: Vec<ItemId>,
    /// A guess.
    pub estimated_minutes: Option<u64>,
    /// The item that it is a part of.
    pub parent: Option<ItemId>,
    /// Where among its siblings.
    pub position: Position,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// Fields of an item that change. What is not named stays; `Some(None)` empties a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemChange {
    /// One line, not empty.
    pub title: Option<String>,
    /// As long as needed.
    pub description: Option<String>,
    /// Where it stands.
    pub status: Option<PlanItemStatus>,
    /// How urgent.
    pub priority: Option<Priority>,
    /// Whose it is.
    pub assigned_to: Option<Option<AgentId>>,
    /// 0 to 100.
    pub progress: Option<u8>,
    /// A guess.
    pub estimated_minutes: Option<Option<u64>>,
    /// What it took so far: becomes an addition or a subtraction, so that none is lost.
    pub actual_minutes: Option<u64>,
    /// So many minutes more.
    pub add_minutes: Option<u64>,
    /// The task that does it.
    pub task_id: Option<Option<TaskId>>,
    /// Items that must be completed first.
    pub add_dependencies: Vec<ItemId>,
    /// Items that need not.
    pub remove_dependencies: Vec<ItemId>,
    /// Words to find it by.
    pub add_tags: Vec<String>,
    /// Words that no longer fit.
    pub remove_tags: Vec<String>,
}

/// Fields of a plan that change. What is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanChange {
    /// One line, not empty.
    pub name: Option<String>,
    /// As long as needed.
    pub description: Option<String>,
    /// Whose it is.
    pub owner: Option<Option<AgentId>>,
    /// The phase that it is in.
    pub current_phase: Option<u32>,
    /// How many phases it has.
    pub total_phases: Option<u32>,
    /// Who works on it.
    pub add_collaborators: Vec<AgentId>,
    /// Who does no more.
    pub remove_collaborators: Vec<AgentId>,
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Make the plan. One that was deleted is there again.
    CreatePlan(PlanChange),
    /// Change what the plan says of itself.
    UpdatePlan(PlanChange),
    /// Delete the plan.
    DeletePlan,
    /// Add an item.
    AddItem {
        /// Its id.
        item: ItemId,
        /// Its fields.
        new: NewItem,
    },
    /// Change fields of an item.
    UpdateItem {
        /// Which.
        item: ItemId,
        /// What changes.
        change: ItemChange,
        /// The version of the plan that the author had read. What the item got meanwhile is told as a
        /// conflict.
        rests_on: Option<VectorClock>,
    },
    /// Delete an item with its parts.
    DeleteItem {
        /// Which.
        item: ItemId,
    },
    /// Move an item.
    MoveItem {
        /// Which.
        item: ItemId,
        /// Under which; the plan itself if none.
        parent: Option<ItemId>,
        /// Where among its siblings.
        position: Position,
    },
    /// Put the parts of an item into an order.
    ReorderItems {
        /// The item; the plan itself if none.
        parent: Option<ItemId>,
        /// The first parts; the others follow as they were.
        items: Vec<ItemId>,
    },
    /// Say whose an item is.
    AssignItem {
        /// Which.
        item: ItemId,
        /// Whose.
        to: Option<AgentId>,
    },
    /// Say where an item stands.
    UpdateStatus {
        /// Which.
        item: ItemId,
        /// Where.
        status: PlanItemStatus,
        /// 0 to 100.
        progress: Option<u8>,
        /// Why: becomes a note.
        reason: Option<String>,
    },
    /// Add a note.
    AddNote {
        /// To which item.
        item: ItemId,
        /// What it says.
        text: String,
    },
    /// Change fields of several items, all or none.
    BulkUpdate {
        /// Each with its change.
        changes: Vec<(ItemId, ItemChange)>,
    },
    /// The edits rest on what this item was in this version; what changed since is told as a conflict,
    /// and so is what others change without knowing.
    RestsOn {
        /// Which.
        item: ItemId,
        /// What the author had read; the present version if none.
        version: Option<VectorClock>,
    },
    /// Let a conflict be.
    Dismiss {
        /// Which.
        conflict: Name,
    },
    /// Forget deleted items for good.
    Purge {
        /// Which.
        items: Vec<ItemId>,
    },
    /// A counter grows.
    Increment {
        /// By so much.
        by: u64,
    },
    /// A counter shrinks.
    Decrement {
        /// By so much.
        by: u64,
    },
    /// A register gets a value.
    Set {
        /// JSON.
        value: serde_json::Value,
    },
    /// A key of a map gets a value.
    Put {
        /// Which.
        key: String,
        /// JSON.
        value: serde_json::Value,
    },
    /// Keys of a map, or members of a set, go.
    Remove {
        /// Which.
        keys: Vec<String>,
    },
    /// A set gets members.
    Add {
        /// Which.
        members: Vec<String>,
    },
    /// An entry of a vector clock grows by one.
    Tick {
        /// Whose.
        name: Name,
    },
    /// A vector clock learns what another one knows.
    Merge {
        /// The other one.
        clock: VectorClock,
    },
}

impl Document {
    /// The operations that edits amount to here and now.
    pub fn operations(&self, actor: &AgentId, edits: &[Edit]) -> Result<Vec<Operation>, Fault> {
        let mut draft = Draft::new(self, actor);
        for edit in edits {
            draft.edit(edit)?;
        }
        draft.finish()
    }

    /// The signed batch that edits amount to here and now. It is not applied.
    pub fn edit(
        &self,
        agent: &AgentId,
        key: &AgentKey,
        on_behalf_of: Option<AgentId>,
        at: Timestamp,
        edits: &[Edit],
    ) -> Result<SignedBatch, Fault> {
        let operations = self.operations(agent, edits)?;
        self.next_batch(agent, key, on_behalf_of, at, operations)?.sign(key)
    }
}
