//! Who wrote something, when, and in which place of the one order that all replicas agree on.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::{AgentId, Name, Timestamp, VectorClock};

/// The id of an operation. Ids are ordered by Lamport time, then by name: the same everywhere, and
/// after everything that their author had seen.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct OperationId {
    /// The operation's Lamport time.
    pub lamport: u64,
    /// The agent whose chain it is in.
    pub actor: AgentId,
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.lamport, self.actor)
    }
}

/// An operation's id, with where it stands in its agent's chain and who wanted it when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// The operation's Lamport time.
    pub lamport: u64,
    /// The agent whose chain it is in.
    pub actor: AgentId,
    /// The number of its batch in that chain.
    pub seq: u64,
    /// When the agent's clock says it was. Decides nothing.
    pub at: Timestamp,
    /// For whom the actor wrote, if not for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<AgentId>,
}

/// Everything that one operation wrote shares its stamp.
pub(crate) type SharedStamp = Arc<Stamp>;

impl Stamp {
    /// The id.
    pub fn id(&self) -> OperationId {
        OperationId { lamport: self.lamport, actor: self.actor.clone() }
    }

    /// Whose change it is, as people see it.
    pub fn by(&self) -> &AgentId {
        self.on_behalf_of.as_ref().unwrap_or(&self.actor)
    }

    /// The order that decides which of two concurrent values is shown: greater wins.
    pub fn order(&self, other: &Self) -> Ordering {
        self.lamport.cmp(&other.lamport).then_with(|| self.actor.cmp(&other.actor))
    }

    pub(crate) fn is(&self, id: &OperationId) -> bool {
        self.lamport == id.lamport && self.actor == id.actor
    }
}

/// What an operation's author had seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) actor: &'a Name,
    pub(crate) clock: &'a VectorClock,
}

impl Seen<'_> {
    /// Whether the author knew of `stamp`. Its own earlier operations it always knew.
    pub(crate) fn covers(&self, stamp: &Stamp) -> bool {
        stamp.actor == *self.actor || self.clock.get(&stamp.actor) >= stamp.seq
    }
}
