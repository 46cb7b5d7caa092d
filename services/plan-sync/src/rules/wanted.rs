//! From requests to edits of `troupe-crdt`.

use troupe_contract::plan::{
    ItemChange as Asked, MoveItemRequest, NewItem as AskedItem, ObjectChange,
    UpdateItemStatusRequest, UpdatePlanRequest,
};
use troupe_crdt::edit::{Edit, ItemChange, NewItem, PlanChange, Position};
use troupe_crdt::operation::check_text;
use troupe_domain::limits::MAX_CHANGE_NAMES;
use troupe_domain::plan::{ItemId, ObjectId, ObjectKind, PlanItemStatus};
use troupe_domain::{AgentId, Code, Fault};

use super::request::Operation;

/// How far a completed item is.
const COMPLETE_PERCENT: u8 = 100;

impl Operation {
    /// The plan or object that it is about.
    pub fn object(&self) -> &ObjectId {
        match self {
            // A handler named it.
            Self::CreatePlan(request) => request
                .plan_id
                .as_ref()
                .unwrap_or_else(|| unreachable!("a plan that is to be made has an id")),
            Self::UpdatePlan(request) => &request.plan_id,
            Self::DeletePlan(plan) => plan,
            Self::AddItem(request) => &request.plan_id,
            Self::UpdateItem(request) => &request.plan_id,
            Self::DeleteItem(request) => &request.plan_id,
            Self::MoveItem(request) => &request.plan_id,
            Self::ReorderItems(request) => &request.plan_id,
            Self::AssignItem(request) => &request.plan_id,
            Self::UpdateStatus(request) => &request.plan_id,
            Self::AddNote(request) => &request.plan_id,
            Self::BulkUpdate(request) => &request.plan_id,
            Self::Resolve { object, .. } => object,
            Self::UpdateObject(request) => &request.object_id,
        }
    }

    /// The items that the answer names.
    pub fn items(&self) -> Vec<ItemId> {
        match self {
            Self::CreatePlan(request) => {
                request.items.iter().filter_map(|item| item.item_id.clone()).collect()
            }
            Self::AddItem(request) => request.item.item_id.iter().cloned().collect(),
            Self::UpdateItem(request) => vec![request.item_id.clone()],
            Self::DeleteItem(request) => vec![request.item_id.clone()],
            Self::MoveItem(request) => vec![request.item_id.clone()],
            Self::ReorderItems(request) => request.item_ids.clone(),
            Self::AssignItem(request) => vec![request.item_id.clone()],
            Self::UpdateStatus(request) => vec![request.item_id.clone()],
            Self::AddNote(request) => vec![request.item_id.clone()],
            Self::BulkUpdate(request) => {
                request.changes.iter().map(|change| change.item_id.clone()).collect()
            }
            Self::UpdatePlan(_)
            | Self::DeletePlan(_)
            | Self::Resolve { .. }
            | Self::UpdateObject(_) => Vec::new(),
        }
    }
}

/// Refuses lists that are longer than one change may have, and a change of nothing.
pub(super) fn check(operation: &Operation) -> Result<(), Fault> {
    match operation {
        Operation::CreatePlan(request) => {
            check_list("collaborators", &request.collaborators)?;
            let mut items = request.items.iter().enumerate();
            items.try_for_each(|(index, item)| check_new(&format!("items[{index}]"), item))
        }
        Operation::UpdatePlan(request) => {
            check_list("add_collaborators", &request.add_collaborators)?;
            check_list("remove_collaborators", &request.remove_collaborators)?;
            if of_plan(request) == PlanChange::default() {
                return Err(Fault::invalid("name", "something must change"));
            }
            Ok(())
        }
        Operation::AddItem(request) => check_new("item", &request.item),
        Operation::UpdateItem(request) => check_change("change", &request.change),
        Operation::BulkUpdate(request) => {
            let mut changes = request.changes.iter().enumerate();
            changes.try_for_each(|(index, one)| {
                check_change(&format!("changes[{index}].change"), &one.change)
            })
        }
        Operation::UpdateObject(request) if !fits(request.kind, &request.change) => {
            let why = format!("a {} has no such change", request.kind.as_str());
            Err(Fault::invalid("change", why))
        }
        _ => Ok(()),
    }
}

