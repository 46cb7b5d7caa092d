//! What travels to tell what agents achieved so far.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::{AgentId, Timestamp};

/// Whose record is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrackRecordsRequest {
    /// The agents, at least one and at most `MAX_PAGE_ROWS`.
    pub agents: Vec<AgentId>,
    /// What is to be done, in words: what the agents achieved at things like it is told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// What an agent achieved at things that are alike. Each counts by how much it is: 1 is the most alike
/// of all that was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alike {
    /// What went well.
    pub succeeded: f64,
    /// What did not.
    pub failed: f64,
}

/// What one agent achieved: tasks that it completed or failed for good, and messages on which feedback
/// was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackRecord {
    /// Who.
    pub agent_id: AgentId,
    /// How often it went well.
    pub succeeded: u64,
    /// How often it did not.
    pub failed: u64,
    /// When something was last heard; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// At things like what was asked for; absent where nothing was asked for, or nothing is like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike: Option<Alike>,
}

/// Records, in the order of the agents that were named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackRecordsReply {
    /// The records.
    pub records: Vec<TrackRecord>,
}
