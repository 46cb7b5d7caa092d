//! What a shard can be asked, by a handler in the same process or by a peer.

use serde::{Deserialize, Serialize};
use troupe_contract::memory::{
    DeletionReceipt, ImportReply, ListMemoriesRequest, MemoryConflictPage, MemoryConflictsRequest,
    MemoryReceipt, MemoryScore, MemorySearchRequest, MemoryStatistics, NamespaceInfo,
    RetractMemoryReply, TrackRecord, UpdateMemoryRequest,
};
use troupe_domain::memory::{AgentOutcome, Memory, MemoryId, Namespace, TrustLevel};
use troupe_domain::{AgentId, Fault, Name};
use troupe_recall::Vector;
use troupe_segments::SegmentId;

use super::entry::ColdPlace;
use super::history::AskTracks;
use super::record::{Archived, Embedded, Heard};

/// Something to be remembered, as a handler has checked it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewMemory {
    /// The entry. Trust, status and what it is linked with are decided by the shard.
    pub memory: Memory,
    /// The entry that it says better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<MemoryId>,
    /// Whether its id follows from an idempotency key: then the same id is the same request.
    pub keyed: bool,
}

/// What is searched for, as a handler has checked it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Searching {
    /// Where.
    pub namespace: Namespace,
    /// The words and the filters.
    pub request: MemorySearchRequest,
    /// What the words mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
    /// The model that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// About this kind of task, with so much agreement: for questions that were voted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus: Option<(Option<Name>, f64)>,
    /// To whom the results are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<AgentId>,
    /// Nothing that was written in this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_task: Option<Name>,
    /// Only what tells how something turned out, as the service itself heard it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcomes: bool,
    /// The first result.
    pub offset: usize,
    /// How many.
    pub limit: usize,
}

