//! Plans: reading them, making one, editing one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_contract::plan::{
    AddItem, AddItemRequest, AddNote, AddNoteRequest, CreatePlan, DeleteItem, Dispatch,
    DispatchReply, GetPlan, ItemChange, ItemRef, ListPlans, MoveItem, MoveItemRequest, NewItem,
    PlanPage, PlanReceipt, PlanReply, UpdateItem, UpdateItemRequest, UpdateItemStatusRequest,
    UpdateStatus,
};
use troupe_domain::plan::{ItemId, ObjectId, PlanItem, PlanItemStatus};
use troupe_domain::{AgentId, Fault, Priority, TaskId};

use super::{Custom, Effect, Face, Operation, Tool, Visit};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::operation::<List>(),
        Tool::operation::<Get>(),
        Tool::operation::<Make>(),
        Tool::custom::<Edit>(),
        Tool::operation::<Hand>(),
    ]
}

struct List;

#[derive(Debug, Serialize, JsonSchema)]
struct PlanLine {
    id: ObjectId,
    name: String,
    owner: AgentId,
    /// 0 to 100.
    overall_progress: f64,
    item_count: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Lines {
    plans: Vec<PlanLine>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<ObjectId>,
}

impl From<PlanPage> for Lines {
    fn from(page: PlanPage) -> Self {
        let plans = page.plans.into_iter().map(|head| PlanLine {
            id: head.id,
            name: head.name,
            owner: head.owner,
            overall_progress: head.overall_progress,
            item_count: head.item_count,
        });
        Self { plans: plans.collect(), next_after: page.next_after }
    }
}

impl Operation for List {
    type Endpoint = ListPlans;
    type Output = Lines;
    const FACE: Face = Face {
        name: "plan_list",
        title: "List plans",
        about: "List the fleet's plans by id, page by page, with how far each is.",
        effect: Effect::Reads,
        attends: false,
        hidden: &["with_deleted"],
        notes: &[("after", "The `next_after` of the page before.")],
    };
}

struct Get;

/// An item, as far as a model has use for it.
#[derive(Debug, Serialize, JsonSchema)]
struct ItemView {
    id: ItemId,
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    status: PlanItemStatus,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_to: Option<AgentId>,
    /// Items that must be completed first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<ItemId>,
    /// 0 to 100.
    progress: u8,
    /// The item that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<ItemId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// Remarks, each with who wrote it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// The task that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
}

impl From<PlanItem> for ItemView {
    fn from(item: PlanItem) -> Self {
        let notes = item.notes.iter().map(|note| format!("{}: {}", note.by, note.text));
        Self {
            notes: notes.collect(),
            id: item.id,
            title: item.title,
            description: item.description,
            status: item.status,
            priority: item.priority,
            assigned_to: item.assigned_to,
            dependencies: item.dependencies,
            progress: item.progress,
            parent_id: item.parent_id,
            tags: item.tags,
            task_id: item.task_id,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct PlanView {
    id: ObjectId,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    owner: AgentId,
    /// 0 to 100.
    overall_progress: f64,
    /// In the plan's order.
    items: Vec<ItemView>,
    /// Items that can begin now.
    ready_item_ids: Vec<ItemId>,
    /// Contradictions that nobody has decided.
    open_conflicts: usize,
    /// Give this as `offset` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

impl From<PlanReply> for PlanView {
    fn from(reply: PlanReply) -> Self {
        let head = reply.plan.head;
        Self {
            id: head.id,
            name: head.name,
            description: head.description,
            owner: head.owner,
            overall_progress: head.overall_progress,
            items: reply.plan.items.into_iter().map(Into::into).collect(),
            ready_item_ids: reply.ready_item_ids,
            open_conflicts: reply.open_conflicts,
            next_offset: reply.next_offset,
        }
    }
}

impl Operation for Get {
    type Endpoint = GetPlan;
    type Output = PlanView;
    const FACE: Face = Face {
        name: "plan_get",
        title: "Read a plan",
        about: "Read a plan with its items in order, and which of them can begin now.",
        effect: Effect::Reads,
        attends: false,
        hidden: &["at_version", "at_sequence", "at_time"],
        notes: &[
            ("limit", "At most so many items; ask for 50 or fewer of a plan that may be large."),
            ("offset", "The `next_offset` of the page before."),
        ],
    };
}

/// What became of an edit.
#[derive(Debug, Serialize, JsonSchema)]
struct Edited {
    plan_id: ObjectId,
    /// A version to come back to.
    sequence: u64,
    /// The items that were added or changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    item_ids: Vec<ItemId>,
}

impl From<PlanReceipt> for Edited {
    fn from(receipt: PlanReceipt) -> Self {
        Self { plan_id: receipt.plan_id, sequence: receipt.sequence, item_ids: receipt.item_ids }
    }
}

struct Make;

impl Operation for Make {
    type Endpoint = CreatePlan;
    type Output = Edited;
    const FACE: Face = Face {
        name: "plan_create",
        title: "Make a plan",
        about: "Make a plan that many can edit at once, with its first items. Give items ids of your \
                own where others depend on them.",
        effect: Effect::Adds,
        attends: false,
        hidden: &["owner", "current_phase", "total_phases"],
        notes: &[(
            "plan_id",
            "An id of your choice, so that repeating the call makes no second plan.",
        )],
    };
}

struct Edit;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EditArguments {
    /// The plan.
    plan_id: ObjectId,
    /// One change.
    edit: Change,
}

/// One change of a plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Change {
    /// Adds an item.
    AddItem {
        item: NewItem,
        /// Directly after this one; the last of its siblings where none is named.
        #[serde(default)]
        after: Option<ItemId>,
    },
    /// Changes fields of an item; what is not named stays.
    UpdateItem { item_id: ItemId, change: ItemChange },
    /// Says where an item stands.
    UpdateStatus {
        item_id: ItemId,
        status: PlanItemStatus,
        /// 0 to 100.
        #[serde(default)]
        progress: Option<u8>,
        /// Why, in words.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Adds a remark to an item.
    AddNote { item_id: ItemId, text: String },
    /// Moves an item under another, or to another place.
    MoveItem {
        item_id: ItemId,
        /// The plan itself where none is named.
        #[serde(default)]
        parent_id: Option<ItemId>,
        /// Directly after this one; the first where none is named.
        #[serde(default)]
        after: Option<ItemId>,
    },
    /// Deletes an item with its parts.
    DeleteItem { item_id: ItemId },
}

impl Custom for Edit {
    type Arguments = EditArguments;
    type Output = Edited;
    const FACE: Face = Face {
        name: "plan_edit",
        title: "Edit a plan",
        about: "Change one thing of a plan: edit is an object with one key, such as \
                {\"update_status\": {\"item_id\": \"a\", \"status\": \"completed\"}}. Others may edit \
                at the same time; nobody waits, and contradictions are told.",
        effect: Effect::Adds,
        attends: false,
        hidden: &[],
        notes: &[],
    };

    async fn run(visit: &Visit, arguments: EditArguments) -> Result<Edited, Fault> {
        let plan_id = arguments.plan_id;
        let adds = Effect::Adds;
        let receipt = match arguments.edit {
            Change::AddItem { item, after } => {
                visit.ask::<AddItem>(&AddItemRequest { plan_id, item, after }, adds).await
            }
            Change::UpdateItem { item_id, change } => {
                let request = UpdateItemRequest { plan_id, item_id, change, read_version: None };
                visit.ask::<UpdateItem>(&request, adds).await
            }
            Change::UpdateStatus { item_id, status, progress, reason } => {
                let request =
                    UpdateItemStatusRequest { plan_id, item_id, status, progress, reason };
                visit.ask::<UpdateStatus>(&request, adds).await
            }
            Change::AddNote { item_id, text } => {
                visit.ask::<AddNote>(&AddNoteRequest { plan_id, item_id, text }, adds).await
            }
            Change::MoveItem { item_id, parent_id, after } => {
                let request = MoveItemRequest { plan_id, item_id, parent_id, after };
                visit.ask::<MoveItem>(&request, adds).await
            }
            Change::DeleteItem { item_id } => {
                visit.ask::<DeleteItem>(&ItemRef { plan_id, item_id }, adds).await
            }
        };
        receipt.map(Into::into)
    }
}

struct Hand;

impl Operation for Hand {
    type Endpoint = Dispatch;
    type Output = DispatchReply;
    const FACE: Face = Face {
        name: "plan_dispatch",
        title: "Turn plan items into tasks",
        about: "Turn items of a plan that can begin into tasks for the fleet; the tasks then move \
                their items.",
        effect: Effect::Adds,
        attends: false,
        hidden: &[],
        notes: &[],
    };
}
