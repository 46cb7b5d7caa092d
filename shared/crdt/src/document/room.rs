//! What a document may grow to: checked before a batch changes anything.

use std::collections::BTreeSet;

use troupe_domain::{Fault, Name};

use super::Document;
use crate::batch::Batch;
use crate::cells::Place;
use crate::field::{Field, Rule};
use crate::limits::{MAX_ACTORS, MAX_CELL_VALUES, MAX_DOCUMENT_BYTES, MAX_ENTITIES};
use crate::operation::{Change, Operation};

/// Bytes that one changed cell may add beside its text.
const CHANGE_BYTES: usize = 400;

impl Document {
    pub(super) fn check_room(&self, batch: &Batch) -> Result<(), Fault> {
        if !self.heads.contains_key(&batch.agent) && self.heads.len() >= MAX_ACTORS {
            return Err(Fault::exhausted("MAX_ACTORS", MAX_ACTORS));
        }
        let bytes = batch.operations.iter().map(bytes_at_most).sum::<usize>();
        if self.bytes() + bytes > MAX_DOCUMENT_BYTES {
            return Err(Fault::exhausted("MAX_DOCUMENT_BYTES", MAX_DOCUMENT_BYTES));
        }
        let named: BTreeSet<&str> = batch.operations.iter().flat_map(entities).collect();
        let new = named.iter().filter(|key| !self.cells.entities.contains_key(**key)).count();
        if self.entities() + new > MAX_ENTITIES {
            return Err(Fault::exhausted("MAX_ENTITIES", MAX_ENTITIES));
        }
        batch.operations.iter().try_for_each(|operation| self.check_cells(operation))
    }

    /// Fields that keep many values have a bound of their own.
    fn check_cells(&self, operation: &Operation) -> Result<(), Fault> {
        let full = |place: Place<'_>, field: Field, more: usize| {
            let held = self.cells.entity(place).map_or(0, |entity| entity.atoms(field).len());
            if held + more > MAX_CELL_VALUES {
                return Err(Fault::exhausted("MAX_CELL_VALUES", MAX_CELL_VALUES));
            }
            Ok(())
        };
        let sets = |place: Place<'_>, changes: &[Change]| {
            let many = changes.iter().filter(|change| change.field().rule() == Rule::Set);
            let more = many.clone().count();
            many.map(Change::field).try_for_each(|field| full(place, field, more))
        };
        match operation {
            Operation::AddNote { item, .. } => full(Some(item.as_str()), Field::Notes, 1),
            Operation::Acknowledge { .. } => full(None, Field::Acknowledged, 1),
            Operation::Read { item, .. } => full(item.as_ref().map(Name::as_str), Field::Reads, 1),
            Operation::CreatePlan { changes } | Operation::UpdatePlan { changes } => {
                sets(None, changes)
            }
            Operation::AddItem { item, changes, .. }
            | Operation::UpdateItem { item, changes, .. } => sets(Some(item.as_str()), changes),
            Operation::BulkUpdate { updates } => {
                updates.iter().try_for_each(|(item, changes)| sets(Some(item.as_str()), changes))
            }
            _ => Ok(()),
        }
    }
}

impl Operation {
    /// Entities that it may bring into being.
    pub(crate) fn entities(&self) -> Vec<&str> {
        entities(self)
    }
}

fn entities(operation: &Operation) -> Vec<&str> {
    match operation {
        Operation::AddItem { item, .. }
        | Operation::UpdateItem { item, .. }
        | Operation::MoveItem { item, .. }
        | Operation::AssignItem { item, .. }
        | Operation::UpdateStatus { item, .. }
        | Operation::AddNote { item, .. }
        | Operation::Read { item: Some(item), .. } => vec![item.as_str()],
        Operation::DeleteItem { items } => items.iter().map(Name::as_str).collect(),
        Operation::BulkUpdate { updates } => {
            updates.iter().map(|(item, _)| item.as_str()).collect()
        }
        Operation::ReorderItems { orders } => {
            orders.iter().map(|(item, _)| item.as_str()).collect()
        }
        Operation::Put { key, .. } => vec![key],
        Operation::Insert { elements } => elements.iter().map(AsRef::as_ref).collect(),
        Operation::Raise { clock } => clock.iter().map(|(name, _)| name.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// Bytes that an operation may add.
fn bytes_at_most(operation: &Operation) -> usize {
    let of_changes = |changes: &[Change]| -> usize {
        changes.iter().map(|c| CHANGE_BYTES + c.text_bytes()).sum()
    };
    let own: usize = match operation {
        Operation::CreatePlan { changes }
        | Operation::UpdatePlan { changes }
        | Operation::AddItem { changes, .. }
        | Operation::UpdateItem { changes, .. } => of_changes(changes),
        Operation::BulkUpdate { updates } => {
            updates.iter().map(|(_, changes)| of_changes(changes) + CHANGE_BYTES).sum()
        }
        Operation::AddNote { text, .. } | Operation::Write { value: text } => text.len(),
        Operation::Put { value, .. } => value.len(),
        Operation::Read { seen, missed, .. } => (seen.len() + missed.len()) * CHANGE_BYTES,
        other => entities(other).len() * CHANGE_BYTES,
    };
    own + 4 * CHANGE_BYTES
}

impl Change {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Name(text)
            | Self::Description(text)
            | Self::Title(text)
            | Self::AddTag(text)
            | Self::RemoveTag(text) => text.len(),
            _ => 0,
        }
    }
}
