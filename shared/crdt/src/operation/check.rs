//! What an operation may say: the same checks for who writes and for who receives.

use serde::de::IgnoredAny;
use troupe_domain::Fault;

use super::{Change, Kind, Operation};
use crate::limits::{
    MAX_COUNT, MAX_KEY_BYTES, MAX_MINUTES, MAX_OPERATION_CHANGES, MAX_OPERATION_ITEMS, MAX_PHASES,
    MAX_TAG_BYTES, MAX_TEXT_BYTES, MAX_TITLE_CHARS,
};

/// Checks a title or a plan's name: something, short, on one line.
pub fn check_title(field: &str, text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::invalid(field, "must not be empty"));
    }
    if text.chars().count() > MAX_TITLE_CHARS {
        return Err(Fault::invalid(field, format!("must be at most {MAX_TITLE_CHARS} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::invalid(field, "must not have control characters"));
    }
    Ok(())
}

/// Checks a text that a person reads: bounded, no control characters but tab and newline.
pub fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Fault::invalid(field, format!("must be at most {MAX_TEXT_BYTES} bytes")));
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        Some(c) => {
            Err(Fault::invalid(field, format!("has the control character U+{:04X}", c as u32)))
        }
        None => Ok(()),
    }
}

/// Checks a tag.
pub fn check_tag(field: &str, text: &str) -> Result<(), Fault> {
    bounded(field, text, MAX_TAG_BYTES)
}

/// Checks a key of a map or an element of a set.
pub fn check_key(field: &str, text: &str) -> Result<(), Fault> {
    bounded(field, text, MAX_KEY_BYTES)
}

fn bounded(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        let wanted = format!("must be 1 to {most} bytes without control characters");
        return Err(Fault::invalid(field, wanted));
    }
    Ok(())
}

fn check_json(field: &str, text: &str) -> Result<(), Fault> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Fault::invalid(field, format!("must be at most {MAX_TEXT_BYTES} bytes")));
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|why| Fault::invalid(field, why))?;
    Ok(())
}

fn check_count(field: &str, number: u64, most: u64) -> Result<(), Fault> {
    if number > most {
        Err(Fault::invalid(field, format!("must be at most {most}")))
    } else {
        Ok(())
    }
}

fn check_amount(field: &str, amount: usize, most: usize) -> Result<(), Fault> {
    if amount == 0 || amount > most {
        return Err(Fault::invalid(field, format!("must be 1 to {most} of them (got {amount})")));
    }
    Ok(())
}

impl Change {
    const fn is_of_plan(&self) -> bool {
        matches!(
            self,
            Self::Name(_)
                | Self::Description(_)
                | Self::Owner(_)
                | Self::CurrentPhase(_)
                | Self::TotalPhases(_)
                | Self::AddCollaborator(_)
                | Self::RemoveCollaborator(_)
        )
    }

    const fn is_of_item(&self) -> bool {
        matches!(self, Self::Description(_)) || !self.is_of_plan()
    }

    fn check(&self) -> Result<(), Fault> {
        match self {
            Self::Name(text) => check_title("name", text),
            Self::Title(text) => check_title("title", text),
            Self::Description(text) => check_text("description", text),
            Self::CurrentPhase(phase) => {
                check_count("current_phase", (*phase).into(), MAX_PHASES.into())
            }
            Self::TotalPhases(phases) => {
                check_count("total_phases", (*phases).into(), MAX_PHASES.into())
            }
            Self::Progress(progress) => check_count("progress", (*progress).into(), 100),
            Self::EstimatedMinutes(Some(minutes)) => {
                check_count("estimated_minutes", *minutes, MAX_MINUTES)
            }
            Self::ActualMinutes { up, down } => {
                check_count("actual_minutes", *up, MAX_MINUTES)?;
                check_count("actual_minutes", *down, MAX_MINUTES)
            }
            Self::AddTag(tag) | Self::RemoveTag(tag) => check_tag("tags", tag),
            Self::Owner(_)
            | Self::AddCollaborator(_)
            | Self::RemoveCollaborator(_)
            | Self::Status(_)
            | Self::Priority(_)
            | Self::AssignedTo(_)
            | Self::EstimatedMinutes(None)
            | Self::TaskId(_)
            | Self::AddDependency(_)
            | Self::RemoveDependency(_) => Ok(()),
        }
    }
}

