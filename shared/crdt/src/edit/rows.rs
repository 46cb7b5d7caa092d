//! Order keys for items that are added, moved or put into an order, while a draft is made.

use std::collections::HashMap;

use troupe_domain::Fault;
use troupe_domain::plan::ItemId;

use super::Position;
use crate::cells::{Cells, Entity, Key};
use crate::field::Field;
use crate::limits::MAX_OPERATION_ITEMS;
use crate::operation::Operation;
use crate::order::OrderKey;

type Slot = (OrderKey, Key);

/// What a draft changed about the rows of parts.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Rows that are looked at in full, as they are in the draft.
    whole: HashMap<Key, Vec<Slot>>,
    /// What was added at the end of other rows.
    appended: HashMap<Key, Vec<Slot>>,
}

impl Rows {
    /// A key for an item at a place. Operations that make room come first.
    pub(super) fn place(
        &mut self,
        cells: &Cells,
        parent: Option<&ItemId>,
        item: &ItemId,
        position: &Position,
        operations: &mut Vec<Operation>,
    ) -> Result<OrderKey, Fault> {
        let parent = Key::new(parent.map_or("", |parent| parent.as_str()));
        let item = Key::new(item.as_str());
        if *position == Position::Last && !self.whole.contains_key(&parent) {
            let added = self.appended.get(&parent).and_then(|row| row.last());
            let row = cells.row(Some(parent.as_str()));
            let last = added.or_else(|| row.and_then(|row| row.last()));
            if let Some(key) = OrderKey::between(last.map(|(key, _)| key), None) {
                self.appended.entry(parent).or_default().push((key.clone(), item));
                return Ok(key);
            }
        }
        let row = self.whole(cells, &parent);
        row.retain(|(_, other)| *other != item);
        let at = match position {
            Position::First => 0,
            Position::Last => row.len(),
            Position::After(other) => {
                let at = row.iter().position(|(_, key)| key.as_str() == other.as_str());
                1 + at.ok_or_else(|| Fault::not_found("sibling", other))?
            }
        };
        let low = at.checked_sub(1).map(|before| &row[before].0);
        let key = OrderKey::between(low, row.get(at).map(|(key, _)| key));
        row.insert(at, (key.clone().unwrap_or_default(), item.clone()));
        if let Some(key) = key {
            return Ok(key);
        }
        // No room: the whole row gets new keys.
        for (index, (key, _)) in row.iter_mut().enumerate() {
            *key = OrderKey::nth(index);
        }
        let key = row[at].0.clone();
        let others: Vec<_> = row.iter().filter(|(_, other)| *other != item).cloned().collect();
        reorder(&others, operations)?;
        Ok(key)
    }

    /// Puts the first items of a row into an order.
    pub(super) fn order(
        &mut self,
        cells: &Cells,
        parent: Option<&ItemId>,
        items: &[ItemId],
        operations: &mut Vec<Operation>,
    ) -> Result<(), Fault> {
        let parent = Key::new(parent.map_or("", |parent| parent.as_str()));
        let row = self.whole(cells, &parent);
        let mut left: HashMap<Key, OrderKey> =
            row.iter().map(|(key, item)| (item.clone(), key.clone())).collect();
        let mut ordered = Vec::with_capacity(row.len());
        for item in items {
            let slot = left.remove_entry(item.as_str());
            let (item, key) = slot.ok_or_else(|| Fault::not_found("part", item))?;
            ordered.push((key, item));
        }
        let others = row.iter().filter(|(_, item)| left.contains_key(item));
        ordered.extend(others.cloned());
        let mut moved = Vec::new();
        for (index, (key, item)) in ordered.iter_mut().enumerate() {
            let new = OrderKey::nth(index);
            if *key != new {
                *key = new;
                moved.push((key.clone(), item.clone()));
            }
        }
        *row = ordered;
        reorder(&moved, operations)
    }

    fn whole(&mut self, cells: &Cells, parent: &Key) -> &mut Vec<Slot> {
        let appended = self.appended.remove(parent);
        self.whole.entry(parent.clone()).or_insert_with(|| {
            let is_alive = |item: &Key| cells.entities.get(item).is_some_and(Entity::is_alive);
            let row = cells.row(Some(parent.as_str())).into_iter().flatten();
            let mut row: Vec<Slot> = row.filter(|(_, item)| is_alive(item)).cloned().collect();
            row.extend(appended.into_iter().flatten());
            row
        })
    }
}

fn reorder(row: &[Slot], operations: &mut Vec<Operation>) -> Result<(), Fault> {
    for chunk in row.chunks(MAX_OPERATION_ITEMS) {
        let orders = chunk.iter().map(|(key, item)| Ok((item.item_id()?, key.clone())));
        operations.push(Operation::ReorderItems { orders: orders.collect::<Result<_, Fault>>()? });
    }
    Ok(())
}

impl Key {
    /// The key as an item's id, which it is in a plan.
    pub(crate) fn item_id(&self) -> Result<ItemId, Fault> {
        ItemId::parse_field("item_id", self.as_str())
    }
}

impl Cells {
    /// The shown parent of an item.
    pub(crate) fn parent(&self, item: &str) -> Option<&ItemId> {
        let atom = self.entities.get(item)?.shown(Field::Parent)?;
        match &atom.value {
            crate::value::Value::Place { parent, .. } => parent.as_ref(),
            _ => None,
        }
    }
}
