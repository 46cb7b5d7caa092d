//! Memory: what a fleet remembers, with where it came from and how far it is believed.
//!
//! An entry belongs to one namespace for ever: everything that must see it together (duplicates,
//! quotas, what derives from it) is there.

mod learned;
mod namespace;
mod provenance;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use learned::{
    AgentOutcome, ConsensusVote, ExpertConsensus, Iteration, MemoryDetails, RefinementTrace,
};
pub use namespace::Namespace;
pub use provenance::{MemorySource, Provenance};

use crate::name::{AgentId, Name};
use crate::time::Timestamp;

/// The id of an entry.
pub type MemoryId = Name;

/// Entries with one of these tags never decay, and stay out of the cold tier.
pub const PROTECTED_TAGS: [&str; 2] = ["permanent", "critical"];

/// What kind of thing is remembered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryType {
    /// Notes of one task or session: they go by themselves.
    Working,
    /// What happened.
    Episodic,
    /// What is so.
    Semantic,
    /// How something is done.
    Procedural,
    /// Attempts at one task, one after the other, and what came of them.
    RefinementTrace,
    /// A question, who voted what, and why.
    ExpertConsensus,
}

impl MemoryType {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::Working,
        Self::Episodic,
        Self::Semantic,
        Self::Procedural,
        Self::RefinementTrace,
        Self::ExpertConsensus,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Episodic => "episodic",
            Self::Semantic => "semantic",
            Self::Procedural => "procedural",
            Self::RefinementTrace => "refinement_trace",
            Self::ExpertConsensus => "expert_consensus",
        }
    }
}

/// Where an entry stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryStatus {
    /// It counts.
    Active,
    /// It counts, and its content is in the cold tier.
    Archived,
    /// It counts little: unimportant, old, and not read for long.
    Decayed,
    /// Another entry says the opposite.
    Conflicted,
    /// A later entry says it better.
    Superseded,
    /// It waits to be looked at together with others.
    PendingConsolidation,
    /// It was taken back, or what it derives from was.
    Retracted,
    /// It is gone; only the proof of that is left.
    Deleted,
}

impl MemoryStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Active,
        Self::Archived,
        Self::Decayed,
        Self::Conflicted,
        Self::Superseded,
        Self::PendingConsolidation,
        Self::Retracted,
        Self::Deleted,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Decayed => "decayed",
            Self::Conflicted => "conflicted",
            Self::Superseded => "superseded",
            Self::PendingConsolidation => "pending_consolidation",
            Self::Retracted => "retracted",
            Self::Deleted => "deleted",
        }
    }

    /// Whether search finds it where nobody asks for a status.
    pub const fn is_searched(self) -> bool {
        !matches!(self, Self::Superseded | Self::Retracted | Self::Deleted)
    }
}

/// How far an entry is believed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TrustLevel {
    /// Its text tries to instruct its reader: search leaves it out unless asked.
    Quarantined,
    /// It came from outside of the fleet, and nobody has verified it.
    Untrusted,
    /// An agent of the fleet says so.
    Trusted,
    /// Somebody other than its author has verified it.
    Verified,
}

impl TrustLevel {
    /// Every level, the least first.
    pub const ALL: [Self; 4] = [Self::Quarantined, Self::Untrusted, Self::Trusted, Self::Verified];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quarantined => "quarantined",
            Self::Untrusted => "untrusted",
            Self::Trusted => "trusted",
            Self::Verified => "verified",
        }
    }
}

/// Where the content of an entry is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryTier {
    /// In the owner's memory and in Redis.
    Hot,
    /// In the owner's memory.
    Warm,
    /// In a segment in object storage.
    Cold,
}

impl MemoryTier {
    /// Every tier.
    pub const ALL: [Self; 3] = [Self::Hot, Self::Warm, Self::Cold];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// Why an entry no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retraction {
    /// The entry that was taken back: this one, or what it derives from.
    pub root: MemoryId,
    /// Who took it back.
    pub by: AgentId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// Its id, for ever.
    pub id: MemoryId,
    /// Where it belongs.
    pub namespace: Namespace,
    /// What is remembered. Absent where it is in the cold tier and could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub memory_type: MemoryType,
    /// How much it matters, 0 to 1.
    pub importance: f64,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often it changed, from 1: an update names the one that it has read.
    pub revision: u64,
    /// How often it was read by its id. Counts of the last moments before a crash may be lost.
    pub access_count: u64,
    /// When it was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_accessed: Option<Timestamp>,
    /// Where its content is.
    pub tier: MemoryTier,
    /// Where it stands.
    pub status: MemoryStatus,
    /// How far it is believed.
    pub trust_level: TrustLevel,
    /// Where it came from.
    pub provenance: Provenance,
    /// When it deletes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How often the same was said again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicates: u64,
    /// An earlier entry that says nearly the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<MemoryId>,
    /// Entries that say the opposite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<MemoryId>,
    /// The entry that says it better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<MemoryId>,
    /// Why it no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retraction: Option<Retraction>,
    /// The rules of quarantine that its text met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<String>,
    /// Who verified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<AgentId>,
    /// The attempts of a trace, the votes of a consensus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<MemoryDetails>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Memory {
    /// Whether a tag keeps it from decay.
    pub fn is_protected(&self) -> bool {
        is_protected(&self.tags)
    }
}

/// Whether one of these tags keeps an entry from decay.
pub fn is_protected(tags: &[String]) -> bool {
    tags.iter().any(|tag| PROTECTED_TAGS.contains(&tag.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_the_one_on_the_wire() {
        for kind in MemoryType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for status in MemoryStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for trust in TrustLevel::ALL {
            assert_eq!(serde_json::to_value(trust).unwrap(), trust.as_str());
        }
        for tier in MemoryTier::ALL {
            assert_eq!(serde_json::to_value(tier).unwrap(), tier.as_str());
        }
    }

    #[test]
    fn trust_is_an_order() {
        assert!(TrustLevel::ALL.is_sorted());
    }
}
