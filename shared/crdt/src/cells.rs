//! The values that a document holds, and the few ways in which an operation changes them.
//!
//! Invariant: what is left after two concurrent changes does not depend on which came first. Every rule
//! removes only what the operation's author had seen, or what a fixed order puts below.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::codec::Writer;
use crate::digest::Sum;
use crate::field::{Field, Rule};
use crate::order::OrderKey;
use crate::stamp::{Seen, SharedStamp, Stamp};
use crate::value::Value;

/// Bytes that a value is counted with beside its text.
const ATOM_BYTES: usize = 96;

/// The key of an entity: an item's id, a map's key, a set's element.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Arc<str>);

impl Key {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A value with who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) stamp: SharedStamp,
    pub(crate) value: Value,
}

impl Atom {
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.stamp.order(&other.stamp).then_with(|| self.value.cmp(&other.value))
    }
}

/// The head of a plan, an item, a key or an element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entity {
    pub(crate) cells: BTreeMap<Field, Vec<Atom>>,
}

impl Entity {
    /// All values of a field, the least first.
    pub(crate) fn atoms(&self, field: Field) -> &[Atom] {
        self.cells.get(&field).map_or(&[], Vec::as_slice)
    }

    /// The value that is shown.
    pub(crate) fn shown(&self, field: Field) -> Option<&Atom> {
        self.atoms(field).last()
    }

    /// Whether some edit keeps it there.
    pub(crate) fn is_alive(&self) -> bool {
        !self.atoms(Field::Touched).is_empty()
    }
}

/// Where a cell is: in the head, or in an entity.
pub(crate) type Place<'a> = Option<&'a str>;

/// Who changes, and what they had seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) seen: Seen<'a>,
    pub(crate) stamp: &'a SharedStamp,
}

/// All entities, with the sum of their hashes and their size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) root: Entity,
    pub(crate) entities: BTreeMap<Key, Entity>,
    pub(crate) sum: Sum,
    pub(crate) bytes: usize,
    /// Items by parent, in order: follows from the entities.
    rows: BTreeMap<Key, BTreeSet<(OrderKey, Key)>>,
}

impl Cells {
    pub(crate) fn entity(&self, place: Place<'_>) -> Option<&Entity> {
        match place {
            None => Some(&self.root),
            Some(key) => self.entities.get(key),
        }
    }

    /// Writes a value, by the rule of its field.
    pub(crate) fn write(
        &mut self,
        author: Author<'_>,
        place: Place<'_>,
        field: Field,
        value: Value,
    ) {
        let seen = author.seen;
        match field.rule() {
            Rule::Register => self.remove(place, field, |atom| seen.covers(&atom.stamp)),
            Rule::Set => {
                self.remove(place, field, |atom| atom.value == value && seen.covers(&atom.stamp));
            }
            Rule::Counter => self.remove(place, field, |atom| atom.stamp.actor == *seen.actor),
            Rule::Notes => {}
            Rule::Greatest => {
                let atom = Atom { stamp: author.stamp.clone(), value };
                let order = |a: &Atom, b: &Atom| a.value.cmp(&b.value).then_with(|| a.order(b));
                let held = self.entity(place).and_then(|entity| entity.shown(field));
                if held.is_none_or(|held| order(held, &atom).is_lt()) {
                    self.remove(place, field, |_| true);
                    self.insert(place, field, atom);
                }
                return;
            }
            Rule::Reads => {
                let of = read_field(&value);
                self.remove(place, field, |atom| {
                    atom.stamp.actor == *seen.actor && read_field(&atom.value) == of
                });
            }
        }
        self.end_reads(author, place, field);
        self.insert(place, field, Atom { stamp: author.stamp.clone(), value });
    }

    /// Takes a value out of a set, as far as the author had seen it there.
    pub(crate) fn unset(
        &mut self,
        author: Author<'_>,
        place: Place<'_>,
        field: Field,
        value: &Value,
    ) {
        let seen = author.seen;
        self.remove(place, field, |atom| atom.value == *value && seen.covers(&atom.stamp));
        self.end_reads(author, place, field);
    }

    /// Keeps an entity there: an edit.
    pub(crate) fn touch(&mut self, author: Author<'_>, place: Place<'_>) {
        let seen = author.seen;
        self.remove(place, Field::Deleted, |atom| seen.covers(&atom.stamp));
        self.write(author, place, Field::Touched, Value::Nothing);
    }

    /// Deletes an entity, as far as the author had seen it. Its fields stay for who edits it beside.
    pub(crate) fn delete(&mut self, author: Author<'_>, place: Place<'_>) {
        let seen = author.seen;
        self.remove(place, Field::Touched, |atom| seen.covers(&atom.stamp));
        self.write(author, place, Field::Deleted, Value::Nothing);
    }

    /// Forgets all that the author had seen of an entity.
    pub(crate) fn purge(&mut self, author: Author<'_>, key: &str) {
        let fields: Vec<Field> = match self.entities.get(key) {
            Some(entity) => entity.cells.keys().copied().collect(),
            None => return,
        };
        for field in fields {
            self.remove(Some(key), field, |atom| author.seen.covers(&atom.stamp));
        }
        if self.entities.get(key).is_some_and(|entity| entity.cells.is_empty()) {
            self.entities.remove(key);
        }
    }

