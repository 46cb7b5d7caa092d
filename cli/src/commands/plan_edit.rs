//! The subcommands of `troupe plan` that change a plan. Each is one call, made once even where it is
//! sent twice.

use anyhow::Result;
use clap::Args;
use troupe_bus::port::{System, World};
use troupe_client::{Patience, insist};
use troupe_contract::Endpoint;
use troupe_contract::plan::{
    AddItem, AddItemRequest, AddNote, AddNoteRequest, AssignItem, AssignItemRequest, CreatePlan,
    CreatePlanRequest, DeleteItem, DeletePlan, ItemChange, ItemRef, MoveItem, MoveItemRequest,
    NewItem, PlanReceipt, PlanRef, ReorderItems, ReorderItemsRequest, UpdateItem,
    UpdateItemRequest, UpdateItemStatusRequest, UpdatePlan, UpdatePlanRequest, UpdateStatus,
};
use troupe_domain::plan::{ItemId, ObjectId, PlanItemStatus};
use troupe_domain::{AgentId, Name, Priority};

use crate::args::Global;
use crate::exit::Usage;
use crate::output::{self, from_word};

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// One line.
    #[arg(value_name = "NAME")]
    title: String,
    /// The id [default: a new one].
    #[arg(long)]
    id: Option<ObjectId>,
    /// As long as needed.
    #[arg(long, default_value = "")]
    description: String,
    /// Who works on it; can be repeated.
    #[arg(long = "with", value_name = "AGENT")]
    collaborators: Vec<AgentId>,
    /// How many phases it has.
    #[arg(long)]
    phases: Option<u32>,
    /// The title of a first item; can be repeated.
    #[arg(long = "item", value_name = "TITLE")]
    items: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The plan.
    plan: ObjectId,
    /// One line.
    title: String,
    /// The id [default: a new one].
    #[arg(long)]
    id: Option<ItemId>,
    /// As long as needed.
    #[arg(long, default_value = "")]
    description: String,
    /// low, medium, high or critical.
    #[arg(long, value_parser = from_word::<Priority>, default_value = "medium")]
    priority: Priority,
    /// Whose it is.
    #[arg(long, value_name = "AGENT")]
    assign: Option<AgentId>,
    /// An item that must be completed first; can be repeated.
    #[arg(long = "needs", value_name = "ITEM")]
    dependencies: Vec<ItemId>,
    /// The item that it is a part of.
    #[arg(long, value_name = "ITEM")]
    under: Option<ItemId>,
    /// Directly after this one [default: the last].
    #[arg(long, value_name = "ITEM")]
    after: Option<ItemId>,
    /// A word to find it by; can be repeated.
    #[arg(long = "tag", value_name = "WORD")]
    tags: Vec<String>,
    /// A guess.
    #[arg(long, value_name = "MINUTES")]
    estimate: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The plan.
    plan: ObjectId,
    /// The item [default: the plan itself].
    item: Option<ItemId>,
    /// The name of a plan, or the title of an item.
    #[arg(long)]
    title: Option<String>,
    /// As long as needed.
    #[arg(long)]
    description: Option<String>,
    /// An item's priority.
    #[arg(long, value_parser = from_word::<Priority>)]
    priority: Option<Priority>,
    /// How far an item is, 0 to 100.
    #[arg(long, value_name = "PERCENT")]
    progress: Option<u8>,
    /// What an item should take.
    #[arg(long, value_name = "MINUTES")]
    estimate: Option<u64>,
    /// What an item took.
    #[arg(long, value_name = "MINUTES")]
    spent: Option<u64>,
    /// An item that must be completed first; can be repeated.
    #[arg(long = "needs", value_name = "ITEM")]
    add_dependencies: Vec<ItemId>,
    /// An item that need not be completed first; can be repeated.
    #[arg(long = "needs-not", value_name = "ITEM")]
    remove_dependencies: Vec<ItemId>,
    /// A word to find the item by; can be repeated.
    #[arg(long = "tag", value_name = "WORD")]
    add_tags: Vec<String>,
    /// A word that no longer fits; can be repeated.
    #[arg(long = "untag", value_name = "WORD")]
    remove_tags: Vec<String>,
    /// The plan's owner.
    #[arg(long)]
    owner: Option<AgentId>,
    /// Who joins the plan; can be repeated.
    #[arg(long = "with", value_name = "AGENT")]
    add_collaborators: Vec<AgentId>,
    /// Who leaves the plan; can be repeated.
    #[arg(long = "without", value_name = "AGENT")]
    remove_collaborators: Vec<AgentId>,
    /// The plan's phase.
    #[arg(long)]
    phase: Option<u32>,
    /// How many phases the plan has.
    #[arg(long)]
    phases: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The plan.
    plan: ObjectId,
    /// The item.
    item: ItemId,
    /// pending, in_progress, completed, blocked, cancelled or deferred.
    #[arg(value_parser = from_word::<PlanItemStatus>)]
    status: PlanItemStatus,
    /// How far it is, 0 to 100.
    #[arg(long, value_name = "PERCENT")]
    progress: Option<u8>,
    /// Why.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// Makes one edit, and prints what it came to.
