//! Conflicts: what agents wrote without knowing of each other, told with both sides.
//!
//! Every conflict has an outcome that counts until somebody decides otherwise, the same on every replica,
//! and an id that follows from its sides. Conflicts are a view of the document: whoever writes having
//! seen both sides ends one.

mod finding;
mod merging;
pub mod semantic;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use troupe_domain::plan::{Conflict, ConflictKind, ConflictSeverity, ConflictSide, ItemId};
use troupe_domain::{Fault, Name};

use crate::batch::SignedBatch;
use crate::cells::{Atom, Place};
use crate::document::{Document, Standing};
use crate::field::Field;
use crate::limits::MAX_CONFLICTS;
use crate::operation::Operation;
use crate::plan::tree::Tree;
use crate::value::Value;

/// How far apart two concurrent writes may be to count as made at the same time.
pub const DEFAULT_WINDOW_MS: u64 = 60_000;

/// The field's name where an edit stands beside a deletion.
pub const DELETED: &str = "deleted";
/// The field's name where an edit came after its item was purged.
pub const PURGED: &str = "purged";

/// Hexadecimal digits of a conflict's id.
const ID_DIGITS: usize = 24;

/// What applying a batch did to the conflicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// How the batch stood to the document. Only `Ready` changed something.
    pub standing: Standing,
    /// Conflicts that were not there before.
    pub opened: Vec<Conflict>,
    /// Conflicts that are there no more.
    pub closed: Vec<Conflict>,
    /// Items that the batch is about.
    pub items: Vec<ItemId>,
}

impl Document {
    /// All conflicts that nobody has settled, by id; at most [`MAX_CONFLICTS`]. Writes that are within
    /// `window_ms` of each other are graver.
    ///
    /// Items that say the same thing are not among them: see [`semantic`].
    pub fn conflicts(&self, window_ms: u64) -> Vec<Conflict> {
        let mut found = self.conflicts_at(None, window_ms);
        for key in self.cells.entities.keys() {
            found.extend(self.conflicts_at(Some(key.as_str()), window_ms));
        }
        found.extend(self.tangles());
        self.unsettled(found)
    }

    /// The conflicts of one item.
    pub fn conflicts_of(&self, item: &ItemId, window_ms: u64) -> Vec<Conflict> {
        self.unsettled(self.conflicts_at(Some(item.as_str()), window_ms))
    }

    /// Checks and applies a batch, and tells what it did to the conflicts.
    pub fn apply_observed(
        &mut self,
        signed: &SignedBatch,
        window_ms: u64,
    ) -> Result<Applied, Fault> {
        if self.standing(signed)? == Standing::Ready {
            self.verify(signed)?;
        }
        self.apply_verified_observed(signed, window_ms)
    }

    /// The same for a batch whose signature was checked.
    pub fn apply_verified_observed(
        &mut self,
        signed: &SignedBatch,
        window_ms: u64,
    ) -> Result<Applied, Fault> {
        let standing = self.standing(signed)?;
        let (mut opened, mut closed, mut items) = (Vec::new(), Vec::new(), Vec::new());
        if standing == Standing::Ready {
            let scope = Scope::of(signed);
            let before = self.conflicts_in(&scope, window_ms);
            self.apply_verified(signed)?;
            let mut after = self.conflicts_in(&scope, window_ms);
            for (id, conflict) in before {
                if after.remove(&id).is_none() {
                    closed.push(conflict);
                }
            }
            opened.extend(after.into_values());
            items.extend(scope.items.iter().filter_map(|item| ItemId::parse(item).ok()));
        }
        Ok(Applied { standing, opened, closed, items })
    }

    fn conflicts_in(&self, scope: &Scope<'_>, window_ms: u64) -> BTreeMap<Name, Conflict> {
        let mut found = self.conflicts_at(None, window_ms);
        for item in &scope.items {
            found.extend(self.conflicts_at(Some(item), window_ms));
        }
        if scope.tangles {
            found.extend(self.tangles());
        }
        self.unsettled(found).into_iter().map(|conflict| (conflict.id.clone(), conflict)).collect()
    }

    /// Moves and dependencies that make cycles only together.
    fn tangles(&self) -> Vec<Conflict> {
        let tree = Tree::of(&self.cells);
        let mut found: Vec<_> =
            tree.held.iter().filter_map(|key| self.held_move(key.as_str())).collect();
        found.extend(self.cycles().iter().filter_map(|ignored| self.cycle(ignored)));
        found
    }

