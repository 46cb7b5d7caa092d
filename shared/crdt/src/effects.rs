//! What an operation does to the cells of a document.
//!
//! Every operation on an item touches it, and every operation of a plan touches the plan: that is what
//! an edit beside a deletion keeps.

use crate::cells::{Author, Cells, Place};
use crate::field::Field;
use crate::operation::{Change, Operation};
use crate::value::Value;

impl Operation {
    /// Applies it. What may go wrong was checked before.
    pub(crate) fn apply(&self, cells: &mut Cells, author: Author<'_>) {
        match self {
            Self::DeletePlan => return cells.delete(author, None),
            Self::Read { item, field, seen, missed } => {
                let (seen, missed) = (seen.as_slice().into(), missed.as_slice().into());
                let value = Value::Reads { field: *field, seen, missed };
                let place = item.as_ref().map(troupe_domain::Name::as_str);
                return cells.write(author, place, Field::Reads, value);
            }
            Self::Acknowledge { conflict } => {
                let value = Value::Text(conflict.clone());
                return cells.write(author, None, Field::Acknowledged, value);
            }
            Self::Purge { items } => {
                return items.iter().for_each(|item| cells.purge(author, item.as_str()));
            }
            Self::Remove { keys } => {
                keys.iter().for_each(|key| cells.purge(author, key));
            }
            Self::Raise { clock } => {
                for (name, count) in clock.iter() {
                    cells.write(author, Some(name.as_str()), Field::Clock, Value::Number(count));
                }
            }
            Self::Count { up, down } => {
                cells.write(author, None, Field::Count, Value::Share { up: *up, down: *down });
            }
            Self::Write { value } => {
                cells.write(author, None, Field::Value, Value::Text(value.clone()));
            }
            Self::Put { key, value } => {
                cells.touch(author, Some(key));
                cells.write(author, Some(key), Field::Value, Value::Text(value.clone()));
            }
            Self::Insert { elements } => {
                elements.iter().for_each(|element| cells.touch(author, Some(element)));
            }
            _ => self.apply_to_plan(cells, author),
        }
        cells.touch(author, None);
    }

    fn apply_to_plan(&self, cells: &mut Cells, author: Author<'_>) {
        match self {
            Self::CreatePlan { changes } => {
                cells.write(author, None, Field::Created, Value::Nothing);
                change_all(cells, author, None, changes);
            }
            Self::UpdatePlan { changes } => change_all(cells, author, None, changes),
            Self::AddItem { item, parent, order, changes } => {
                let place = Some(item.as_str());
                cells.touch(author, place);
                cells.write(author, place, Field::Created, Value::Nothing);
                let under = Value::Place { parent: parent.clone(), from: None };
                cells.write(author, place, Field::Parent, under);
                cells.write(author, place, Field::Order, Value::Order(order.clone()));
                change_all(cells, author, place, changes);
            }
            Self::UpdateItem { item, changes } => {
                cells.touch(author, Some(item.as_str()));
                change_all(cells, author, Some(item.as_str()), changes);
            }
            Self::DeleteItem { items } => {
                items.iter().for_each(|item| cells.delete(author, Some(item.as_str())));
            }
            Self::MoveItem { item, parent, from, order } => {
                let place = Some(item.as_str());
                cells.touch(author, place);
                let under = Value::Place { parent: parent.clone(), from: from.clone() };
                cells.write(author, place, Field::Parent, under);
                cells.write(author, place, Field::Order, Value::Order(order.clone()));
            }
            Self::ReorderItems { orders } => {
                // The siblings are not edited: a deletion beside it stands.
                for (item, order) in orders {
                    let value = Value::Order(order.clone());
                    cells.write(author, Some(item.as_str()), Field::Order, value);
                }
            }
            Self::AssignItem { item, to } => {
                cells.touch(author, Some(item.as_str()));
                let value = Value::maybe_name(to.as_ref());
                cells.write(author, Some(item.as_str()), Field::AssignedTo, value);
            }
            Self::UpdateStatus { item, status } => {
                cells.touch(author, Some(item.as_str()));
                let value = Value::Status(*status);
                cells.write(author, Some(item.as_str()), Field::Status, value);
            }
            Self::AddNote { item, text } => {
                cells.touch(author, Some(item.as_str()));
                cells.write(author, Some(item.as_str()), Field::Notes, Value::Text(text.clone()));
            }
            Self::BulkUpdate { updates } => {
                for (item, changes) in updates {
                    cells.touch(author, Some(item.as_str()));
                    change_all(cells, author, Some(item.as_str()), changes);
                }
            }
            _ => {}
        }
    }
}

fn change_all(cells: &mut Cells, author: Author<'_>, place: Place<'_>, changes: &[Change]) {
    for change in changes {
        change.apply(cells, author, place);
    }
}

impl Change {
    fn apply(&self, cells: &mut Cells, author: Author<'_>, place: Place<'_>) {
        let value = match self {
            Self::Name(text)
            | Self::Description(text)
            | Self::Title(text)
            | Self::AddTag(text)
            | Self::RemoveTag(text) => Value::Text(text.clone()),
            Self::Owner(name) | Self::AssignedTo(name) | Self::TaskId(name) => {
                Value::maybe_name(name.as_ref())
            }
            Self::CurrentPhase(number) | Self::TotalPhases(number) => {
                Value::Number((*number).into())
            }
            Self::AddCollaborator(name)
            | Self::RemoveCollaborator(name)
            | Self::AddDependency(name)
            | Self::RemoveDependency(name) => Value::Name(name.clone()),
            Self::Status(status) => Value::Status(*status),
            Self::Priority(priority) => Value::Priority(*priority),
            Self::Progress(progress) => Value::Number((*progress).into()),
            Self::EstimatedMinutes(minutes) => Value::maybe_number(*minutes),
            Self::ActualMinutes { up, down } => Value::Share { up: *up, down: *down },
        };
        match self {
            Self::RemoveTag(_) | Self::RemoveCollaborator(_) | Self::RemoveDependency(_) => {
                cells.unset(author, place, self.field(), &value);
            }
            _ => cells.write(author, place, self.field(), value),
        }
    }
}
