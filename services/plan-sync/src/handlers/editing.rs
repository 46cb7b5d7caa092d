//! Edits of callers without a replica: the service's own replica makes them, in the caller's name.

use std::collections::BTreeSet;

use troupe_bus::Call;
use troupe_contract::plan::{
    AddItemRequest, AddNoteRequest, AssignItemRequest, BulkUpdateRequest, Choice, ConflictsRequest,
    CreatePlanRequest, ItemRef, MoveItemRequest, NewItem, ObjectReply, ObjectUpdateRequest,
    PlanReceipt, PlanRef, ReorderItemsRequest, ResolveConflictRequest, UpdateItemRequest,
    UpdateItemStatusRequest, UpdatePlanRequest,
};
use troupe_crdt::limits::MAX_CONFLICTS;
use troupe_domain::limits::MAX_BULK_ITEMS;
use troupe_domain::plan::ObjectId;
use troupe_domain::{Code, Fault, Name};
use troupe_shard::place::digest;

use super::{Plans, answer_of, deadline};
use crate::rules::record::RequestKey;
use crate::rules::request::{Edited, Operation, PlanRequest};

/// Has an edit made.
async fn edit<R>(
    plans: &Plans,
    call: &Call<R>,
    object: ObjectId,
    operation: Operation,
) -> Result<Edited, Fault> {
    let internal = |why: serde_json::Error| Fault::new(Code::Internal, why.to_string());
    let key = match &call.command_id {
        None => None,
        Some(key) => Some(RequestKey {
            caller: call.caller.clone(),
            key: key.clone(),
            digest: digest(&serde_json::to_vec(&operation).map_err(internal)?),
        }),
    };
    let (caller, trace) = (call.caller.clone(), call.trace.clone());
    let operation = Box::new(operation);
    let request = PlanRequest::Edit { caller, operation, key, trace };
    Ok(*answer_of!(plans.ask(&object, request, deadline(call)).await?, Edited)?)
}

/// `plan.create`
pub async fn create(plans: &Plans, call: Call<CreatePlanRequest>) -> Result<PlanReceipt, Fault> {
    let mut request = call.request.clone();
    check_many("items", request.items.len())?;
    let id = match request.plan_id.take() {
        Some(id) => id,
        None => named(plans, &call.caller, call.command_id.as_deref(), "plan")?,
    };
    request.plan_id = Some(id.clone());
    name_items(plans, &mut request.items, call.command_id.as_deref(), &call.caller)?;
    Ok(edit(plans, &call, id, Operation::CreatePlan(request)).await?.receipt)
}

/// Gives ids to items that have none, and refuses one that comes twice.
fn name_items(
    plans: &Plans,
    items: &mut [NewItem],
    command_id: Option<&str>,
    caller: &troupe_domain::AgentId,
) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter_mut().enumerate() {
        let id = match &item.item_id {
            Some(id) => id.clone(),
            None => named(plans, caller, command_id, &format!("item-{index}"))?,
        };
        if !seen.insert(id.clone()) {
            return Err(Fault::invalid("items", format!("the id {id} comes twice")));
        }
        item.item_id = Some(id);
    }
    Ok(())
}

/// The id of what a caller makes without naming it: it follows from the idempotency key of the
/// command, so that a repetition is recognised.
fn named(
    plans: &Plans,
    caller: &troupe_domain::AgentId,
    command_id: Option<&str>,
    what: &str,
) -> Result<troupe_domain::Name, Fault> {
    use sha2::Digest;
    use std::fmt::Write;
    let Some(key) = command_id else { return plans.new_id() };
    let digest = sha2::Sha256::digest(format!("{caller}\n{key}\n{what}").as_bytes());
    let text = digest[..16].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    troupe_domain::Name::parse(&text).map_err(|why| Fault::new(Code::Internal, why.to_string()))
}

fn check_many(field: &str, count: usize) -> Result<(), Fault> {
    if count > MAX_BULK_ITEMS {
        return Err(Fault::exhausted("MAX_BULK_ITEMS", MAX_BULK_ITEMS).with("field", field));
    }
    Ok(())
}

/// `plan.add_item`
pub async fn add_item(plans: &Plans, call: Call<AddItemRequest>) -> Result<PlanReceipt, Fault> {
    let mut request = call.request.clone();
    let command_id = call.command_id.as_deref();
    name_items(plans, std::slice::from_mut(&mut request.item), command_id, &call.caller)?;
    let plan = request.plan_id.clone();
    Ok(edit(plans, &call, plan, Operation::AddItem(request)).await?.receipt)
}

