//! What travels to read entries and counts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::Timestamp;
use troupe_domain::memory::{
    Memory, MemoryId, MemoryStatus, MemoryTier, MemoryType, Namespace, TrustLevel,
};

/// One entry by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryRef {
    /// The entry.
    #[serde(alias = "memory_id")]
    pub id: MemoryId,
    /// Where it belongs; found anywhere where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GetMemoryReply {
    /// The entry.
    pub memory: Memory,
    /// Where the content was read.
    pub source: MemoryTier,
    /// Whether this is what counts now. A hot copy that is served while nobody owns the namespace may
    /// be older, and is not complete.
    pub complete: bool,
}

/// Which entries; an empty list lets every one pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListMemoriesRequest {
    /// Where; `default` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Any of these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<MemoryType>,
    /// Any of these statuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<MemoryStatus>,
    /// Any of these levels of trust.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust_levels: Vec<TrustLevel>,
    /// With all of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<MemoryId>,
}

/// Entries in the order of their ids. A list leaves out what is in the cold tier: its content is
/// absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryPage {
    /// The entries.
    pub memories: Vec<Memory>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<MemoryId>,
}

/// Which conflicts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConflictsRequest {
    /// Where; `default` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only after this entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<MemoryId>,
}

/// An entry, and those that say the opposite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryConflict {
    /// The entry.
    pub memory: Memory,
    /// Those that say the opposite.
    pub against: Vec<MemoryId>,
}

/// Conflicts in the order of ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryConflictPage {
    /// The conflicts: each entry that is in one.
    pub conflicts: Vec<MemoryConflict>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<MemoryId>,
}

/// What is there, and what works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryStatistics {
    /// Entries, without those that are deleted.
    pub entries: u64,
    /// Bytes of their contents, wherever they are.
    pub content_bytes: u64,
    /// Bytes of them in the owner's memory.
    pub resident_bytes: u64,
    /// Bytes of the indexes, about.
    pub index_bytes: u64,
    /// By tier.
    pub by_tier: BTreeMap<String, u64>,
    /// By type.
    pub by_type: BTreeMap<String, u64>,
    /// By status.
    pub by_status: BTreeMap<String, u64>,
    /// By trust.
    pub by_trust: BTreeMap<String, u64>,
    /// Namespaces.
    pub namespaces: u64,
    /// Entries whose vector is not made yet.
    pub without_vector: u64,
    /// Whether search goes by meaning too: `hybrid`, or `lexical` where there is no model.
    pub search: String,
    /// Why there is no model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_error: Option<String>,
    /// Whether there is a hot tier that answers.
    pub hot: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_error: Option<String>,
    /// Whether there is a cold tier that takes what is due.
    pub cold: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_error: Option<String>,
    /// Segments in the cold tier.
    pub segments: u64,
    /// Entries whose content in the cold tier was found damaged.
    pub damaged: u64,
    /// Entries of the cold tier that search does not find yet, after a takeover.
    pub unindexed: u64,
    /// Deletions that are not done in every tier yet.
    pub pending_deletions: u64,
    /// The place in the stream of events up to which it has learned.
    pub heard_through: u64,
}

/// How much a namespace may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutQuotaRequest {
    /// The namespace.
    pub namespace: Namespace,
    /// Entries; what the configuration says where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u64>,
    /// Bytes of contents; what the configuration says where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceInfo {
    /// Its name.
    pub namespace: Namespace,
    /// Entries.
    pub entries: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Entries that it may hold.
    pub max_entries: u64,
    /// Bytes that it may hold.
    pub max_bytes: u64,
    /// When it was last written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceReply {
    /// The namespace.
    pub namespace: NamespaceInfo,
}

/// Every namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceList {
    /// By name; the first thousand.
    pub namespaces: Vec<NamespaceInfo>,
    /// How many there are.
    pub total: u64,
}