/// What a shard is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryRequest {
    /// Remember something.
    Create(Box<NewMemory>),
    /// Remember what happened, unless that part of the events is known.
    Learn {
        /// The entries.
        memories: Vec<NewMemory>,
        /// How what agents did turned out.
        outcomes: Vec<AgentOutcome>,
        /// How far the events were learned from.
        heard: Heard,
    },
    /// Read one entry.
    Get {
        /// Where; anywhere where none is named.
        namespace: Option<Namespace>,
        /// Which.
        id: MemoryId,
        /// Who reads it; nobody where it does not count.
        reader: Option<AgentId>,
    },
    /// Where an entry is, or was.
    Find {
        /// Which.
        id: MemoryId,
    },
    /// Search.
    Search(Box<Searching>),
    /// What agents achieved.
    Tracks(Box<AskTracks>),
    /// List entries.
    List {
        /// Which.
        request: Box<ListMemoriesRequest>,
        /// At most so many.
        limit: usize,
        /// At most so many bytes of contents.
        max_bytes: usize,
    },
    /// List entries that say the opposite of others.
    Conflicts {
        /// Which.
        request: MemoryConflictsRequest,
        /// At most so many.
        limit: usize,
    },
    /// Change an entry.
    Update {
        /// Where.
        namespace: Namespace,
        /// What.
        update: Box<UpdateMemoryRequest>,
        /// The rules of quarantine that a new content meets.
        quarantine: Vec<String>,
        /// Who.
        by: AgentId,
    },
    /// Take an entry back.
    Retract {
        /// Where.
        namespace: Namespace,
        /// Which.
        id: MemoryId,
        /// Why.
        reason: String,
        /// Who.
        by: AgentId,
    },
    /// Say how far an entry is to be believed.
    Verify {
        /// Where.
        namespace: Namespace,
        /// Which.
        id: MemoryId,
        /// How far.
        trust_level: TrustLevel,
        /// Why.
        reason: Option<String>,
        /// Who.
        by: AgentId,
    },
    /// Delete an entry.
    Delete {
        /// Where.
        namespace: Namespace,
        /// Which.
        id: MemoryId,
        /// Why.
        reason: Option<String>,
        /// Who.
        by: AgentId,
        /// Chance.
        salt: String,
    },
    /// Read the proof of a deletion.
    Deletion {
        /// Where.
        namespace: Namespace,
        /// Which.
        id: MemoryId,
    },
    /// Take exported entries in.
    Import {
        /// Where.
        namespace: Namespace,
        /// The entries, each with the rules of quarantine that it meets.
        memories: Vec<Memory>,
        /// Who.
        by: AgentId,
    },
    /// Say how much a namespace may hold.
    Quota {
        /// Which.
        namespace: Namespace,
        /// Entries.
        max_entries: Option<u64>,
        /// Bytes of contents.
        max_bytes: Option<u64>,
        /// Who.
        by: AgentId,
    },
    /// List the namespaces.
    Namespaces,
    /// Count.
    Stats,
    /// Vectors were made, by this model.
    Embedded {
        /// The digest of the model.
        model: String,
        /// Where.
        namespace: Namespace,
        /// The vectors.
        vectors: Vec<Embedded>,
    },
    /// Contents are in a segment.
    Archived {
        /// Where.
        namespace: Namespace,
        /// The entries.
        entries: Vec<Archived>,
    },
    /// The content of an entry of the cold tier, to be in memory again.
    Warmed {
        /// Where.
        namespace: Namespace,
        /// Which.
        id: MemoryId,
        /// The content.
        content: String,
    },
    /// A segment was written anew.
    Rewritten {
        /// Where.
        namespace: Namespace,
        /// The former one.
        former: SegmentId,
        /// Others that became the same one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<SegmentId>,
        /// Where what is left of them is.
        places: Vec<(MemoryId, ColdPlace)>,
    },
    /// A segment is gone.
    Erased {
        /// Where.
        namespace: Namespace,
        /// Which.
        segment: SegmentId,
    },
    /// Copies in the cold tier are damaged.
    Damaged {
        /// Where.
        namespace: Namespace,
        /// Which, and in which segment: that of an entry may be another by now.
        entries: Vec<(MemoryId, SegmentId)>,
        /// How.
        reason: String,
    },
    /// Move entries between the hot and the warm tier, where the rules say so.
    Retier {
        /// Where.
        namespace: Namespace,
        /// Which.
        ids: Vec<MemoryId>,
    },
    /// Entries of the cold tier that were kept for as long as the configuration says.
    Outlived {
        /// Where.
        namespace: Namespace,
        /// Which.
        ids: Vec<MemoryId>,
        /// Who deletes them.
        by: AgentId,
        /// The salt of their proofs.
        salt: String,
    },
    /// Deleted entries are gone from a tier.
    Gone {
        /// Where.
        namespace: Namespace,
        /// Which.
        ids: Vec<MemoryId>,
        /// From which.
        tier: String,
    },
    /// Readers were told of a retraction.
    Told(Vec<u64>),
    /// Write down what is counted and not yet written.
    Flush,
    /// Let the log go on.
    Mark,
}

/// An entry as it was read, with where its content is if it is not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The entry.
    pub memory: Memory,
    /// The digest of its content.
    pub sha256: String,
    /// Where its content is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<ColdPlace>,
}

/// A result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The entry.
    pub found: Found,
    /// Its score.
    pub score: f64,
    /// What that is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<MemoryScore>,
}

/// What a shard answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the requests of the same names say it
pub enum MemoryAnswer {
    Done,
    Receipt(Box<MemoryReceipt>),
    Entry(Box<Found>),
    /// In which namespace, if it is or was here.
    Where(Option<Namespace>),
    Results {
        hits: Vec<Hit>,
        more: bool,
        hybrid: bool,
        /// Entries of the cold tier that were not searched for their words.
        unindexed: usize,
    },
    Page {
        entries: Vec<Found>,
        next_after: Option<MemoryId>,
    },
    Conflicts(MemoryConflictPage),
    Retracted(Box<RetractMemoryReply>),
    Deletion(Box<DeletionReceipt>),
    Imported(ImportReply),
    Namespaces(Vec<NamespaceInfo>),
    Stats(Box<MemoryStatistics>),
    Tracks(Vec<TrackRecord>),
}

impl MemoryAnswer {
    /// The fault of an answer to another question.
    pub fn unexpected(self) -> Fault {
        Fault::new(troupe_domain::Code::Internal, "the shard answered another question")
    }
}
