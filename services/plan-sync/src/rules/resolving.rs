//! Deciding a conflict: an ordinary edit by somebody who had seen both sides, so that every replica
//! learns it like any other.

use serde::de::DeserializeOwned;
use serde_json::Value;
use troupe_contract::plan::Choice;
use troupe_crdt::edit::{Edit, ItemChange, PlanChange, Position};
use troupe_domain::Fault;
use troupe_domain::plan::{Conflict, ConflictKind, ItemId};

/// What a decision amounts to.
pub(super) fn edits(conflict: &Conflict, choice: &Choice) -> Result<Vec<Edit>, Fault> {
    let dismissed = || vec![Edit::Dismiss { conflict: conflict.id.clone() }];
    let has_values = conflict.kind == ConflictKind::WriteWrite;
    let value = match choice {
        Choice::Dismiss {} => return Ok(dismissed()),
        Choice::KeepWinner {} if !has_values => return Ok(dismissed()),
        Choice::KeepWinner {} => conflict.winner.value.clone(),
        _ if !has_values => {
            let why = "this conflict has no values to choose from: edit the plan, or dismiss it";
            return Err(Fault::invalid("choice", why));
        }
        Choice::TakeLoser { index } => {
            let side = conflict.losers.get(*index).ok_or_else(|| {
                let why = format!("there are {} losers", conflict.losers.len());
                Fault::invalid("choice.take_loser.index", why)
            })?;
            side.value.clone()
        }
        Choice::TakeMerged {} => {
            let text = conflict.merged.clone().ok_or_else(|| {
                Fault::invalid("choice", "the two texts cannot be joined by themselves")
            })?;
            Value::String(text)
        }
        Choice::TakeValue { value } => value.clone(),
    };
    let field = conflict.field.as_deref().unwrap_or("value");
    match &conflict.item_id {
        Some(item) => of_item(item, field, value).map(|edit| vec![edit]),
        None => of_whole(field, value).map(|edit| vec![edit]),
    }
}

/// Reads a value as what its field holds.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    serde_json::from_value(value).map_err(|why| Fault::invalid("choice", why))
}

fn of_item(item: &ItemId, field: &str, value: Value) -> Result<Edit, Fault> {
    let mut change = ItemChange::default();
    match field {
        "title" => change.title = Some(read(value)?),
        "description" => change.description = Some(read(value)?),
        "status" => change.status = Some(read(value)?),
        "priority" => change.priority = Some(read(value)?),
        "assigned_to" => change.assigned_to = Some(read(value)?),
        "progress" => change.progress = Some(read(value)?),
        "estimated_minutes" => change.estimated_minutes = Some(read(value)?),
        "task_id" => change.task_id = Some(read(value)?),
        "parent_id" | "parent" => {
            let (item, parent) = (item.clone(), read(value)?);
            return Ok(Edit::MoveItem { item, parent, position: Position::Last });
        }
        other => return Err(unknown(other)),
    }
    Ok(Edit::UpdateItem { item: item.clone(), change, rests_on: None })
}

fn of_whole(field: &str, value: Value) -> Result<Edit, Fault> {
    let mut change = PlanChange::default();
    match field {
        "name" => change.name = Some(read(value)?),
        "description" => change.description = Some(read(value)?),
        "owner" => change.owner = Some(read(value)?),
        "current_phase" => change.current_phase = Some(read(value)?),
        "total_phases" => change.total_phases = Some(read(value)?),
        "value" => return Ok(Edit::Set { value }),
        key => return Ok(Edit::Put { key: key.to_owned(), value }),
    }
    Ok(Edit::UpdatePlan(change))
}

fn unknown(field: &str) -> Fault {
    Fault::precondition(format!("a conflict of {field} is settled by an edit of the plan"))
}
