//! What travels to delete entries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_domain::{AgentId, Timestamp};

/// An entry to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteMemoryRequest {
    /// The entry.
    #[serde(alias = "memory_id")]
    pub id: MemoryId,
    /// Where it belongs; found anywhere where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Why, in words. It is kept: it must not repeat what is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a deletion is in one tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TierDeletion {
    /// `hot`, `warm`, `cold` or `log`.
    pub tier: String,
    /// When it was done; absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// The proof of a deletion. It holds nothing of what was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletionReceipt {
    /// The entry.
    pub id: MemoryId,
    /// Where it belonged.
    pub namespace: Namespace,
    /// Who asked for it.
    pub requested_by: AgentId,
    /// When.
    pub requested_at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// SHA-256 over the salt and the SHA-256 of the content, both hexadecimal: who still has the content
    /// can show that it is the one that was deleted, and nobody else learns anything.
    pub content_digest: String,
    /// The salt, hexadecimal.
    pub salt: String,
    /// Whether it is gone from every tier.
    pub complete: bool,
    /// How far it is in each tier.
    pub tiers: Vec<TierDeletion>,
}
