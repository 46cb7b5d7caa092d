//! What travels to write entries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{
    MemoryId, MemorySource, MemoryStatus, MemoryType, Namespace, TrustLevel,
};
use troupe_domain::{Name, TaskId, Timestamp};

/// Something to be remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMemoryRequest {
    /// What is remembered, not empty.
    pub content: String,
    /// What kind of thing it is. Traces and consensus have endpoints of their own.
    #[serde(rename = "type", alias = "memory_type")]
    pub memory_type: MemoryType,
    /// How much it matters, 0 to 1; 0.5 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<f64>,
    /// Words to find it by. `permanent` and `critical` keep it from decay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it belongs; `default` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The task that it is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The hold on that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The session that it is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Name>,
    /// Entries of the same namespace that it rests on: when one is taken back, so is this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<MemoryId>,
    /// What it was made from: what came from outside of the fleet must say so, and is untrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MemorySource>,
    /// An entry of the same namespace that this one says better. Whoever is believed less cannot
    /// supersede who is believed more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<MemoryId>,
    /// It deletes itself after so long. Working memory does after a day where nothing is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl CreateMemoryRequest {
    /// Content of a type, and nothing else.
    pub fn new(content: impl Into<String>, memory_type: MemoryType) -> Self {
        Self {
            content: content.into(),
            memory_type,
            importance: None,
            tags: Vec::new(),
            namespace: None,
            task_id: None,
            epoch: None,
            session_id: None,
            derived_from: Vec::new(),
            source: None,
            supersedes: None,
            ttl_ms: None,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryReceipt {
    /// The entry.
    pub id: MemoryId,
    /// Where it belongs.
    pub namespace: Namespace,
    /// Its revision now.
    pub revision: u64,
    /// Whether it is new. The same content of the same type in the same namespace is counted and not
    /// stored again: then this is the entry that was there.
    pub created: bool,
    /// Where it stands.
    pub status: MemoryStatus,
    /// How far it is believed.
    pub trust_level: TrustLevel,
    /// An earlier entry that says nearly the same; both are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<MemoryId>,
    /// Entries that say the opposite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<MemoryId>,
    /// The rules of quarantine that its text met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<String>,
    /// When it deletes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What changes of an entry; what is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMemoryRequest {
    /// The entry.
    #[serde(alias = "memory_id")]
    pub id: MemoryId,
    /// Where it belongs; found anywhere where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The revision that was read. Where it is another now, nothing changes.
    pub revision: u64,
    /// What is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// How much it matters, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<f64>,
    /// All of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// It deletes itself after so long, from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl UpdateMemoryRequest {
    /// Changes nothing yet.
    pub fn new(id: MemoryId, revision: u64) -> Self {
        Self {
            id,
            namespace: None,
            revision,
            content: None,
            importance: None,
            tags: None,
            ttl_ms: None,
        }
    }
}

/// An entry to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetractMemoryRequest {
    /// The entry.
    #[serde(alias = "memory_id")]
    pub id: MemoryId,
    /// Where it belongs; found anywhere where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Why, not empty.
    pub reason: String,
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetractMemoryReply {
    /// The entry.
    pub id: MemoryId,
    /// Where it belongs.
    pub namespace: Namespace,
    /// How many entries were taken back with it, because they derive from it.
    pub affected: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected_ids: Vec<MemoryId>,
    /// Agents that read any of it, and are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<Name>,
}

/// How far an entry is to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyMemoryRequest {
    /// The entry.
    #[serde(alias = "memory_id")]
    pub id: MemoryId,
    /// Where it belongs; found anywhere where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// `verified` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_level: Option<TrustLevel>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
