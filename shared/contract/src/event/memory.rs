//! The events of memory. None carries content: what is deleted must not live on in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{
    MemoryId, MemoryStatus, MemoryTier, MemoryType, Namespace, TrustLevel,
};
use troupe_domain::{AgentId, Timestamp};

/// The entity token of the events of memory.
pub const MEMORY: &str = "memory";

event_kinds! { MemoryEventKind, "The events of an entry of memory.";
    MemoryCreated = "memory_created": "Something was remembered.";
    MemoryUpdated = "memory_updated": "An entry was changed.";
    MemoryRetracted = "memory_retracted": "An entry was taken back, with what derives from it; names who read any of it.";
    MemoryConflicted = "memory_conflicted": "Two entries say the opposite.";
    MemoryVerified = "memory_verified": "Somebody said how far an entry is to be believed.";
    MemoryQuarantined = "memory_quarantined": "The text of an entry tries to instruct its reader.";
    MemoryMoved = "memory_moved": "The content of an entry moved to another tier.";
    MemoryDamaged = "memory_damaged": "The content of an entry in the cold tier is not what was written.";
    MemoryDeleted = "memory_deleted": "An entry was deleted, or deleted itself.";
}

/// The data of an event of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryEvent {
    /// What happened.
    pub event: MemoryEventKind,
    /// To which entry.
    pub memory_id: MemoryId,
    /// Where it belongs.
    pub namespace: Namespace,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub memory_type: MemoryType,
    /// Where it stands afterwards.
    pub status: MemoryStatus,
    /// How far it is believed afterwards.
    pub trust_level: TrustLevel,
    /// Where its content is afterwards.
    pub tier: MemoryTier,
    /// Its revision afterwards.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it; absent where it happened by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Other entries that it is about: those taken back with it, or that say the opposite; the first
    /// of them, where they are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<MemoryId>,
    /// Agents that read what was taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<AgentId>,
}
