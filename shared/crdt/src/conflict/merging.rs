//! Three-way merges of texts that were changed at the same time.
//!
//! The base is the newest text that both sides had seen. It is looked for in the history, so that the
//! state need not keep it; before the horizon there is none, and no merge is offered.

use std::sync::Arc;

use troupe_domain::plan::{Conflict, ConflictKind};
use troupe_domain::{Name, VectorClock};

use crate::batch::SignedBatch;
use crate::cells::{Atom, Entity, Place};
use crate::document::Document;
use crate::field::Field;
use crate::history::History;
use crate::limits::MAX_TEXT_BYTES;
use crate::operation::{Change, Operation};
use crate::stamp::{Seen, Stamp};
use crate::value::Value;

/// A text that was written once.
struct Written {
    stamp: Stamp,
    text: Arc<str>,
}

impl History {
    /// Adds to conflicts over descriptions the text that joins both sides, where that is clean.
    pub fn offer_merges(&self, document: &Document, conflicts: &mut [Conflict]) {
        for conflict in conflicts {
            let is_text = conflict.field.as_deref() == Some("description");
            if conflict.kind == ConflictKind::WriteWrite && is_text {
                let place = conflict.item_id.as_ref().map(Name::as_str);
                conflict.merged = self.merged(document, place, Field::Description);
            }
        }
    }

    fn merged(&self, document: &Document, place: Place<'_>, field: Field) -> Option<String> {
        let atoms = document.cells.entity(place)?.atoms(field);
        let [.., a, b] = atoms else { return None };
        if atoms.len() != 2 {
            return None;
        }
        let base = self.base_of(place, field, a, b)?;
        let (Value::Text(a), Value::Text(b)) = (&a.value, &b.value) else { return None };
        let merged = diffy::merge(&base, a, b).ok()?;
        (merged.len() <= MAX_TEXT_BYTES).then_some(merged)
    }

    /// The newest text that the authors of both had seen.
    fn base_of(&self, place: Place<'_>, field: Field, a: &Atom, b: &Atom) -> Option<Arc<str>> {
        let base = Document::decode(self.base()).ok()?;
        let a_seen = self.seen_by(&base, &a.stamp)?;
        let b_seen = self.seen_by(&base, &b.stamp)?;
        let both_saw = |stamp: &Stamp| {
            let sees = |author: &Atom, clock: &VectorClock| {
                Seen { actor: &author.stamp.actor, clock }.covers(stamp)
                    && stamp.order(&author.stamp).is_lt()
            };
            sees(a, &a_seen) && sees(b, &b_seen)
        };
        let held = base.cells.entity(place).map(|entity| texts(entity, field)).unwrap_or_default();
        let later = self.in_order().into_iter().flat_map(|batch| written(batch, place, field));
        let seen = held.into_iter().chain(later).filter(|written| both_saw(&written.stamp));
        let newest = seen.max_by(|a, b| a.stamp.order(&b.stamp));
        // Nobody had written anything: both began from nothing.
        Some(newest.map_or_else(|| "".into(), |written| written.text))
    }

    /// What the author of an operation had seen.
    fn seen_by(&self, base: &Document, stamp: &Stamp) -> Option<VectorClock> {
        let mut seen =
            base.heads().get(&stamp.actor).map(|head| head.seen.clone()).unwrap_or_default();
        let first = self.horizon().get(&stamp.actor) + 1;
        for seq in first..=stamp.seq {
            for (agent, count) in &self.get(&stamp.actor, seq)?.batch().seen {
                seen.raise(agent, *count).ok()?;
            }
        }
        Some(seen)
    }
}

fn texts(entity: &Entity, field: Field) -> Vec<Written> {
    let atoms = entity.atoms(field).iter();
    atoms
        .filter_map(|atom| match &atom.value {
            Value::Text(text) => {
                Some(Written { stamp: atom.stamp.as_ref().clone(), text: text.clone() })
            }
            _ => None,
        })
        .collect()
}

fn written(batch: &SignedBatch, place: Place<'_>, field: Field) -> Vec<Written> {
    let operations = batch.batch().operations.iter().enumerate();
    let mut found = Vec::new();
    for (index, operation) in operations {
        let changes: Vec<&Change> = match (operation, place) {
            (Operation::CreatePlan { changes } | Operation::UpdatePlan { changes }, None) => {
                changes.iter().collect()
            }
            (
                Operation::AddItem { item, changes, .. } | Operation::UpdateItem { item, changes },
                Some(place),
            ) if item.as_str() == place => changes.iter().collect(),
            (Operation::BulkUpdate { updates }, Some(place)) => updates
                .iter()
                .filter(|(item, _)| item.as_str() == place)
                .flat_map(|(_, changes)| changes)
                .collect(),
            _ => continue,
        };
        for change in changes {
            if let (Change::Description(text), Field::Description) = (change, field) {
                found.push(Written { stamp: batch.batch().stamp(index), text: text.clone() });
            }
        }
    }
    found
}
