//! From edits to operations, against the document and what the draft has done so far.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use troupe_domain::plan::{ItemId, PlanItemStatus};
use troupe_domain::{AgentId, Code, Fault, VectorClock};

use super::rows::Rows;
use super::{Edit, ItemChange, NewItem, PlanChange};
use crate::cells::Entity;
use crate::document::Document;
use crate::field::Field;
use crate::limits::{MAX_BATCH_OPERATIONS, MAX_OPERATION_ITEMS, MAX_READ_STAMPS};
use crate::operation::{Change, Kind, Operation};
use crate::value::Value;

/// Fields whose change surprises somebody who had read the item.
const READ_FIELDS: [Field; 7] = [
    Field::Title,
    Field::Description,
    Field::Status,
    Field::Priority,
    Field::AssignedTo,
    Field::Dependencies,
    Field::Parent,
];

/// Operations in the making.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) document: &'a Document,
    pub(super) actor: &'a AgentId,
    pub(super) operations: Vec<Operation>,
    rows: Rows,
    parents: HashMap<ItemId, Option<ItemId>>,
    added: BTreeSet<ItemId>,
    deleted: BTreeSet<ItemId>,
    minutes: HashMap<ItemId, (u64, u64)>,
    edges: Vec<(ItemId, ItemId)>,
    is_created: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(document: &'a Document, actor: &'a AgentId) -> Self {
        Self {
            document,
            actor,
            operations: Vec::new(),
            rows: Rows::default(),
            parents: HashMap::new(),
            added: BTreeSet::new(),
            deleted: BTreeSet::new(),
            minutes: HashMap::new(),
            edges: Vec::new(),
            is_created: document.cells.root.is_alive(),
        }
    }

    /// The operations, each checked as a receiver will.
    pub(super) fn finish(self) -> Result<Vec<Operation>, Fault> {
        for (item, dependency) in &self.edges {
            if !self.is_there(dependency) {
                return Err(Fault::not_found("item", dependency).with("field", "dependencies"));
            }
            if self.document.depends(dependency, item, &self.edges) {
                let why = format!("{item} cannot wait for {dependency}, which waits for it");
                return Err(Fault::precondition(why).with("field", "dependencies"));
            }
        }
        if self.operations.len() > MAX_BATCH_OPERATIONS {
            return Err(Fault::exhausted("MAX_BATCH_OPERATIONS", MAX_BATCH_OPERATIONS));
        }
        let kind = self.document.kind;
        self.operations.iter().try_for_each(|operation| operation.check(kind))?;
        Ok(self.operations)
    }

    pub(super) fn edit(&mut self, edit: &Edit) -> Result<(), Fault> {
        if self.document.kind != Kind::Plan {
            return self.edit_object(edit);
        }
        if !self.is_created && !matches!(edit, Edit::CreatePlan(_)) {
            return Err(Fault::not_found("plan", &self.document.object));
        }
        match edit {
            Edit::CreatePlan(change) => {
                self.is_created = true;
                self.operations.push(Operation::CreatePlan { changes: of_plan(change) });
            }
            Edit::UpdatePlan(change) => {
                self.operations.push(Operation::UpdatePlan { changes: of_plan(change) });
            }
            Edit::DeletePlan => {
                self.is_created = false;
                self.operations.push(Operation::DeletePlan);
            }
            Edit::Dismiss { conflict } => {
                self.operations.push(Operation::Acknowledge { conflict: conflict.as_str().into() });
            }
            Edit::Purge { items } => {
                self.operations.push(Operation::Purge { items: items.clone() });
            }
            other => return self.edit_item(other),
        }
        Ok(())
    }

    fn edit_item(&mut self, edit: &Edit) -> Result<(), Fault> {
        match edit {
            Edit::AddItem { item, new } => self.add(item, new)?,
            Edit::UpdateItem { item, change, rests_on } => {
                if let Some(version) = rests_on {
                    self.rest_on(item, version, false)?;
                }
                let changes = self.of_item(item, change)?;
                self.operations.push(Operation::UpdateItem { item: item.clone(), changes });
            }
            Edit::DeleteItem { item } => self.delete(item)?,
            Edit::MoveItem { item, parent, position } => {
                self.move_item(item, parent.as_ref(), position)?;
            }
            Edit::ReorderItems { parent, items } => {
                parent.as_ref().map_or(Ok(()), |parent| self.must_be_there(parent))?;
                let (cells, operations) = (&self.document.cells, &mut self.operations);
                self.rows.order(cells, parent.as_ref(), items, operations)?;
            }
            Edit::AssignItem { item, to } => {
                self.must_be_there(item)?;
                self.operations.push(Operation::AssignItem { item: item.clone(), to: to.clone() });
            }
            Edit::UpdateStatus { item, status, progress, reason } => {
                self.must_be_there(item)?;
                let (item, status) = (item.clone(), *status);
                self.operations.push(Operation::UpdateStatus { item: item.clone(), status });
                if let Some(progress) = progress {
                    let changes = vec![Change::Progress(*progress)];
                    self.operations.push(Operation::UpdateItem { item: item.clone(), changes });
                }
                if let Some(reason) = reason {
                    let text = reason.as_str().into();
                    self.operations.push(Operation::AddNote { item, text });
                }
            }
            Edit::AddNote { item, text } => {
                self.must_be_there(item)?;
                let text = text.as_str().into();
                self.operations.push(Operation::AddNote { item: item.clone(), text });
            }
            Edit::BulkUpdate { changes } => {
                let updates = changes.iter().map(|(item, change)| {
                    let changes = self.of_item(item, change)?;
                    Ok((item.clone(), changes))
                });
                let updates = updates.collect::<Result<_, Fault>>()?;
                self.operations.push(Operation::BulkUpdate { updates });
            }
            Edit::RestsOn { item, version } => match version {
                Some(version) => self.rest_on(item, version, true)?,
                None => self.rest_on(item, &self.document.vector(), true)?,
            },
            _ => return Err(Fault::invalid("edit", "a plan has no such edit")),
        }
        Ok(())
    }

    fn is_there(&self, item: &ItemId) -> bool {
        if self.deleted.contains(item) {
            return false;
        }
        let entity = self.document.cells.entities.get(item.as_str());
        self.added.contains(item) || entity.is_some_and(Entity::is_alive)
    }

    fn must_be_there(&self, item: &ItemId) -> Result<(), Fault> {
        if self.is_there(item) { Ok(()) } else { Err(Fault::not_found("item", item)) }
    }

    fn add(&mut self, item: &ItemId, new: &NewItem) -> Result<(), Fault> {
        if self.is_there(item) {
            let why = format!("the plan has an item {item}");
            return Err(Fault::new(Code::AlreadyExists, why).with("field", "item_id"));
        }
        new.parent.as_ref().map_or(Ok(()), |parent| self.must_be_there(parent))?;
        let (cells, parent) = (&self.document.cells, new.parent.as_ref());
        let order = self.rows.place(cells, parent, item, &new.position, &mut self.operations)?;
        self.parents.insert(item.clone(), new.parent.clone());
        self.deleted.remove(item);
        self.added.insert(item.clone());
        let mut changes = vec![Change::Title(new.title.as_str().into())];
        if !new.description.is_empty() {
            changes.push(Change::Description(new.description.as_str().into()));
        }
        if new.status != PlanItemStatus::default() {
            changes.push(Change::Status(new.status));
        }
        if new.priority != troupe_domain::Priority::default() {
            changes.push(Change::Priority(new.priority));
        }
        if new.assigned_to.is_some() {
            changes.push(Change::AssignedTo(new.assigned_to.clone()));
        }
        if new.estimated_minutes.is_some() {
            changes.push(Change::EstimatedMinutes(new.estimated_minutes));
        }
        self.add_dependencies(item, &new.dependencies, &mut changes)?;
        changes.extend(new.tags.iter().map(|tag| Change::AddTag(tag.as_str().into())));
        let (item, parent) = (item.clone(), new.parent.clone());
        self.operations.push(Operation::AddItem { item, parent, order, changes });
        Ok(())
    }

    fn add_dependencies(
        &mut self,
        item: &ItemId,
        dependencies: &[ItemId],
        changes: &mut Vec<Change>,
    ) -> Result<(), Fault> {
        for dependency in dependencies {
            if dependency == item {
                return Err(Fault::invalid("dependencies", "an item does not wait for itself"));
            }
            self.edges.push((item.clone(), dependency.clone()));
            changes.push(Change::AddDependency(dependency.clone()));
        }
        Ok(())
    }

    /// An item goes with all its parts, as far as they are seen here.
    fn delete(&mut self, item: &ItemId) -> Result<(), Fault> {
        self.must_be_there(item)?;
        let mut items = vec![item.clone()];
        let mut known: BTreeSet<ItemId> = items.iter().cloned().collect();
        let mut next = 0;
        while let Some(parent) = items.get(next).cloned() {
            next += 1;
            let row = self.document.cells.row(Some(parent.as_str())).into_iter().flatten();
            let mut parts = row.map(|(_, key)| key.item_id()).collect::<Result<Vec<_>, _>>()?;
            let drafted = self.parents.iter().filter(|(_, under)| under.as_ref() == Some(&parent));
            parts.extend(drafted.map(|(part, _)| part.clone()));
            for part in parts {
                let moved = self.parents.get(&part).is_some_and(|p| p.as_ref() != Some(&parent));
                if !moved && self.is_there(&part) && known.insert(part.clone()) {
                    items.push(part);
                }
            }
        }
        for chunk in items.chunks(MAX_OPERATION_ITEMS) {
            self.operations.push(Operation::DeleteItem { items: chunk.to_vec() });
        }
        self.added.retain(|item| !known.contains(item));
        self.deleted.extend(known);
        Ok(())
    }

    fn parent(&self, item: &ItemId) -> Option<&ItemId> {
        match self.parents.get(item) {
            Some(parent) => parent.as_ref(),
            None => self.document.cells.parent(item.as_str()),
        }
    }

    fn move_item(
        &mut self,
        item: &ItemId,
        parent: Option<&ItemId>,
        position: &super::Position,
    ) -> Result<(), Fault> {
        self.must_be_there(item)?;
        parent.map_or(Ok(()), |parent| self.must_be_there(parent))?;
        let mut above = parent;
        let mut steps = 0;
        while let Some(here) = above {
            if here == item {
                let why = format!("{item} cannot become a part of its own part");
                return Err(Fault::precondition(why).with("field", "parent_id"));
            }
            steps += 1;
            above = self.parent(here).filter(|_| steps <= self.document.entities());
        }
        let from = self.parent(item).cloned();
        let cells = &self.document.cells;
        let order = self.rows.place(cells, parent, item, position, &mut self.operations)?;
        self.parents.insert(item.clone(), parent.cloned());
        let (item, parent) = (item.clone(), parent.cloned());
        self.operations.push(Operation::MoveItem { item, parent, from, order });
        Ok(())
    }

    fn of_item(&mut self, item: &ItemId, change: &ItemChange) -> Result<Vec<Change>, Fault> {
        self.must_be_there(item)?;
        let text = |text: &String| -> Arc<str> { text.as_str().into() };
        let mut changes = Vec::new();
        changes.extend(change.title.as_ref().map(|title| Change::Title(text(title))));
        changes.extend(change.description.as_ref().map(|d| Change::Description(text(d))));
        changes.extend(change.status.map(Change::Status));
        changes.extend(change.priority.map(Change::Priority));
        changes.extend(change.assigned_to.clone().map(Change::AssignedTo));
        changes.extend(change.progress.map(Change::Progress));
        changes.extend(change.estimated_minutes.map(Change::EstimatedMinutes));
        changes.extend(change.task_id.clone().map(Change::TaskId));
        if change.actual_minutes.is_some() || change.add_minutes.is_some() {
            let (up, down) = self.minutes(item, change);
            changes.push(Change::ActualMinutes { up, down });
        }
        self.add_dependencies(item, &change.add_dependencies, &mut changes)?;
        let removed = change.remove_dependencies.iter().cloned();
        changes.extend(removed.map(Change::RemoveDependency));
        changes.extend(change.add_tags.iter().map(|tag| Change::AddTag(text(tag))));
        changes.extend(change.remove_tags.iter().map(|tag| Change::RemoveTag(text(tag))));
        Ok(changes)
    }

    /// This actor's share of an item's minutes after a change.
    fn minutes(&mut self, item: &ItemId, change: &ItemChange) -> (u64, u64) {
        let entity = self.document.cells.entities.get(item.as_str());
        let atoms = entity.map_or(&[][..], |entity| entity.atoms(Field::ActualMinutes));
        let share = |value: &Value| match value {
            Value::Share { up, down } => (*up, *down),
            _ => (0, 0),
        };
        let own = atoms.iter().find(|atom| atom.stamp.actor == *self.actor);
        let before = own.map_or((0, 0), |atom| share(&atom.value));
        let others = atoms.iter().filter(|atom| atom.stamp.actor != *self.actor);
        let others: i128 = others.map(|atom| signed(share(&atom.value))).sum();
        let (mut up, mut down) = self.minutes.get(item).copied().unwrap_or(before);
        if let Some(wanted) = change.actual_minutes {
            let more = i128::from(wanted) - others - signed((up, down));
            let by = u64::try_from(more.unsigned_abs()).unwrap_or(u64::MAX);
            if more > 0 { up = up.saturating_add(by) } else { down = down.saturating_add(by) }
        }
        up = up.saturating_add(change.add_minutes.unwrap_or(0));
        self.minutes.insert(item.clone(), (up, down));
        (up, down)
    }

    /// Notes what was read of an item, and what of it was not.
    fn rest_on(&mut self, item: &ItemId, version: &VectorClock, clean: bool) -> Result<(), Fault> {
        self.must_be_there(item)?;
        let Some(entity) = self.document.cells.entities.get(item.as_str()) else { return Ok(()) };
        for field in READ_FIELDS {
            let (seen, missed): (Vec<_>, Vec<_>) = entity
                .atoms(field)
                .iter()
                .take(MAX_READ_STAMPS)
                .partition(|atom| version.get(&atom.stamp.actor) >= atom.stamp.seq);
            if missed.is_empty() && !clean {
                continue;
            }
            let ids =
                |atoms: Vec<&crate::cells::Atom>| atoms.iter().map(|a| a.stamp.id()).collect();
            let (seen, missed) = (ids(seen), ids(missed));
            let item = Some(item.clone());
            self.operations.push(Operation::Read { item, field, seen, missed });
        }
        Ok(())
    }
}

fn signed((up, down): (u64, u64)) -> i128 {
    i128::from(up) - i128::from(down)
}

fn of_plan(change: &PlanChange) -> Vec<Change> {
    let mut changes = Vec::new();
    changes.extend(change.name.as_ref().map(|name| Change::Name(name.as_str().into())));
    let description = change.description.as_ref();
    changes.extend(description.map(|text| Change::Description(text.as_str().into())));
    changes.extend(change.owner.clone().map(Change::Owner));
    changes.extend(change.current_phase.map(Change::CurrentPhase));
    changes.extend(change.total_phases.map(Change::TotalPhases));
    changes.extend(change.add_collaborators.iter().cloned().map(Change::AddCollaborator));
    changes.extend(change.remove_collaborators.iter().cloned().map(Change::RemoveCollaborator));
    changes
}
