//! Where conflicts stand in a document.

use serde_json::{Value as Json, json};
use troupe_domain::AgentId;
use troupe_domain::plan::{Conflict, ConflictKind, ConflictSeverity, ConflictSide, ItemId};

use super::{DELETED, PURGED, conflict_id, field_name, severity, shown, side};
use crate::cells::{Atom, Entity, Place};
use crate::document::Document;
use crate::field::Field;
use crate::operation::Kind;
use crate::plan::dependencies::Ignored;
use crate::value::Value;

/// What a conflict is made of.
struct Draft<'a> {
    kind: ConflictKind,
    severity: ConflictSeverity,
    place: Place<'a>,
    field: String,
    atoms: Vec<&'a Atom>,
    winner: ConflictSide,
    losers: Vec<ConflictSide>,
    rule: &'static str,
}

impl Document {
    /// The conflicts of the head or of one entity.
    pub(super) fn conflicts_at(&self, place: Place<'_>, window_ms: u64) -> Vec<Conflict> {
        let Some(entity) = self.cells.entity(place) else { return Vec::new() };
        let is_bare = matches!(self.kind, Kind::GCounter | Kind::PnCounter | Kind::OrSet);
        if !entity.is_alive() || is_bare || self.kind == Kind::VectorClock {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (field, atoms) in &entity.cells {
            if field.is_contested() && atoms.len() > 1 {
                found.extend(self.write_write(place, *field, atoms, window_ms));
            }
        }
        for read in entity.atoms(Field::Reads) {
            found.extend(self.read_write(place, entity, read, window_ms));
        }
        if self.kind == Kind::Plan {
            found.extend(self.edit_beside_deletion(place, entity, window_ms));
            found.extend(self.edit_after_purge(place, entity));
        }
        found
    }

    fn write_write(
        &self,
        place: Place<'_>,
        field: Field,
        atoms: &[Atom],
        window_ms: u64,
    ) -> Option<Conflict> {
        let winner = atoms.last()?;
        let losers: Vec<&Atom> =
            atoms.iter().rev().filter(|atom| !same(&atom.value, &winner.value)).collect();
        if losers.is_empty() {
            return None;
        }
        let all: Vec<&Atom> = losers.iter().copied().chain([winner]).collect();
        self.conflict(Draft {
            kind: ConflictKind::WriteWrite,
            severity: severity(&all, window_ms),
            place,
            field: field_name(field),
            winner: side(winner, shown(&winner.value)),
            losers: losers.iter().map(|atom| side(atom, shown(&atom.value))).collect(),
            atoms: all,
            rule: "the greatest by Lamport time, then by name, counts",
        })
    }

    fn read_write(
        &self,
        place: Place<'_>,
        entity: &Entity,
        read: &Atom,
        window_ms: u64,
    ) -> Option<Conflict> {
        let Value::Reads { field, seen, missed } = &read.value else { return None };
        let own =
            |atom: &Atom| atom.stamp.actor == read.stamp.actor && atom.stamp.seq == read.stamp.seq;
        let unread = |atom: &&Atom| !own(atom) && !seen.iter().any(|id| atom.stamp.is(id));
        let news = entity.atoms(*field).iter().rfind(unread);
        if news.is_none() && missed.is_empty() {
            return None;
        }
        let held = news.or_else(|| entity.shown(*field));
        let winner =
            held.map_or_else(|| side(read, Json::Null), |atom| side(atom, shown(&atom.value)));
        let all: Vec<&Atom> = [read].into_iter().chain(news).collect();
        let loser = json!({ "rests_on": seen.iter().map(ToString::to_string).collect::<Vec<_>>() });
        self.conflict(Draft {
            kind: ConflictKind::ReadWrite,
            severity: severity(&all, window_ms),
            place,
            field: field_name(*field),
            winner,
            losers: vec![side(read, loser)],
            atoms: all,
            rule: "what was written counts; the edit that rests on what was there before stays",
        })
    }

    fn edit_beside_deletion(
        &self,
        place: Place<'_>,
        entity: &Entity,
        window_ms: u64,
    ) -> Option<Conflict> {
        let edit = entity.shown(Field::Touched)?;
        let deletions = entity.atoms(Field::Deleted);
        let all: Vec<&Atom> = deletions.iter().chain([edit]).collect();
        if deletions.is_empty() {
            return None;
        }
        self.conflict(Draft {
            kind: ConflictKind::WriteWrite,
            severity: severity(&all, window_ms),
            place,
            field: DELETED.to_owned(),
            winner: side(edit, json!(false)),
            losers: deletions.iter().map(|atom| side(atom, json!(true))).collect(),
            atoms: all,
            rule: "an edit that a deletion had not seen keeps the item",
        })
    }

    fn edit_after_purge(&self, place: Place<'_>, entity: &Entity) -> Option<Conflict> {
        place?;
        if !entity.atoms(Field::Created).is_empty() {
            return None;
        }
        let edit = entity.shown(Field::Touched)?;
        self.conflict(Draft {
            kind: ConflictKind::WriteWrite,
            severity: ConflictSeverity::Medium,
            place,
            field: PURGED.to_owned(),
            winner: side(edit, Json::Null),
            losers: Vec::new(),
            atoms: vec![edit],
            rule: "an edit from before the horizon keeps what it wrote, of an item that is forgotten",
        })
    }

    /// An item whose move would have closed a cycle.
    pub(super) fn held_move(&self, item: &str) -> Option<Conflict> {
        let newest = self.cells.entities.get(item)?.shown(Field::Parent)?;
        let Value::Place { from, .. } = &newest.value else { return None };
        let loser = side(newest, shown(&newest.value));
        let kept = json!(from.as_ref().map(AgentId::as_str));
        self.conflict(Draft {
            kind: ConflictKind::WriteWrite,
            severity: ConflictSeverity::High,
            place: Some(item),
            field: field_name(Field::Parent),
            winner: ConflictSide { value: kept, ..loser.clone() },
            losers: vec![loser],
            atoms: vec![newest],
            rule: "a move that would close a cycle does not count",
        })
    }

    /// A dependency that does not count.
    pub(super) fn cycle(&self, ignored: &Ignored<'_>) -> Option<Conflict> {
        let loser = side(ignored.atom, json!(ignored.to));
        let rest = side(ignored.atom, json!({ "among": ignored.among }));
        self.conflict(Draft {
            kind: ConflictKind::DependencyCycle,
            severity: ConflictSeverity::High,
            place: Some(ignored.from),
            field: field_name(Field::Dependencies),
            winner: rest,
            losers: vec![loser],
            atoms: vec![ignored.atom],
            rule: "the newest dependency of items that wait for each other does not count",
        })
    }

    fn conflict(&self, draft: Draft<'_>) -> Option<Conflict> {
        let mut may_override: Vec<AgentId> =
            draft.atoms.iter().map(|atom| atom.stamp.by().clone()).collect();
        may_override.extend(self.cells.root.name(Field::Owner).cloned());
        may_override.extend(self.cells.root.names(Field::Collaborators));
        may_override.sort_unstable();
        may_override.dedup();
        Some(Conflict {
            id: conflict_id(draft.kind, draft.place, &draft.field, &draft.atoms)?,
            kind: draft.kind,
            severity: draft.severity,
            item_id: draft.place.and_then(|place| ItemId::parse(place).ok()),
            field: Some(draft.field),
            winner: draft.winner,
            losers: draft.losers,
            merged: None,
            rule: draft.rule.to_owned(),
            may_override,
        })
    }
}

/// Whether two values say the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Place { parent: a, .. }, Value::Place { parent: b, .. }) => a == b,
        _ => a == b,
    }
}