/// Whether a kind of object knows a change.
fn fits(kind: ObjectKind, change: &ObjectChange) -> bool {
    use ObjectChange as C;
    match kind {
        ObjectKind::Plan => false,
        ObjectKind::GCounter => matches!(change, C::Increment { .. }),
        ObjectKind::PnCounter => matches!(change, C::Increment { .. } | C::Decrement { .. }),
        ObjectKind::LwwRegister => matches!(change, C::Set { .. }),
        ObjectKind::LwwMap => matches!(change, C::Put { .. } | C::Remove { .. }),
        ObjectKind::OrSet => matches!(change, C::Add { .. } | C::Discard { .. }),
        ObjectKind::VectorClock => matches!(change, C::Tick {} | C::Merge { .. }),
    }
}

fn check_new(place: &str, item: &AskedItem) -> Result<(), Fault> {
    check_list(&format!("{place}.dependencies"), &item.dependencies)?;
    check_list(&format!("{place}.tags"), &item.tags)
}

fn check_change(place: &str, change: &Asked) -> Result<(), Fault> {
    check_list(&format!("{place}.add_dependencies"), &change.add_dependencies)?;
    check_list(&format!("{place}.remove_dependencies"), &change.remove_dependencies)?;
    check_list(&format!("{place}.add_tags"), &change.add_tags)?;
    check_list(&format!("{place}.remove_tags"), &change.remove_tags)
}

fn check_list<T>(field: &str, list: &[T]) -> Result<(), Fault> {
    if list.len() > MAX_CHANGE_NAMES {
        return Err(Fault::exhausted("MAX_CHANGE_NAMES", MAX_CHANGE_NAMES).with("field", field));
    }
    Ok(())
}

/// What a request wants.
pub(super) fn edits_of(operation: &Operation, caller: &AgentId) -> Result<Vec<Edit>, Fault> {
    Ok(match operation {
        Operation::UpdatePlan(request) => vec![Edit::UpdatePlan(of_plan(request))],
        Operation::DeletePlan(_) => vec![Edit::DeletePlan],
        Operation::AddItem(request) => vec![addition(&request.item, request.after.as_ref())?],
        Operation::UpdateItem(request) => vec![Edit::UpdateItem {
            item: request.item_id.clone(),
            change: of_item("change", &request.change)?,
            rests_on: request.read_version.clone(),
        }],
        Operation::DeleteItem(request) => {
            vec![Edit::DeleteItem { item: request.item_id.clone() }]
        }
        Operation::MoveItem(request) => vec![moved(request)],
        Operation::ReorderItems(request) => vec![Edit::ReorderItems {
            parent: request.parent_id.clone(),
            items: request.item_ids.clone(),
        }],
        Operation::AssignItem(request) => vec![Edit::AssignItem {
            item: request.item_id.clone(),
            to: request.assigned_to.clone(),
        }],
        Operation::UpdateStatus(request) => vec![of_status(request)],
        Operation::AddNote(request) => {
            vec![Edit::AddNote { item: request.item_id.clone(), text: request.text.clone() }]
        }
        Operation::BulkUpdate(request) => {
            let changes = request.changes.iter().enumerate().map(|(index, one)| {
                let field = format!("changes[{index}].change");
                Ok((one.item_id.clone(), of_item(&field, &one.change)?))
            });
            let changes = changes.collect::<Result<Vec<_>, Fault>>()?;
            if changes.is_empty() {
                return Err(Fault::invalid("changes", "must not be empty"));
            }
            vec![Edit::BulkUpdate { changes }]
        }
        Operation::UpdateObject(request) => vec![of_object(&request.change, caller)],
        Operation::CreatePlan(_) | Operation::Resolve { .. } => Vec::new(),
    })
}

