//! Plans and what they are made of, as people and programs read them.
//!
//! How plans merge stands in `troupe-crdt`; these are its nouns, without the marks that merging needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{AgentId, Name, TaskId};
use crate::priority::Priority;
use crate::time::Timestamp;
use crate::vector_clock::VectorClock;

/// The id of a plan, or of another object that is shared like one.
pub type ObjectId = Name;
/// The id of an item of a plan.
pub type ItemId = Name;

/// Where an item of a plan stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PlanItemStatus {
    /// Nobody has begun.
    #[default]
    Pending,
    /// Somebody is at it.
    InProgress,
    /// Done.
    Completed,
    /// It cannot go on; the reason is in its notes.
    Blocked,
    /// It will not be done.
    Cancelled,
    /// Not now.
    Deferred,
}

impl PlanItemStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::InProgress,
        Self::Completed,
        Self::Blocked,
        Self::Cancelled,
        Self::Deferred,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Deferred => "deferred",
        }
    }
}

/// A remark on an item. Remarks are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// Who wrote it.
    pub by: AgentId,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
}

/// One item of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanItem {
    /// Its id within the plan.
    pub id: ItemId,
    /// One line.
    pub title: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it stands.
    pub status: PlanItemStatus,
    /// How urgent.
    pub priority: Priority,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<AgentId>,
    /// Items that must be completed first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ItemId>,
    /// How far it is, 0 to 100.
    pub progress: u8,
    /// A guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_minutes: Option<u64>,
    /// What it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_minutes: Option<u64>,
    /// The item that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ItemId>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Remarks, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The task that does it, once it was dispatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who changed it last.
    pub updated_by: AgentId,
}

/// What a plan says of itself, without its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanHead {
    /// Its id.
    pub id: ObjectId,
    /// One line.
    pub name: String,
    /// As long as needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose it is.
    pub owner: AgentId,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collaborators: Vec<AgentId>,
    /// The phase that it is in, from 1; 0 where it has none.
    pub current_phase: u32,
    /// How many phases it has; 0 where it has none.
    pub total_phases: u32,
    /// The mean of its items' progress, 0 to 100; cancelled items do not count.
    pub overall_progress: f64,
    /// How many items it has.
    pub item_count: usize,
    /// Whether it was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What was merged into it: how many batches of each replica.
    pub version: VectorClock,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// What it says of itself.
    #[serde(flatten)]
    pub head: PlanHead,
    /// Its items as a tree in order: each is followed by its parts.
    pub items: Vec<PlanItem>,
}

/// What kind of thing is shared.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A plan with items.
    Plan,
    /// A counter that only grows.
    GCounter,
    /// A counter.
    PnCounter,
    /// One value; the last writer wins, and what lost is kept as a conflict.
    LwwRegister,
    /// Values by key, each a register.
    LwwMap,
    /// A set: an addition that a removal has not seen survives it.
    OrSet,
    /// A vector clock.
    VectorClock,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Plan,
        Self::GCounter,
        Self::PnCounter,
        Self::LwwRegister,
        Self::LwwMap,
        Self::OrSet,
        Self::VectorClock,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::GCounter => "g_counter",
            Self::PnCounter => "pn_counter",
            Self::LwwRegister => "lww_register",
            Self::LwwMap => "lww_map",
            Self::OrSet => "or_set",
            Self::VectorClock => "vector_clock",
        }
    }
}

/// What kind of conflict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Two wrote one field, and neither knew of the other.
    WriteWrite,
    /// An edit rested on something that had changed.
    ReadWrite,
    /// Two items say the same thing.
    Semantic,
    /// Dependencies that are acyclic by themselves form a cycle together.
    DependencyCycle,
}

/// How grave a conflict is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ConflictSeverity {
    /// Worth a look.
    Low,
    /// Somebody should decide.
    Medium,
    /// Two were at it at the same time.
    High,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictSide {
    /// Who.
    pub by: AgentId,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// What it says, as JSON or as text.
    pub value: serde_json::Value,
    /// The item that it is about, where the sides are about different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
}

/// Two edits that disagree, with what counts until somebody decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// The same on every replica.
    pub id: Name,
    /// What kind.
    pub kind: ConflictKind,
    /// How grave.
    pub severity: ConflictSeverity,
    /// The item, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// The field, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What counts now.
    pub winner: ConflictSide,
    /// What does not.
    pub losers: Vec<ConflictSide>,
    /// A text that joins both, where that is clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// By which rule the winner counts.
    pub rule: String,
    /// Who may decide otherwise.
    pub may_override: Vec<AgentId>,
}
