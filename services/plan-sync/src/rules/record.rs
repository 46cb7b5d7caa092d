//! What one shard writes to its log.

use serde::{Deserialize, Serialize};
use troupe_contract::plan::{Bytes64, Fork};
use troupe_domain::plan::{Conflict, ItemId, ObjectId};
use troupe_domain::{AgentId, Name, Role, TaskId, Timestamp, TraceContext};

/// One thing that happened in a shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The shard got the key with which it signs for callers without a replica. It lies in the log,
    /// which services alone can read, so that the chain goes on whoever owns the shard.
    Key {
        /// The secret.
        seed: Bytes64,
    },
    /// A batch was taken in.
    Merged(Box<Merged>),
    /// An agent signed two histories; the second was refused.
    Forked {
        /// Of which object.
        object: ObjectId,
        /// The proof.
        fork: Fork,
    },
    /// A replica has another state at the same vector.
    Diverged {
        /// When it was seen.
        at: Timestamp,
        /// Of which object.
        object: ObjectId,
        /// Whose replica.
        replica: AgentId,
    },
    /// Conflicts of an object were met, or are over.
    Conflicts {
        /// When they were looked for.
        at: Timestamp,
        /// Of which object.
        object: ObjectId,
        /// Those that were met.
        opened: Vec<Conflict>,
        /// Those that are over.
        closed: Vec<Name>,
    },
    /// Snapshot and history of an object are in the archive.
    Archived {
        /// When.
        at: Timestamp,
        /// Of which object.
        object: ObjectId,
        /// The first batch of the piece.
        first: u64,
        /// The last.
        through: u64,
    },
    /// Batches were folded into the state without an archive: their history is lost.
    Folded {
        /// Of which object.
        object: ObjectId,
        /// The last of them.
        through: u64,
    },
    /// The task of an item is there.
    Confirmed {
        /// The task.
        task: TaskId,
    },
    /// The task of an item is over, or no longer is its task.
    Unlinked {
        /// The task.
        task: TaskId,
    },
    /// So far the events of tasks were followed.
    Followed(Place),
}

/// A batch that was taken in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Merged {
    /// When.
    pub at: Timestamp,
    /// The batch, as it was signed.
    pub batch: Bytes64,
    /// Under which key a repetition finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RequestKey>,
    /// What the answer names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub item_ids: Vec<ItemId>,
    /// Items that got tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<NewLink>,
    /// What the task of an item did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<TaskId>,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// An item that gets a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLink {
    /// The item.
    pub item: ItemId,
    /// The task.
    pub task: TaskId,
    /// The role that the task asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// The idempotency key of an edit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestKey {
    /// Whose.
    pub caller: AgentId,
    /// The key.
    pub key: String,
    /// A digest of what was asked, so that another request under the same key is told.
    pub digest: u64,
}

/// A place in the stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the stream was made: one that was made anew is another.
    pub stream_made_at: Timestamp,
    /// The last event that counts as followed.
    pub sequence: u64,
}