impl Operation {
    /// Checks that a document of this kind knows the operation, and every bound of it.
    pub fn check(&self, kind: Kind) -> Result<(), Fault> {
        if !self.fits(kind) {
            let why = format!("a {} has no operation {}", kind.as_str(), self.name());
            return Err(Fault::invalid("operations", why));
        }
        match self {
            Self::CreatePlan { changes } => changes_of(changes, Change::is_of_plan, true),
            Self::UpdatePlan { changes } => changes_of(changes, Change::is_of_plan, false),
            Self::AddItem { item, parent, changes, .. } => {
                if parent.as_ref() == Some(item) {
                    return Err(Fault::invalid("parent_id", "an item is no part of itself"));
                }
                changes_of(changes, Change::is_of_item, true)
            }
            Self::UpdateItem { changes, .. } => changes_of(changes, Change::is_of_item, false),
            Self::DeleteItem { items } | Self::Purge { items } => {
                check_amount("items", items.len(), MAX_OPERATION_ITEMS)
            }
            Self::MoveItem { item, parent, .. } if parent.as_ref() == Some(item) => {
                Err(Fault::invalid("parent_id", "an item is no part of itself"))
            }
            Self::ReorderItems { orders } => {
                check_amount("items", orders.len(), MAX_OPERATION_ITEMS)
            }
            Self::AddNote { text, .. } => {
                if text.trim().is_empty() {
                    return Err(Fault::invalid("text", "must not be empty"));
                }
                check_text("text", text)
            }
            Self::BulkUpdate { updates } => {
                check_amount("items", updates.len(), MAX_OPERATION_ITEMS)?;
                let mut all = updates.iter();
                all.try_for_each(|(_, changes)| changes_of(changes, Change::is_of_item, false))
            }
            Self::Acknowledge { conflict } => check_tag("conflict_id", conflict),
            Self::Count { up, down } => {
                if kind == Kind::GCounter && *down > 0 {
                    return Err(Fault::invalid("down", "this counter only grows"));
                }
                check_count("up", *up, MAX_COUNT)?;
                check_count("down", *down, MAX_COUNT)
            }
            Self::Write { value } => check_json("value", value),
            Self::Put { key, value } => {
                check_key("key", key)?;
                check_json("value", value)
            }
            Self::Insert { elements: keys } | Self::Remove { keys } => {
                check_amount("keys", keys.len(), MAX_OPERATION_ITEMS)?;
                keys.iter().try_for_each(|key| check_key("keys", key))
            }
            Self::DeletePlan
            | Self::MoveItem { .. }
            | Self::AssignItem { .. }
            | Self::UpdateStatus { .. }
            | Self::Read { .. }
            | Self::Raise { .. } => Ok(()),
        }
    }

    const fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Count { .. } => matches!(kind, Kind::GCounter | Kind::PnCounter),
            Self::Write { .. } => matches!(kind, Kind::LwwRegister),
            Self::Put { .. } => matches!(kind, Kind::LwwMap),
            Self::Insert { .. } => matches!(kind, Kind::OrSet),
            Self::Remove { .. } => matches!(kind, Kind::LwwMap | Kind::OrSet),
            Self::Raise { .. } => matches!(kind, Kind::VectorClock),
            _ => matches!(kind, Kind::Plan),
        }
    }
}

fn changes_of(
    changes: &[Change],
    fits: fn(&Change) -> bool,
    may_be_empty: bool,
) -> Result<(), Fault> {
    if !(may_be_empty && changes.is_empty()) {
        check_amount("changes", changes.len(), MAX_OPERATION_CHANGES)?;
    }
    if let Some(change) = changes.iter().find(|change| !fits(change)) {
        let why = format!("{:?} is not a field of it", change.field());
        return Err(Fault::invalid("changes", why));
    }
    changes.iter().try_for_each(Change::check)
}
