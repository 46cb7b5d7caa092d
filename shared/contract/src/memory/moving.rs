//! What travels to export and import.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{Memory, MemoryId, Namespace};

/// What is exported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportMemoriesRequest {
    /// Where; `default` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// At most so many, 256 at most; a page ends earlier where its bytes do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<MemoryId>,
}

/// Entries, one for each line of JSON Lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExportPage {
    /// The entries, with their contents.
    pub memories: Vec<Memory>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<MemoryId>,
}

/// Entries to be taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportMemoriesRequest {
    /// The entries, as they were exported, at most 256.
    pub memories: Vec<Memory>,
    /// Where they go; where each says that it belongs, where none is named. All of one request go to
    /// one namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportReply {
    /// Entries that were taken in.
    pub imported: u64,
    /// Entries that were there, or were deleted here: they stay as they are.
    pub skipped: u64,
    /// Entries that were refused, each with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedImport>,
}

/// An entry that was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedImport {
    /// The entry.
    pub id: MemoryId,
    /// Why.
    pub reason: String,
}
