//! A shard as lines, and back.
//!
//! A line holds what the log held: states and batches as they are, shared with memory, so that taking a
//! snapshot copies nothing while requests wait.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::plan::{Bytes64, Fork};
use troupe_domain::plan::{Conflict, ObjectId, ObjectKind};
use troupe_domain::{TaskId, VectorClock};

use super::memory::Remembered;
use super::object::{Base, Kept, Mark, Object, Piece, replayed};
use super::record::Place;
use super::state::{Link, PlanState, Totals};
use troupe_crdt::AgentKey;

/// One line of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotLine {
    /// The key with which the shard signs.
    Key(Bytes64),
    /// An object.
    Object(Box<ObjectLine>),
    /// An item with a task.
    Link(TaskId, Link),
    /// How far tasks were followed.
    Followed(Place),
    /// An edit that was made under a key.
    Remembered(Box<Remembered>),
    /// What happened so far.
    Totals(Totals),
}

/// An object.
#[derive(Debug, Serialize, Deserialize)]
pub struct ObjectLine {
    id: ObjectId,
    kind: ObjectKind,
    sequence: u64,
    base: Base,
    base_vector: VectorClock,
    kept: Vec<Arc<Kept>>,
    pieces: Vec<Piece>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_base: Option<Base>,
    marks: Vec<Mark>,
    forks: Vec<Fork>,
    conflicts: Vec<Conflict>,
}

impl PlanState {
    /// Everything that is stored.
    pub fn snapshot_lines(&self) -> Vec<SnapshotLine> {
        let mut lines = vec![SnapshotLine::Totals(self.totals)];
        lines.extend(self.key.as_ref().map(|key| SnapshotLine::Key(key.seed().to_vec().into())));
        lines.extend(self.followed.map(SnapshotLine::Followed));
        lines.extend(
            self.objects.values().map(|object| SnapshotLine::Object(Box::new(line(object)))),
        );
        let links = self.links.iter();
        lines.extend(links.map(|(task, link)| SnapshotLine::Link(task.clone(), link.clone())));
        let keys = self.keys.iter();
        lines.extend(keys.map(|edit| SnapshotLine::Remembered(Box::new(edit.clone()))));
        lines
    }

    /// Takes one line.
    pub fn restore_line(&mut self, line: SnapshotLine) {
        match line {
            SnapshotLine::Key(seed) => {
                self.key = <[u8; 32]>::try_from(seed.as_ref()).ok().map(AgentKey::from_seed);
            }
            SnapshotLine::Object(line) => self.restore_object(*line),
            SnapshotLine::Link(task, link) => {
                self.links.insert(task, link);
            }
            SnapshotLine::Followed(place) => self.followed = Some(place),
            SnapshotLine::Remembered(edit) => self.keys.insert(*edit),
            SnapshotLine::Totals(totals) => self.totals = totals,
        }
    }

    fn restore_object(&mut self, line: ObjectLine) {
        let document = match replayed(&line.id, line.kind, &line.base, &line.kept) {
            Ok(document) => document,
            Err(why) => {
                tracing::error!(object = %line.id, %why, "an object of a snapshot cannot be read");
                return;
            }
        };
        let mut object = Object::new(line.id, line.kind);
        object.weight = document.bytes();
        object.document = document;
        object.sequence = line.sequence;
        object.base = line.base;
        object.base_vector = line.base_vector;
        object.keep_again(line.kept);
        object.pieces = line.pieces.into();
        object.next_base = line.next_base;
        object.marks = line.marks.into();
        object.forks = line.forks;
        object.worded = object.sequence;
        object.conflicts = line.conflicts.into_iter().map(|c| (c.id.clone(), c)).collect();
        // Whether there are others is looked at once more: it costs little, and repeats nothing.
        let due = object.kept.back().map(|kept| kept.at).unwrap_or_default();
        object.check_at = Some(due);
        self.checks.insert((due, object.id().clone()));
        self.bytes += object.bytes();
        self.objects.insert(object.id().clone(), object);
    }
}

fn line(object: &Object) -> ObjectLine {
    ObjectLine {
        id: object.id().clone(),
        kind: object.kind,
        sequence: object.sequence,
        base: object.base.clone(),
        base_vector: object.base_vector.clone(),
        kept: object.kept.iter().cloned().collect(),
        pieces: object.pieces.iter().copied().collect(),
        next_base: object.next_base.clone(),
        marks: object.marks.iter().cloned().collect(),
        forks: object.forks.clone(),
        conflicts: object.conflicts.values().cloned().collect(),
    }
}