/// A fault names a field of an edit; the caller knows it by its place in the request.
pub(super) fn placed(operation: &Operation, mut fault: Fault) -> Fault {
    if fault.code != Code::InvalidArgument {
        return fault;
    }
    let field = fault.details.get("field").and_then(|field| field.as_str()).unwrap_or("body");
    let place = match operation {
        Operation::AddItem(_) => format!("item.{field}"),
        Operation::UpdateItem(_) if !field.starts_with("change") => format!("change.{field}"),
        Operation::BulkUpdate(_) if !field.starts_with("changes") => format!("changes.{field}"),
        Operation::UpdateObject(_) => format!("change.{field}"),
        Operation::ReorderItems(_) => "item_ids".to_owned(),
        Operation::Resolve { .. } if !field.starts_with("choice") => "choice".to_owned(),
        Operation::UpdateStatus(_) if field == "text" => "reason".to_owned(),
        Operation::CreatePlan(request) => match field {
            "name" | "owner" | "collaborators" | "current_phase" | "total_phases" => return fault,
            "description" if check_text(field, &request.description).is_err() => return fault,
            other => format!("items.{other}"),
        },
        _ => return fault,
    };
    fault.message = match fault.message.strip_prefix(field) {
        Some(rest) => format!("{place}{rest}"),
        None => format!("{place}: {}", fault.message),
    };
    fault.with("field", place)
}

pub(super) fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// An item to be added.
pub(super) fn addition(item: &AskedItem, after: Option<&ItemId>) -> Result<Edit, Fault> {
    let id = item.item_id.clone();
    let id = id.ok_or_else(|| Fault::invalid("item_id", "an item that is added has an id"))?;
    let new = NewItem {
        title: item.title.clone(),
        description: item.description.clone(),
        status: item.status,
        priority: item.priority,
        assigned_to: item.assigned_to.clone(),
        dependencies: item.dependencies.clone(),
        estimated_minutes: item.estimated_minutes,
        parent: item.parent_id.clone(),
        position: after.map_or(Position::Last, |after| Position::After(after.clone())),
        tags: item.tags.clone(),
    };
    Ok(Edit::AddItem { item: id, new })
}

fn moved(request: &MoveItemRequest) -> Edit {
    Edit::MoveItem {
        item: request.item_id.clone(),
        parent: request.parent_id.clone(),
        position: request.after.clone().map_or(Position::First, Position::After),
    }
}

fn of_status(request: &UpdateItemStatusRequest) -> Edit {
    let complete = request.status == PlanItemStatus::Completed;
    Edit::UpdateStatus {
        item: request.item_id.clone(),
        status: request.status,
        progress: request.progress.or(complete.then_some(COMPLETE_PERCENT)),
        reason: request.reason.clone(),
    }
}

fn of_plan(request: &UpdatePlanRequest) -> PlanChange {
    PlanChange {
        name: request.name.clone(),
        description: request.description.clone(),
        owner: request.owner.clone().map(Some),
        current_phase: request.current_phase,
        total_phases: request.total_phases,
        add_collaborators: request.add_collaborators.clone(),
        remove_collaborators: request.remove_collaborators.clone(),
    }
}

fn of_item(field: &str, asked: &Asked) -> Result<ItemChange, Fault> {
    if *asked == Asked::default() {
        return Err(Fault::invalid(field, "must name a field"));
    }
    let complete = asked.status == Some(PlanItemStatus::Completed);
    Ok(ItemChange {
        title: asked.title.clone(),
        description: asked.description.clone(),
        status: asked.status,
        priority: asked.priority,
        assigned_to: asked.assigned_to.clone().map(Some),
        progress: asked.progress.or(complete.then_some(COMPLETE_PERCENT)),
        estimated_minutes: asked.estimated_minutes.map(Some),
        actual_minutes: asked.actual_minutes,
        add_minutes: None,
        task_id: None,
        add_dependencies: asked.add_dependencies.clone(),
        remove_dependencies: asked.remove_dependencies.clone(),
        add_tags: asked.add_tags.clone(),
        remove_tags: asked.remove_tags.clone(),
    })
}

fn of_object(change: &ObjectChange, caller: &AgentId) -> Edit {
    match change {
        ObjectChange::Increment { by } => Edit::Increment { by: *by },
        ObjectChange::Decrement { by } => Edit::Decrement { by: *by },
        ObjectChange::Set { value } => Edit::Set { value: value.clone() },
        ObjectChange::Put { key, value } => Edit::Put { key: key.clone(), value: value.clone() },
        ObjectChange::Remove { key } => Edit::Remove { keys: vec![key.clone()] },
        ObjectChange::Add { member } => Edit::Add { members: vec![member.clone()] },
        ObjectChange::Discard { member } => Edit::Remove { keys: vec![member.clone()] },
        ObjectChange::Tick {} => Edit::Tick { name: caller.clone() },
        ObjectChange::Merge { clock } => Edit::Merge { clock: clock.clone() },
    }
}
