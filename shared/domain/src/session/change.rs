//! What happens to a session: the facts that are stored.

use serde::{Deserialize, Serialize};

use super::{MissingTurn, SessionOutcome, Turn};
use crate::name::AgentId;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Somebody joined.
    Joined {
        /// Who.
        by: AgentId,
    },
    /// Somebody left.
    Left {
        /// Who.
        by: AgentId,
        /// Why, in words.
        reason: String,
    },
    /// A turn came and was heard at once.
    Heard(Turn),
    /// A turn came and waits for what it depends on.
    Held(Turn),
    /// A turn that waited was heard.
    Released {
        /// Whose.
        by: AgentId,
        /// Its place among its speaker's.
        count: u64,
    },
    /// A turn will not be heard. If it was held back, it is let go of.
    Missing(MissingTurn),
    /// The session ended; `by` is none where it ended by itself.
    Ended {
        /// Who ended it.
        by: Option<AgentId>,
        /// How.
        outcome: SessionOutcome,
        /// Why, in words.
        reason: String,
        /// Whether it was silent for too long.
        expired: bool,
    },
}

impl Change {
    /// Whether it gives a line of the transcript.
    pub fn is_written(&self) -> bool {
        !matches!(self, Self::Held(_) | Self::Ended { .. })
    }
}