async fn edit<E: Endpoint<Reply = PlanReceipt>>(
    global: &Global,
    request: E::Request,
) -> Result<()> {
    let receipt = make::<E>(global, &request).await?;
    if global.json {
        return output::json(&receipt);
    }
    let items: Vec<&str> = receipt.item_ids.iter().map(Name::as_str).collect();
    let said = format!("{} {} {}", receipt.plan_id, receipt.sequence, items.join(" "));
    Ok(output::line(said.trim_end())?)
}

/// One call under a key of its own, so that sending it again makes nothing twice.
pub(super) async fn make<E: Endpoint>(global: &Global, request: &E::Request) -> Result<E::Reply> {
    let troupe = global.connect().await?;
    let patience = Patience { total: global.timeout(), attempt: global.timeout() };
    let command_id = Some(System.ulid().to_string());
    Ok(insist::<E>(&troupe, request, command_id, patience).await?)
}

pub(super) async fn create(global: &Global, args: CreateArgs) -> Result<()> {
    let items = args.items.into_iter();
    let request = CreatePlanRequest {
        plan_id: args.id,
        name: args.title,
        description: args.description,
        owner: None,
        collaborators: args.collaborators,
        current_phase: args.phases.map(|_| 1),
        total_phases: args.phases,
        items: items.map(|title| NewItem { title, ..NewItem::default() }).collect(),
    };
    edit::<CreatePlan>(global, request).await
}

pub(super) async fn add(global: &Global, args: AddArgs) -> Result<()> {
    let item = NewItem {
        item_id: args.id,
        title: args.title,
        description: args.description,
        priority: args.priority,
        assigned_to: args.assign,
        dependencies: args.dependencies,
        estimated_minutes: args.estimate,
        parent_id: args.under,
        tags: args.tags,
        ..NewItem::default()
    };
    let request = AddItemRequest { plan_id: args.plan, item, after: args.after };
    edit::<AddItem>(global, request).await
}

pub(super) async fn update(global: &Global, args: UpdateArgs) -> Result<()> {
    let Some(item_id) = args.item else {
        let request = UpdatePlanRequest {
            plan_id: args.plan,
            name: args.title,
            description: args.description,
            owner: args.owner,
            add_collaborators: args.add_collaborators,
            remove_collaborators: args.remove_collaborators,
            current_phase: args.phase,
            total_phases: args.phases,
        };
        return edit::<UpdatePlan>(global, request).await;
    };
    let of_plan = args.owner.is_some()
        || args.phase.is_some()
        || args.phases.is_some()
        || !args.add_collaborators.is_empty()
        || !args.remove_collaborators.is_empty();
    if of_plan {
        let why = "--owner, --phase, --phases, --with and --without are about a plan, not an item";
        return Err(Usage(why.to_owned()).into());
    }
    let change = ItemChange {
        title: args.title,
        description: args.description,
        priority: args.priority,
        progress: args.progress,
        estimated_minutes: args.estimate,
        actual_minutes: args.spent,
        add_dependencies: args.add_dependencies,
        remove_dependencies: args.remove_dependencies,
        add_tags: args.add_tags,
        remove_tags: args.remove_tags,
        ..ItemChange::default()
    };
    let request = UpdateItemRequest { plan_id: args.plan, item_id, change, read_version: None };
    edit::<UpdateItem>(global, request).await
}

pub(super) async fn shift(
    global: &Global,
    plan_id: ObjectId,
    item_id: ItemId,
    parent_id: Option<ItemId>,
    after: Option<ItemId>,
) -> Result<()> {
    edit::<MoveItem>(global, MoveItemRequest { plan_id, item_id, parent_id, after }).await
}

pub(super) async fn order(
    global: &Global,
    plan_id: ObjectId,
    item_ids: Vec<ItemId>,
    parent_id: Option<ItemId>,
) -> Result<()> {
    edit::<ReorderItems>(global, ReorderItemsRequest { plan_id, parent_id, item_ids }).await
}

pub(super) async fn assign(
    global: &Global,
    plan_id: ObjectId,
    item_id: ItemId,
    assigned_to: Option<AgentId>,
) -> Result<()> {
    edit::<AssignItem>(global, AssignItemRequest { plan_id, item_id, assigned_to }).await
}

pub(super) async fn status(global: &Global, args: StatusArgs) -> Result<()> {
    let request = UpdateItemStatusRequest {
        plan_id: args.plan,
        item_id: args.item,
        status: args.status,
        progress: args.progress,
        reason: args.reason,
    };
    edit::<UpdateStatus>(global, request).await
}

pub(super) async fn note(
    global: &Global,
    plan_id: ObjectId,
    item_id: ItemId,
    text: String,
) -> Result<()> {
    edit::<AddNote>(global, AddNoteRequest { plan_id, item_id, text }).await
}

pub(super) async fn delete(global: &Global, plan_id: ObjectId, item: Option<ItemId>) -> Result<()> {
    match item {
        Some(item_id) => edit::<DeleteItem>(global, ItemRef { plan_id, item_id }).await,
        None => edit::<DeletePlan>(global, PlanRef { plan_id }).await,
    }
}
