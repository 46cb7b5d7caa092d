//! Conflicts, history, proofs of forks, counts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use troupe_domain::plan::{Conflict, ConflictKind, ItemId, ObjectId};
use troupe_domain::{AgentId, Name, Timestamp};

use super::Bytes64;

/// A page of conflicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConflictsRequest {
    /// The plan or object.
    #[serde(alias = "object_id", alias = "id")]
    pub plan_id: ObjectId,
    /// Only of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ConflictKind>,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Name>,
}

/// Conflicts that nobody has decided, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictPage {
    /// The conflicts.
    pub conflicts: Vec<Conflict>,
    /// How many there are, of every kind.
    pub open: usize,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<Name>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveConflictRequest {
    /// The plan or object.
    #[serde(alias = "object_id")]
    pub plan_id: ObjectId,
    /// The conflict.
    pub conflict_id: Name,
    /// What counts from now on.
    pub choice: Choice,
}

/// What counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Choice {
    /// What counts now.
    KeepWinner {},
    /// One of the others, by its place among the losers, from 0.
    TakeLoser {
        /// Which.
        index: usize,
    },
    /// The text that joins both.
    TakeMerged {},
    /// Another value.
    TakeValue {
        /// Which.
        value: Value,
    },
    /// Nothing changes, and the conflict is not shown again.
    Dismiss {},
}

/// A page of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanHistoryRequest {
    /// The plan or object.
    #[serde(alias = "object_id", alias = "id")]
    pub plan_id: ObjectId,
    /// Only what changed this item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// Only what this agent changed.
    #[serde(default, alias = "agent_id", skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentId>,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only what came before this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// What happened, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanHistoryPage {
    /// What happened.
    pub entries: Vec<PlanHistoryEntry>,
    /// The first sequence that is still known; older versions cannot be read.
    pub horizon: u64,
    /// Ask again with this `before`; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
}

/// One edit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanHistoryEntry {
    /// After which sequence of the object it counts.
    pub sequence: u64,
    /// The replica that made it.
    pub replica: AgentId,
    /// The batch's number in that replica's chain.
    pub seq: u64,
    /// Who changed it.
    pub by: AgentId,
    /// When the service took it in.
    pub at: Timestamp,
    /// What changed, in the order in which it was done.
    pub changes: Vec<PlanHistoryChange>,
}

/// One thing that an edit did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanHistoryChange {
    /// What was done, by the operation's name.
    pub operation: String,
    /// To which item, if to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// To which field, if to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What it says now.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// Proofs that agents gave two histories of one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkList {
    /// The proofs.
    pub forks: Vec<Fork>,
}

/// A proof that verifies by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fork {
    /// Who signed both.
    pub agent_id: AgentId,
    /// The number that both batches have.
    pub seq: u64,
    /// When the service met it.
    pub at: Timestamp,
    /// Both batches and the key.
    pub proof: Bytes64,
}

/// Plan sync in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStatistics {
    /// Plans that are not deleted.
    pub plans: usize,
    /// Other shared objects.
    pub objects: usize,
    /// Items of all plans.
    pub items: usize,
    /// Batches that were ever taken in.
    pub batches: u64,
    /// Batches that are kept in memory for replicas that come back.
    pub retained_batches: usize,
    /// Their bytes.
    pub retained_bytes: usize,
    /// Bytes of the states.
    pub state_bytes: usize,
    /// Batches that are not in the archive yet.
    pub unarchived_batches: usize,
    /// Why the archive took nothing lately; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_error: Option<String>,
    /// Conflicts that nobody has decided.
    pub open_conflicts: usize,
    /// Forks that were met.
    pub forks: usize,
    /// Replicas that had diverged.
    pub divergences: u64,
    /// Items whose tasks are not over.
    pub dispatched_items: usize,
}
