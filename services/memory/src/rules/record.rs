//! What one shard writes to its log.

use serde::{Deserialize, Serialize};
use troupe_domain::memory::{AgentOutcome, Memory, MemoryId, MemoryTier, Namespace, TrustLevel};
use troupe_domain::{AgentId, Name, Timestamp};
use troupe_recall::Vector;
use troupe_segments::SegmentId;

use super::entry::ColdPlace;

/// One thing that happened, and how many notices follow from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How many notices follow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub notices: usize,
    /// In which namespace; absent where it is about the whole shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Something was remembered.
    Created(Box<Created>),
    /// The same was said again.
    Said {
        /// The entry.
        id: MemoryId,
        /// Who said it.
        by: AgentId,
    },
    /// An entry was changed by its author.
    Updated(Box<Updated>),
    /// An entry says nearly the same as an earlier one.
    Linked {
        /// The entry.
        id: MemoryId,
        /// The earlier one.
        of: MemoryId,
    },
    /// Two entries say the opposite.
    Conflicted {
        /// The later one.
        id: MemoryId,
        /// The earlier one.
        against: MemoryId,
    },
    /// Entries were taken back.
    Retracted {
        /// The one that somebody took back.
        root: MemoryId,
        /// Who.
        by: AgentId,
        /// Why.
        reason: String,
        /// All of them, the root first.
        ids: Vec<MemoryId>,
        /// Who read any of them.
        readers: Vec<AgentId>,
    },
    /// A reader was told of a retraction.
    Told {
        /// What was told, by its number.
        number: u64,
    },
    /// Somebody said how far an entry is to be believed.
    Verified {
        /// The entry.
        id: MemoryId,
        /// Who.
        by: AgentId,
        /// How far.
        trust_level: TrustLevel,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Another model makes the vectors from now on: those of the former one go.
    Model {
        /// Its digest.
        model: String,
    },
    /// Vectors were made.
    Embedded {
        /// Each with the digest of the content that it stands for.
        vectors: Vec<Embedded>,
    },
    /// Entries were read.
    Read {
        /// How often, and by whom.
        reads: Vec<Reads>,
    },
    /// Entries moved between the hot and the warm tier.
    Moved {
        /// The entries.
        ids: Vec<MemoryId>,
        /// Where to.
        tier: MemoryTier,
    },
    /// Contents are in a segment.
    Archived {
        /// Each with the content that it holds, and where.
        entries: Vec<Archived>,
    },
    /// The content of an entry is in memory again.
    Warmed {
        /// The entry.
        id: MemoryId,
        /// The content.
        content: String,
    },
    /// A segment was written anew, without what is not wanted any more.
    Rewritten {
        /// The former one.
        former: SegmentId,
        /// Others that became the same one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<SegmentId>,
        /// Where what is left of them is now.
        places: Vec<(MemoryId, ColdPlace)>,
    },
    /// A segment is gone.
    Erased {
        /// Which.
        segment: SegmentId,
    },
    /// The copy of an entry in the cold tier is damaged.
    Damaged {
        /// The entries.
        ids: Vec<MemoryId>,
        /// How, in words.
        reason: String,
    },
    /// An entry was deleted.
    Deleted(Box<Deleted>),
    /// A deletion is done in a tier.
    Gone {
        /// The entry.
        id: MemoryId,
        /// The tier: `hot`, `cold` or `log`.
        tier: String,
    },
    /// Entries deleted themselves.
    Expired {
        /// The entries.
        ids: Vec<MemoryId>,
    },
    /// A namespace may hold so much.
    Quota {
        /// Entries.
        max_entries: Option<u64>,
        /// Bytes of contents.
        max_bytes: Option<u64>,
    },
    /// So far the events were learned from.
    Heard(Heard),
    /// How what agents did turned out; stored together with how far it was heard.
    Outcomes {
        /// What happened.
        outcomes: Vec<AgentOutcome>,
    },
    /// Nothing: the log must go on for what is before it to go.
    Marked,
}

/// Something was remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The entry as everybody sees it.
    pub memory: Memory,
    /// The entry before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<MemoryId>,
    /// The entry that it says better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<MemoryId>,
}

/// An entry was changed by its author.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// The entry.
    pub id: MemoryId,
    /// Who did it.
    pub by: AgentId,
    /// The content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The rules of quarantine that the content met, and how far it is believed; with content only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<String>,
    /// How far it is believed afterwards.
    pub trust_level: TrustLevel,
    /// How much it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<f64>,
    /// All of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// When it deletes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A vector was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedded {
    /// The entry.
    pub id: MemoryId,
    /// The digest of the content that it stands for.
    pub sha256: String,
    /// The vector.
    pub vector: Vector,
}

/// An entry was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Where it belongs.
    pub namespace: Namespace,
    /// The entry.
    pub id: MemoryId,
    /// Who read it, and when; the last of them.
    pub reads: Vec<(AgentId, Timestamp)>,
    /// To whom a search showed it, for the first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<AgentId>,
    /// How often it was read besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

/// The content of an entry is in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// The entry.
    pub id: MemoryId,
    /// The digest of the content that the segment holds.
    pub sha256: String,
    /// Where that is.
    pub place: ColdPlace,
}

/// An entry was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The entry.
    pub id: MemoryId,
    /// Who asked for it.
    pub by: AgentId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The salt.
    pub salt: String,
    /// SHA-256 over the salt and the digest of the content.
    pub digest: String,
    /// Segments that hold a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<SegmentId>,
}

/// A place in the stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// When the stream was made: one that was made anew is another.
    pub stream_made_at: Timestamp,
    /// The last event that counts.
    pub sequence: u64,
}

/// Somebody who read what was taken back, and is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// Its number.
    pub number: u64,
    /// Whom.
    pub reader: Name,
    /// Where the entry belongs.
    pub namespace: Namespace,
    /// What was taken back.
    pub root: MemoryId,
    /// By whom.
    pub by: AgentId,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How many entries.
    pub affected: usize,
}
