//! What traces and consensus entries hold beside their text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{AgentId, Name, TaskId};

/// One attempt of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Iteration {
    /// What was tried.
    pub attempt: String,
    /// What was said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// How good it was, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Attempts at one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefinementTrace {
    /// The task.
    pub task_id: TaskId,
    /// The attempts, in order.
    pub iterations: Vec<Iteration>,
    /// What came of them.
    pub final_result: String,
    /// Whether it succeeded.
    pub success: bool,
    /// How long all of it took.
    pub duration_ms: u64,
}

/// One vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsensusVote {
    /// Whose.
    pub voter: AgentId,
    /// For what.
    pub choice: String,
    /// Why, word for word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A question that was voted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpertConsensus {
    /// What was asked.
    pub question: String,
    /// The kind of task that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Name>,
    /// The votes, dissent too, word for word.
    pub votes: Vec<ConsensusVote>,
    /// What most voted for; of several with as many votes, the first by name.
    pub outcome: String,
    /// Votes for the outcome ÷ votes cast.
    pub agreement: f64,
}

impl ExpertConsensus {
    /// Counts votes; `None` where there are none.
    pub fn of(
        question: String,
        task_type: Option<Name>,
        votes: Vec<ConsensusVote>,
    ) -> Option<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for vote in &votes {
            *counts.entry(&vote.choice).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        let outcome = counts.iter().find(|(_, count)| **count == most)?.0.to_string();
        let agreement = most as f64 / votes.len() as f64;
        Some(Self { question, task_type, votes, outcome, agreement })
    }

    /// The votes that were for something else than the outcome.
    pub fn dissent(&self) -> impl Iterator<Item = &ConsensusVote> {
        self.votes.iter().filter(|vote| vote.choice != self.outcome)
    }
}

/// How something that an agent did turned out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentOutcome {
    /// Who did it.
    pub agent_id: AgentId,
    /// Whether it did what was wanted.
    pub success: bool,
}

/// What an entry holds beside its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryDetails {
    /// Attempts at one task.
    RefinementTrace(RefinementTrace),
    /// A question that was voted on.
    ExpertConsensus(ExpertConsensus),
    /// Something that an agent did.
    Outcome(AgentOutcome),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(voter: &str, choice: &str, reason: &str) -> ConsensusVote {
        let voter = AgentId::parse(voter).unwrap();
        ConsensusVote { voter, choice: choice.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn agreement_is_votes_for_over_votes_cast_and_dissent_is_kept_word_for_word() {
        let votes = vec![
            vote("a", "postgres", "we know it"),
            vote("b", "sqlite", "one file — no server"),
            vote("c", "postgres", ""),
        ];
        let consensus = ExpertConsensus::of("which?".to_owned(), None, votes).unwrap();
        assert_eq!(consensus.outcome, "postgres");
        assert!((consensus.agreement - 2.0 / 3.0).abs() < 1e-12);
        let dissent: Vec<&str> = consensus.dissent().map(|vote| vote.reason.as_str()).collect();
        assert_eq!(dissent, ["one file — no server"]);
        assert!(ExpertConsensus::of("nobody".to_owned(), None, Vec::new()).is_none());
    }
}