    /// A write that has seen a read is no surprise to the reader. The write that rests on the read, in
    /// the same batch, is not meant.
    fn end_reads(&mut self, author: Author<'_>, place: Place<'_>, field: Field) {
        let own = |atom: &Atom| {
            atom.stamp.seq == author.stamp.seq && atom.stamp.actor == author.stamp.actor
        };
        if field != Field::Reads {
            self.remove(place, Field::Reads, |atom| {
                let is_about_it = read_field(&atom.value) == Some(field);
                is_about_it && author.seen.covers(&atom.stamp) && !own(atom)
            });
        }
    }

    /// The row of an item's parts, by their shown parent, in order; with those that are deleted. The
    /// plan's own row has the empty key.
    pub(crate) fn row(&self, parent: Option<&str>) -> Option<&BTreeSet<(OrderKey, Key)>> {
        self.rows.get(parent.unwrap_or_default())
    }

    /// Where an item stands, if it was ever placed.
    pub(crate) fn slot(&self, key: &str) -> Option<(Key, (OrderKey, Key))> {
        let (key, entity) = self.entities.get_key_value(key)?;
        let Value::Place { parent, .. } = &entity.shown(Field::Parent)?.value else { return None };
        let parent = Key::new(parent.as_ref().map_or("", |parent| parent.as_str()));
        let order = match entity.shown(Field::Order).map(|atom| &atom.value) {
            Some(Value::Order(order)) => order.clone(),
            _ => OrderKey::default(),
        };
        Some((parent, (order, key.clone())))
    }

    fn leave_row(&mut self, place: Place<'_>, field: Field) {
        let Some((parent, slot)) = Self::placed(place, field).and_then(|key| self.slot(key)) else {
            return;
        };
        if let Some(row) = self.rows.get_mut(&parent) {
            row.remove(&slot);
            if row.is_empty() {
                self.rows.remove(&parent);
            }
        }
    }

    fn enter_row(&mut self, place: Place<'_>, field: Field) {
        if let Some((parent, slot)) = Self::placed(place, field).and_then(|key| self.slot(key)) {
            self.rows.entry(parent).or_default().insert(slot);
        }
    }

    fn placed(place: Place<'_>, field: Field) -> Option<&str> {
        place.filter(|_| matches!(field, Field::Parent | Field::Order))
    }

    pub(crate) fn insert(&mut self, place: Place<'_>, field: Field, atom: Atom) {
        self.leave_row(place, field);
        self.insert_atom(place, field, atom);
        self.enter_row(place, field);
    }

    fn insert_atom(&mut self, place: Place<'_>, field: Field, atom: Atom) {
        let hashed = hashed(place, field, &atom);
        let entity = match place {
            None => &mut self.root,
            Some(key) if self.entities.contains_key(key) => {
                let Some(entity) = self.entities.get_mut(key) else { return };
                entity
            }
            Some(key) => self.entities.entry(Key::new(key)).or_default(),
        };
        let bytes = ATOM_BYTES + atom.value.heap_bytes();
        match entity.cells.get_mut(&field) {
            None => {
                entity.cells.insert(field, vec![atom]);
            }
            Some(atoms) => match atoms.binary_search_by(|held| held.order(&atom)) {
                Ok(_) => return,
                Err(at) => atoms.insert(at, atom),
            },
        }
        self.bytes += bytes;
        self.sum.add(&hashed);
    }

    fn remove(&mut self, place: Place<'_>, field: Field, goes: impl Fn(&Atom) -> bool) {
        self.leave_row(place, field);
        self.remove_atoms(place, field, goes);
        self.enter_row(place, field);
    }

    fn remove_atoms(&mut self, place: Place<'_>, field: Field, goes: impl Fn(&Atom) -> bool) {
        let entity = match place {
            None => Some(&mut self.root),
            Some(key) => self.entities.get_mut(key),
        };
        let Some(entity) = entity else { return };
        let Some(atoms) = entity.cells.get_mut(&field) else { return };
        let (sum, bytes) = (&mut self.sum, &mut self.bytes);
        atoms.retain(|atom| {
            let goes = goes(atom);
            if goes {
                sum.remove(&hashed(place, field, atom));
                *bytes = bytes.saturating_sub(ATOM_BYTES + atom.value.heap_bytes());
            }
            !goes
        });
        if atoms.is_empty() {
            entity.cells.remove(&field);
        }
    }
}

fn read_field(value: &Value) -> Option<Field> {
    match value {
        Value::Reads { field, .. } => Some(*field),
        _ => None,
    }
}

/// What the hash of a value is made from.
fn hashed(place: Place<'_>, field: Field, atom: &Atom) -> Vec<u8> {
    let mut to = Writer::plain();
    to.maybe(place, Writer::text);
    to.byte(field.number());
    write_stamp(&mut to, &atom.stamp);
    atom.value.write(&mut to);
    to.into_bytes()
}

fn write_stamp(to: &mut Writer, stamp: &Stamp) {
    to.number(stamp.lamport);
    to.name(&stamp.actor);
    to.number(stamp.seq);
    to.time(stamp.at);
    to.maybe(stamp.on_behalf_of.as_ref(), Writer::name);
}