    /// Whether somebody let this conflict be.
    pub fn is_settled(&self, conflict: &Name) -> bool {
        let settled = self.cells.root.atoms(Field::Acknowledged).iter();
        let is_it = |value: &Value| matches!(value, Value::Text(id) if **id == *conflict.as_str());
        settled.map(|atom| &atom.value).any(is_it)
    }

    fn unsettled(&self, mut found: Vec<Conflict>) -> Vec<Conflict> {
        let settled: BTreeSet<&str> = self
            .cells
            .root
            .atoms(Field::Acknowledged)
            .iter()
            .filter_map(|atom| match &atom.value {
                Value::Text(id) => Some(id.as_ref()),
                _ => None,
            })
            .collect();
        found.retain(|conflict| !settled.contains(conflict.id.as_str()));
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        found.truncate(MAX_CONFLICTS);
        found
    }
}

/// Where a batch may change conflicts.
struct Scope<'a> {
    items: BTreeSet<&'a str>,
    tangles: bool,
}

impl<'a> Scope<'a> {
    fn of(signed: &'a SignedBatch) -> Self {
        let operations = &signed.batch().operations;
        let mut items: BTreeSet<&str> = operations.iter().flat_map(Operation::entities).collect();
        for operation in operations {
            if let Operation::Purge { items: purged } = operation {
                items.extend(purged.iter().map(Name::as_str));
            }
        }
        let tangles = operations.iter().any(|operation| match operation {
            Operation::MoveItem { .. }
            | Operation::DeleteItem { .. }
            | Operation::Acknowledge { .. } => true,
            Operation::AddItem { changes, .. } | Operation::UpdateItem { changes, .. } => {
                changes.iter().any(|change| change.field() == Field::Dependencies)
            }
            Operation::BulkUpdate { updates } => updates
                .iter()
                .flat_map(|(_, changes)| changes)
                .any(|change| change.field() == Field::Dependencies),
            _ => false,
        });
        Self { items, tangles }
    }
}

/// The id of a conflict: the same wherever the same sides stand against each other.
fn conflict_id(kind: ConflictKind, place: Place<'_>, field: &str, sides: &[&Atom]) -> Option<Name> {
    let mut hash = Sha256::new_with_prefix(b"troupe.crdt.conflict.v1\0");
    let kind = format!("{kind:?}");
    for part in [kind.as_str(), place.unwrap_or_default(), field] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for atom in sides {
        hash.update(atom.stamp.lamport.to_be_bytes());
        hash.update(atom.stamp.actor.as_str().as_bytes());
        hash.update([0]);
    }
    id_of(hash)
}

/// The first bytes of a hash as an id.
fn id_of(hash: Sha256) -> Option<Name> {
    let mut hex = crate::digest::StateHash::from_bytes(hash.finalize().into()).to_string();
    hex.truncate(ID_DIGITS);
    Name::parse(&hex).ok()
}

fn side(atom: &Atom, value: Json) -> ConflictSide {
    ConflictSide { by: atom.stamp.by().clone(), at: atom.stamp.at, value, item_id: None }
}

/// A value as people read it.
pub(crate) fn shown(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text.as_ref()),
        Value::Number(number) => json!(number),
        Value::Name(name) => json!(name.as_str()),
        Value::Share { up, down } => json!({ "up": up, "down": down }),
        Value::Place { parent, .. } => json!(parent.as_ref().map(Name::as_str)),
        Value::Nothing | Value::Order(_) => Json::Null,
        Value::Status(status) => json!(status.as_str()),
        Value::Priority(priority) => json!(priority.as_str()),
        Value::Reads { field, .. } => json!({ "read": field }),
    }
}

fn severity(sides: &[&Atom], window_ms: u64) -> ConflictSeverity {
    let times = || sides.iter().map(|atom| atom.stamp.at);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) if last.millis_since(first) <= window_ms => {
            ConflictSeverity::High
        }
        _ => ConflictSeverity::Medium,
    }
}

/// The field's name on the wire.
pub(crate) fn field_name(field: Field) -> String {
    match serde_json::to_value(field) {
        Ok(Json::String(name)) => name,
        _ => format!("{field:?}"),
    }
}