/// `plan.delete`
pub async fn delete(plans: &Plans, call: Call<PlanRef>) -> Result<PlanReceipt, Fault> {
    let plan = call.request.plan_id.clone();
    Ok(edit(plans, &call, plan.clone(), Operation::DeletePlan(plan)).await?.receipt)
}

/// `plan.reorder_items`
pub async fn reorder_items(
    plans: &Plans,
    call: Call<ReorderItemsRequest>,
) -> Result<PlanReceipt, Fault> {
    check_many("item_ids", call.request.item_ids.len())?;
    let request = call.request.clone();
    let plan = request.plan_id.clone();
    Ok(edit(plans, &call, plan, Operation::ReorderItems(request)).await?.receipt)
}

/// `plan.bulk_update`
pub async fn bulk_update(
    plans: &Plans,
    call: Call<BulkUpdateRequest>,
) -> Result<PlanReceipt, Fault> {
    check_many("changes", call.request.changes.len())?;
    let request = call.request.clone();
    let plan = request.plan_id.clone();
    Ok(edit(plans, &call, plan, Operation::BulkUpdate(request)).await?.receipt)
}

/// `plan.resolve`
pub async fn resolve(
    plans: &Plans,
    call: Call<ResolveConflictRequest>,
) -> Result<PlanReceipt, Fault> {
    let ResolveConflictRequest { plan_id, conflict_id, choice } = call.request.clone();
    let object = plan_id.clone();
    let choice = match choice {
        Choice::TakeMerged {} => merged(plans, &call, &object, &conflict_id).await?,
        other => other,
    };
    let operation = Operation::Resolve { object: plan_id, conflict: conflict_id, choice };
    Ok(edit(plans, &call, object, operation).await?.receipt)
}

/// The text that joins both sides of a conflict.
async fn merged<R>(
    plans: &Plans,
    call: &Call<R>,
    object: &ObjectId,
    conflict: &Name,
) -> Result<Choice, Fault> {
    let (plan_id, until) = (object.clone(), deadline(call));
    let all = ConflictsRequest { plan_id, kind: None, limit: Some(MAX_CONFLICTS), after: None };
    let answer = plans.ask(object, PlanRequest::Conflicts(all), until).await?;
    let mut found = answer_of!(answer, Conflicts)?.conflicts;
    found.retain(|found| found.id == *conflict);
    super::versions::offer_merges(plans, object, &mut found, until).await?;
    let found = found.pop().ok_or_else(|| Fault::not_found("open conflict", conflict))?;
    let text = found
        .merged
        .ok_or_else(|| Fault::invalid("choice", "the two texts cannot be joined by themselves"))?;
    Ok(Choice::TakeValue { value: text.into() })
}

/// `plan.object_update`
pub async fn update_object(
    plans: &Plans,
    call: Call<ObjectUpdateRequest>,
) -> Result<ObjectReply, Fault> {
    let request = call.request.clone();
    let (object_id, kind) = (request.object_id.clone(), request.kind);
    let edited = edit(plans, &call, object_id.clone(), Operation::UpdateObject(request)).await?;
    Ok(ObjectReply {
        object_id,
        kind,
        value: edited.value.unwrap_or_default(),
        sequence: edited.receipt.sequence,
        version: edited.receipt.version,
    })
}

/// Edits that go to the shard as they came.
macro_rules! plain_edits {
    ($($(#[doc = $doc:literal])+ $name:ident: $request:ty => $operation:ident;)+) => {$(
        $(#[doc = $doc])+
        pub async fn $name(plans: &Plans, call: Call<$request>) -> Result<PlanReceipt, Fault> {
            let request = call.request.clone();
            let plan = request.plan_id.clone();
            Ok(edit(plans, &call, plan, Operation::$operation(request)).await?.receipt)
        }
    )+};
}

plain_edits! {
    /// `plan.update`
    update: UpdatePlanRequest => UpdatePlan;
    /// `plan.update_item`
    update_item: UpdateItemRequest => UpdateItem;
    /// `plan.delete_item`
    delete_item: ItemRef => DeleteItem;
    /// `plan.move_item`
    move_item: MoveItemRequest => MoveItem;
    /// `plan.assign_item`
    assign_item: AssignItemRequest => AssignItem;
    /// `plan.update_status`
    update_status: UpdateItemStatusRequest => UpdateStatus;
    /// `plan.add_note`
    add_note: AddNoteRequest => AddNote;
}
