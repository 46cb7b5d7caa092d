//! What one shard writes to its log, and keeps in its snapshots.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use troupe_domain::task::Outcome;
use troupe_domain::task::change::Change;
use troupe_domain::{AgentId, Json, Name, Task, TaskId, Timestamp};

use super::stats::AgentTally;

/// One thing that happened in a shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Tasks came to be, all of them.
    Created {
        /// When.
        at: Timestamp,
        /// The tasks.
        tasks: Vec<Task>,
        /// Under which key a repetition finds them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<CreationKey>,
    },
    /// Something happened to a task.
    Changed {
        /// When.
        at: Timestamp,
        /// To which.
        id: TaskId,
        /// What.
        change: Change,
    },
    /// A task of another shard depends on a task of this one.
    Watched {
        /// The task here.
        id: TaskId,
        /// Who wants to know.
        watcher: Watcher,
    },
    /// Letters to other shards arrived.
    Delivered {
        /// Their numbers.
        letters: Vec<u64>,
    },
    /// Terminal tasks left memory. It is recorded, so that a replay remembers the same tasks,
    /// whatever it is configured to keep.
    Evicted {
        /// The piece of the shard's archive that they are in.
        piece: u64,
        /// Which.
        ids: Vec<TaskId>,
        /// Which were due and stay, because open tasks look at them: they are due again last.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        spared: Vec<TaskId>,
    },
    /// An evicted task came back from the archive.
    Restored {
        /// The task.
        task: Box<Task>,
    },
}

/// A task of another shard that waits for one of this shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Watcher {
    /// Its shard.
    pub shard: u16,
    /// Its id.
    pub id: TaskId,
}

/// The idempotency key of a creation, and what it created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationKey {
    /// Caller and key.
    pub key: String,
    /// A digest of what was asked, so that another request under the same key is told.
    pub digest: u64,
    /// What was created.
    pub created: CreatedUnder,
}

/// What a key created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreatedUnder {
    /// One task.
    Task(TaskId),
    /// A graph.
    Graph {
        /// Its id.
        id: Name,
        /// The tasks by key.
        tasks: Arc<BTreeMap<Name, TaskId>>,
    },
}

impl CreatedUnder {
    /// How much of the bound on remembered keys it takes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Task(_) => 1,
            Self::Graph { tasks, .. } => tasks.len().max(1),
        }
    }
}

/// Something that another shard must learn: kept until it is delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number within the shard that sends it.
    pub number: u64,
    /// The shard that must learn it.
    pub to: u16,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub content: LetterContent,
}

/// What a [`Letter`] says. Hearing it twice changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterContent {
    /// `dependency` ended, or was revived (`outcome` is none).
    Dependency {
        /// The task that waits.
        dependent: TaskId,
        /// The task that ended.
        dependency: TaskId,
        /// How.
        outcome: Option<Outcome>,
        /// Its result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Json>,
    },
    /// `child` is a part of `parent`.
    Part {
        /// The whole.
        parent: TaskId,
        /// The part.
        child: TaskId,
    },
    /// `whole` was called off, and `part` with it.
    CallOff {
        /// The part.
        part: TaskId,
        /// The whole.
        whole: TaskId,
        /// Who called it off.
        by: Name,
    },
}

impl LetterContent {
    /// The task that it is for.
    pub fn recipient(&self) -> &TaskId {
        match self {
            Self::Dependency { dependent, .. } => dependent,
            Self::Part { parent, .. } => parent,
            Self::CallOff { part, .. } => part,
        }
    }
}

/// One line of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotLine {
    /// A task.
    Task(Arc<Task>),
    /// A key that is remembered.
    Key(CreationKey),
    /// A letter that was not delivered.
    Letter(Letter),
    /// The next number of a letter.
    NextLetter(u64),
    /// Who waits for a task.
    Watchers(TaskId, Vec<Watcher>),
    /// What an agent did so far.
    Agent(AgentId, AgentTally),
    /// Terminal tasks in the order in which they ended.
    Ended(Vec<TaskId>),
    /// The tasks whose stall was told, with the epoch of the hold.
    Stalled(Vec<(TaskId, u64)>),
    /// The digests of tasks that left memory for a piece of the archive.
    Departed(u64, Arc<[u64]>),
}
