//! The fields of an entity, and the rule by which each of them merges.
//!
//! An entity is the head of a plan, an item of it, a key of a map, an element of a set. Its values are
//! told apart by field; the number of a field is part of the wire and never changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the values of a field merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A write replaces all that its author had seen. What is left is concurrent; the greatest by
    /// (Lamport time, name) is shown.
    Register,
    /// Values with tags: adding wins over removing what was not seen.
    Set,
    /// One share for each actor, replaced by its own later ones; the sum counts.
    Counter,
    /// Everything is kept.
    Notes,
    /// The greatest number counts.
    Greatest,
    /// One for each actor and field read; a write that has seen it ends it.
    Reads,
}

/// A field of an entity.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Field {
    /// The edits that keep the entity there.
    Touched = 0,
    /// The deletions that no later edit has seen.
    Deleted = 1,
    /// What agents read before they wrote.
    Reads = 2,
    /// Its creation.
    Created = 3,
    /// A plan's name.
    Name = 4,
    /// An item's title.
    Title = 5,
    /// A description.
    Description = 6,
    /// A plan's owner.
    Owner = 7,
    /// A plan's phase.
    CurrentPhase = 8,
    /// A plan's number of phases.
    TotalPhases = 9,
    /// Who works on a plan.
    Collaborators = 10,
    /// Conflicts that somebody settled.
    Acknowledged = 11,
    /// An item's status, with the reason.
    Status = 12,
    /// An item's priority.
    Priority = 13,
    /// Who does an item.
    AssignedTo = 14,
    /// An item's progress, 0 to 100.
    Progress = 15,
    /// Minutes that an item should take.
    EstimatedMinutes = 16,
    /// Minutes that it took so far.
    ActualMinutes = 17,
    /// The task that does it.
    TaskId = 18,
    /// The item that it is a part of.
    Parent = 19,
    /// Its place among its siblings.
    Order = 20,
    /// Items that must be completed before it.
    Dependencies = 21,
    /// Tags.
    Tags = 22,
    /// Notes.
    Notes = 23,
    /// The value of a register, or of a map's key.
    Value = 24,
    /// Shares of a counter.
    Count = 25,
    /// A count of a vector clock.
    Clock = 26,
}

impl Field {
    const ALL: [Self; 27] = [
        Self::Touched,
        Self::Deleted,
        Self::Reads,
        Self::Created,
        Self::Name,
        Self::Title,
        Self::Description,
        Self::Owner,
        Self::CurrentPhase,
        Self::TotalPhases,
        Self::Collaborators,
        Self::Acknowledged,
        Self::Status,
        Self::Priority,
        Self::AssignedTo,
        Self::Progress,
        Self::EstimatedMinutes,
        Self::ActualMinutes,
        Self::TaskId,
        Self::Parent,
        Self::Order,
        Self::Dependencies,
        Self::Tags,
        Self::Notes,
        Self::Value,
        Self::Count,
        Self::Clock,
    ];

    pub(crate) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::Collaborators | Self::Acknowledged | Self::Dependencies | Self::Tags => Rule::Set,
            Self::ActualMinutes | Self::Count => Rule::Counter,
            Self::Notes => Rule::Notes,
            Self::Clock => Rule::Greatest,
            Self::Reads => Rule::Reads,
            _ => Rule::Register,
        }
    }

    /// Whether concurrent values of it are a conflict that people should hear of.
    pub(crate) const fn is_contested(self) -> bool {
        // Places among siblings are a matter of taste, and creations agree in all but the hour.
        matches!(self.rule(), Rule::Register)
            && !matches!(self, Self::Touched | Self::Deleted | Self::Created | Self::Order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_number() {
        for (number, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(field.number()), number);
            assert_eq!(Field::of_number(number as u8), Some(field));
        }
        assert_eq!(Field::of_number(Field::ALL.len() as u8), None);
    }
}
