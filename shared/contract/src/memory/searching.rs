//! What travels to search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::memory::{Memory, MemoryStatus, MemoryType, Namespace, TrustLevel};
use troupe_domain::{AgentId, Name, TaskId, Timestamp};

/// What is searched for. Every filter that is named holds for every result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySearchRequest {
    /// Words or a sentence. Without it everything that passes is found, the most important and most
    /// recent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Where; `default` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Of this type.
    #[serde(rename = "type", alias = "memory_type", skip_serializing_if = "Option::is_none")]
    pub memory_type: Option<MemoryType>,
    /// With all of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// At least so important, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_importance: Option<f64>,
    /// Created at or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Written by.
    #[serde(alias = "author", skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Written in this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Written in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Name>,
    /// Any of these statuses. Where none is named, what is superseded or retracted is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<MemoryStatus>,
    /// Any of these levels of trust. Where none is named, what is quarantined is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust_levels: Vec<TrustLevel>,
    /// At most so many; 10 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on where a page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Say what each score is made of.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
}

/// What a score is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryScore {
    /// Words in common, 0 to 1 over the results.
    pub lexical: f64,
    /// Meaning in common, 0 to 1 over the results; absent where the entry has no vector or there is no
    /// model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic: Option<f64>,
    /// What its neighbours in time add.
    pub neighbour: f64,
    /// The factor by importance, age, use and trust.
    pub prior: f64,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryHit {
    /// The entry. Its content is absent where it is in the cold tier and could not be read.
    pub memory: Memory,
    /// How well it fits; results of one search can be compared, others not.
    pub score: f64,
    /// What the score is made of, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<MemoryScore>,
}

/// Results, the best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemorySearchReply {
    /// The results.
    pub results: Vec<MemoryHit>,
    /// Ask again with this to go on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// How it was searched: `hybrid`, or `lexical` where no meaning could be compared.
    pub mode: String,
    /// Whether everything was searched.
    pub complete: bool,
    /// What was not, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What holds somebody up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuggestRequest {
    /// The blocker, in words.
    #[serde(alias = "blocker", alias = "problem")]
    pub query: String,
    /// The task: what was written in it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Where; `default` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Whom it is shown to, where a service of the fleet asks; nobody else may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<AgentId>,
    /// At most so many; 5 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Which questions that were voted on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConsensusRequest {
    /// Words or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// About this kind of task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Name>,
    /// With at least so much agreement, 0 to 1: votes for ÷ votes cast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_agreement: Option<f64>,
    /// Where; `default` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// At most so many; 10 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on where a page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
