//! What replicas ask: to take batches in, for those that they lack, for a snapshot, to compare.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::plan::ObjectId;
use troupe_domain::{AgentId, Fault, VectorClock};

use super::Bytes64;

/// Batches of one object, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Each as its replica signed it: the caller's own, or others' whose keys the object knows.
    pub batches: Vec<Bytes64>,
}

/// What came of the batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplyReply {
    /// The object.
    pub object_id: ObjectId,
    /// In the order given, up to the first that was refused.
    pub results: Vec<MergeResult>,
    /// Why the next one was refused; those after it were not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Fault>,
    /// How many batches the service has taken in.
    pub sequence: u64,
    /// The same, by replica.
    pub vector: VectorClock,
    /// The state's hash at this vector, hexadecimal.
    pub state_hash: String,
}

/// What came of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MergeResult {
    /// Whose.
    pub agent_id: AgentId,
    /// Its number in that replica's chain.
    pub seq: u64,
    /// What came of it.
    pub outcome: MergeOutcome,
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeOutcome {
    /// It was taken in, and is durable.
    Applied,
    /// It had been taken in before.
    Known,
}

/// What a replica has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// The object.
    #[serde(alias = "plan_id")]
    pub object_id: ObjectId,
    /// How many batches of each replica it has.
    pub vector: VectorClock,
    /// At most so many bytes of batches, but at least one; 1 MiB where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
}

/// What a replica lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncReply {
    /// The batches, in an order in which they can be applied.
    pub batches: Vec<Bytes64>,
    /// How many batches of each replica the service has.
    pub vector: VectorClock,
    /// The state's hash at this vector, hexadecimal.
    pub state_hash: String,
    /// How many batches the service has taken in.
    pub sequence: u64,
    /// There are more: ask again with what was learned.
    pub more: bool,
    /// The replica is behind the horizon: it takes a snapshot, and asks again.
    pub snapshot_needed: bool,
}

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRequest {
    /// The object.
    #[serde(alias = "plan_id")]
    pub object_id: ObjectId,
    /// From this byte on.
    #[serde(default)]
    pub offset: usize,
    /// Of the snapshot that an earlier piece was of; the newest where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
}

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotReply {
    /// How many batches are in it: names the snapshot.
    pub sequence: u64,
    /// The same, by replica.
    pub vector: VectorClock,
    /// The state's hash at this vector, hexadecimal.
    pub state_hash: String,
    /// SHA-256 of all pieces together, hexadecimal.
    pub sha256: String,
    /// Bytes of all pieces together.
    pub size_bytes: usize,
    /// Where this piece begins.
    pub offset: usize,
    /// The piece.
    pub chunk: Bytes64,
    /// Ask again from here; absent with the last piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<usize>,
}

/// The state of a replica, to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestRequest {
    /// The object.
    #[serde(alias = "plan_id")]
    pub object_id: ObjectId,
    /// How many batches of each replica the caller has.
    pub vector: VectorClock,
    /// The caller's state's hash, hexadecimal.
    pub state_hash: String,
}

/// How a replica stands to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DigestReply {
    /// What the caller has, seen from the service.
    pub relation: Relation,
    /// The same batches gave another state: the caller takes a snapshot.
    pub diverged: bool,
    /// How many batches of each replica the service has.
    pub vector: VectorClock,
    /// The state's hash at this vector, hexadecimal.
    pub state_hash: String,
}

/// How one replica stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same batches.
    Equal,
    /// It lacks some.
    Behind,
    /// It has more.
    Ahead,
    /// Both lack some.
    Concurrent,
}
