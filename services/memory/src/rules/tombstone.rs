//! What is left of a deleted entry: the proof that it is gone, tier by tier.

use serde::{Deserialize, Serialize};
use troupe_contract::memory::{DeletionReceipt, TierDeletion};
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_domain::{AgentId, Timestamp};
use troupe_segments::SegmentId;

/// Proofs that one namespace keeps; of more, the oldest that are complete go.
pub const MAX_TOMBSTONES: usize = 100_000;

/// The proof of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Who asked for it.
    pub by: AgentId,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The salt.
    pub salt: String,
    /// SHA-256 over the salt and the digest of the content.
    pub digest: String,
    /// Segments that still hold a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<SegmentId>,
    /// When it was gone from the hot tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot: Option<Timestamp>,
    /// When it was gone from the cold tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<Timestamp>,
    /// When it was gone from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Timestamp>,
}

impl Tombstone {
    /// Whether it is gone from every tier.
    pub fn is_complete(&self) -> bool {
        self.hot.is_some() && self.cold.is_some() && self.log.is_some()
    }

    /// Whether only the log still has it.
    pub fn waits_for_log(&self) -> bool {
        self.log.is_none() && self.hot.is_some() && self.cold.is_some()
    }

    /// The proof as everybody sees it.
    pub fn receipt(&self, id: &MemoryId, namespace: &Namespace) -> DeletionReceipt {
        let tier = |tier: &str, done_at| TierDeletion { tier: tier.to_owned(), done_at };
        DeletionReceipt {
            id: id.clone(),
            namespace: namespace.clone(),
            requested_by: self.by.clone(),
            requested_at: self.at,
            reason: self.reason.clone(),
            content_digest: self.digest.clone(),
            salt: self.salt.clone(),
            complete: self.is_complete(),
            tiers: vec![
                tier("hot", self.hot),
                tier("warm", Some(self.at)),
                tier("cold", self.cold),
                tier("log", self.log),
            ],
        }
    }
}
