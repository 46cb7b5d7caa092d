//! Plans as people and programs read them: items in a tree with an order, and what follows from them.
//!
//! A view is made from a document when it is asked for. Nothing here changes a document, and equal
//! documents have equal views.

pub(crate) mod dependencies;
mod item;
pub(crate) mod tree;

use std::collections::HashMap;

use troupe_domain::plan::{ItemId, Plan, PlanHead, PlanItem, PlanItemStatus};
use troupe_domain::{AgentId, Name, Timestamp};

use crate::cells::Entity;
use crate::document::Document;
use crate::field::Field;
use crate::operation::Kind;
use crate::value::Value;
use tree::Tree;

pub use item::text_of;

impl Document {
    /// The plan with all its items, if it is a plan and was ever made.
    pub fn plan(&self) -> Option<Plan> {
        let tree = Tree::of(&self.cells);
        let items: Vec<PlanItem> = tree.rows.iter().filter_map(read_row).collect();
        let is_parent: std::collections::HashSet<&ItemId> =
            items.iter().filter_map(|item| item.parent_id.as_ref()).collect();
        let counted = items.iter().filter(|item| {
            item.status != PlanItemStatus::Cancelled && !is_parent.contains(&item.id)
        });
        let head = self.plan_head(items.len(), mean(counted.map(|item| item.progress)))?;
        Some(Plan { head, items })
    }

    /// Whether the plan was deleted, or never made.
    pub fn is_deleted(&self) -> bool {
        !self.cells.root.is_alive()
    }

    /// What the plan says of itself.
    fn plan_head(&self, item_count: usize, overall_progress: f64) -> Option<PlanHead> {
        let root = &self.cells.root;
        if self.kind != Kind::Plan || self.lamport == 0 {
            return None;
        }
        let newest = root.shown(Field::Touched).or_else(|| root.shown(Field::Deleted));
        let created = root.shown(Field::Created).or(newest).map(|atom| &atom.stamp);
        let author = || created.map_or_else(|| self.object.clone(), |stamp| stamp.by().clone());
        Some(PlanHead {
            id: self.object.clone(),
            name: root.text(Field::Name),
            description: root.text(Field::Description),
            owner: root.name(Field::Owner).cloned().unwrap_or_else(author),
            collaborators: root.names(Field::Collaborators),
            current_phase: root.number(Field::CurrentPhase).unwrap_or(0) as u32,
            total_phases: root.number(Field::TotalPhases).unwrap_or(0) as u32,
            overall_progress,
            item_count,
            deleted: !root.is_alive(),
            created_at: created.map_or(Timestamp::default(), |stamp| stamp.at),
            updated_at: newest.map_or(Timestamp::default(), |atom| atom.stamp.at),
            version: self.vector(),
        })
    }

    /// One item, if it is there.
    pub fn item(&self, item: &ItemId) -> Option<PlanItem> {
        let (key, entity) = self.cells.entities.get_key_value(item.as_str())?;
        let parent = self.cells.parent(item.as_str()).map(Name::as_str);
        entity.is_alive().then(|| item::read(key, entity, parent)).flatten()
    }

    /// Items that are deleted and not purged, each with whether everything that deleted it is in this
    /// version: what everybody has seen can be purged.
    pub fn deleted_items(&self, stable: &troupe_domain::VectorClock) -> Vec<(ItemId, bool)> {
        let dead = self.cells.entities.iter().filter(|(_, entity)| !entity.is_alive());
        dead.filter_map(|(key, entity)| {
            let mut atoms = entity.cells.values().flatten();
            let is_stable = atoms.all(|atom| stable.get(&atom.stamp.actor) >= atom.stamp.seq);
            Some((key.item_id().ok()?, is_stable))
        })
        .collect()
    }
}

/// Items that can be worked on now: pending, all that they wait for completed, and all their parts
/// completed or cancelled. A dependency that was deleted holds nobody up.
pub fn ready(plan: &Plan, ignored: &[(ItemId, ItemId)]) -> Vec<ItemId> {
    let by_id: HashMap<&ItemId, &PlanItem> =
        plan.items.iter().map(|item| (&item.id, item)).collect();
    let mut has_open_part: HashMap<&ItemId, bool> = HashMap::new();
    for item in &plan.items {
        let is_open = !matches!(item.status, PlanItemStatus::Completed | PlanItemStatus::Cancelled);
        if let Some(parent) = item.parent_id.as_ref().filter(|_| is_open) {
            has_open_part.insert(parent, true);
        }
    }
    let waits = |item: &PlanItem| {
        item.dependencies.iter().any(|dependency| {
            let is_open =
                by_id.get(dependency).is_some_and(|item| item.status != PlanItemStatus::Completed);
            is_open && !ignored.iter().any(|(from, to)| *from == item.id && to == dependency)
        })
    };
    let is_ready = |item: &&PlanItem| {
        item.status == PlanItemStatus::Pending
            && !has_open_part.contains_key(&item.id)
            && !waits(item)
    };
    plan.items.iter().filter(is_ready).map(|item| item.id.clone()).collect()
}

fn read_row(row: &tree::Row<'_>) -> Option<PlanItem> {
    item::read(row.key, row.entity, row.parent)
}

fn mean(progress: impl Iterator<Item = u8>) -> f64 {
    let (sum, count) = progress
        .fold((0_u64, 0_u64), |(sum, count), progress| (sum + u64::from(progress), count + 1));
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

impl Entity {
    pub(crate) fn text(&self, field: Field) -> String {
        match self.shown(field).map(|atom| &atom.value) {
            Some(Value::Text(text)) => text.to_string(),
            _ => String::new(),
        }
    }

    pub(crate) fn name(&self, field: Field) -> Option<&Name> {
        match self.shown(field).map(|atom| &atom.value) {
            Some(Value::Name(name)) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn number(&self, field: Field) -> Option<u64> {
        match self.shown(field).map(|atom| &atom.value) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The names in a set, in order, each once.
    pub(crate) fn names(&self, field: Field) -> Vec<AgentId> {
        let mut names: Vec<_> = self
            .atoms(field)
            .iter()
            .filter_map(|atom| match &atom.value {
                Value::Name(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The sum of all shares of a counter, if there is one.
    pub(crate) fn sum(&self, field: Field) -> Option<i128> {
        let atoms = self.atoms(field);
        let share = |value: &Value| match value {
            Value::Share { up, down } => i128::from(*up) - i128::from(*down),
            _ => 0,
        };
        (!atoms.is_empty()).then(|| atoms.iter().map(|atom| share(&atom.value)).sum())
    }
}
