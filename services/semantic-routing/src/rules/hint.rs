//! Hints: what the process is told of a shard beside its answers. Each follows from what was written,
//! and none is stored: one that is lost costs time, or a measurement.

use troupe_domain::message::AgentMessage;
use troupe_domain::{AgentId, Name};

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// An agent in whose mailbox something can be handed out.
    Mailbox(AgentId),
    /// What became of a message that came by intent.
    Ended(Ended),
}

/// How a message that came by intent ended at one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whose mailbox.
    pub agent: AgentId,
    /// What it was chosen under.
    pub key: Name,
    /// How.
    pub how: Ending,
    /// From the hand-out to the end, where it was handed out.
    pub latency_ms: Option<u64>,
    /// Who has it next, where it was handed on.
    pub handed_to: Option<AgentId>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was acknowledged.
    Done,
    /// The agent refused it, gave it back, or did not acknowledge it in time.
    Failed,
    /// It left the agent without any fault or merit of the agent's.
    Left,
}

impl Ended {
    /// The end of `message` at `agent`; nothing of a message that was sent to it by name.
    pub fn of(
        message: &AgentMessage,
        agent: &AgentId,
        how: Ending,
        latency_ms: Option<u64>,
    ) -> Option<Self> {
        let key = message.routing.route_key.clone()?;
        Some(Self { agent: agent.clone(), key, how, latency_ms, handed_to: None })
    }
}
