//! One item as it is shown.

use troupe_domain::plan::{Note, PlanItem, PlanItemStatus};
use troupe_domain::{Name, Priority};

use crate::cells::{Entity, Key};
use crate::field::Field;
use crate::value::Value;

/// What an item says in words: its title and its description.
pub fn text_of(item: &PlanItem) -> String {
    if item.description.is_empty() {
        return item.title.clone();
    }
    format!("{}\n{}", item.title, item.description)
}

/// Reads an entity as an item under this parent.
pub(super) fn read(key: &Key, entity: &Entity, parent: Option<&str>) -> Option<PlanItem> {
    let newest = entity.shown(Field::Touched)?;
    let created = entity.shown(Field::Created).unwrap_or(newest);
    let status = match entity.shown(Field::Status).map(|atom| &atom.value) {
        Some(Value::Status(status)) => *status,
        _ => PlanItemStatus::default(),
    };
    let priority = match entity.shown(Field::Priority).map(|atom| &atom.value) {
        Some(Value::Priority(priority)) => *priority,
        _ => Priority::default(),
    };
    let progress = match status {
        PlanItemStatus::Completed => 100,
        _ => entity.number(Field::Progress).unwrap_or(0).min(100) as u8,
    };
    let minutes = entity.sum(Field::ActualMinutes);
    Some(PlanItem {
        id: key.item_id().ok()?,
        title: entity.text(Field::Title),
        description: entity.text(Field::Description),
        status,
        priority,
        assigned_to: entity.name(Field::AssignedTo).cloned(),
        dependencies: entity.names(Field::Dependencies),
        progress,
        estimated_minutes: entity.number(Field::EstimatedMinutes),
        actual_minutes: minutes.map(|sum| u64::try_from(sum.max(0)).unwrap_or(u64::MAX)),
        parent_id: parent.and_then(|parent| Name::parse(parent).ok()),
        tags: tags(entity),
        notes: notes(entity),
        task_id: entity.name(Field::TaskId).cloned(),
        created_at: created.stamp.at,
        updated_at: newest.stamp.at,
        updated_by: newest.stamp.by().clone(),
    })
}

fn tags(entity: &Entity) -> Vec<String> {
    let atoms = entity.atoms(Field::Tags).iter();
    let mut tags: Vec<String> = atoms
        .filter_map(|atom| match &atom.value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        })
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn notes(entity: &Entity) -> Vec<Note> {
    let atoms = entity.atoms(Field::Notes).iter();
    atoms
        .filter_map(|atom| match &atom.value {
            Value::Text(text) => Some(Note {
                by: atom.stamp.by().clone(),
                at: atom.stamp.at,
                text: text.to_string(),
            }),
            _ => None,
        })
        .collect()
}
