//! One entry as a shard keeps it, and how it looks to a reader.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use troupe_domain::memory::{Memory, MemoryId, MemoryStatus, MemoryTier, MemoryType, TrustLevel};
use troupe_domain::{AgentId, Timestamp};
use troupe_recall::Vector;
use troupe_segments::{Digest, SegmentId, Wanted};

use super::decay;
use super::state::Settings;

/// Agents that one entry remembers as its readers; later ones are not told of a retraction.
pub const MAX_READERS: usize = 64;
/// Times of reading that one entry remembers.
pub const MAX_READ_TIMES: usize = 8;
/// Entries that one entry is linked with as saying the opposite.
pub const MAX_CONFLICTS: usize = 16;
/// Segments that hold a copy of one entry and are not yet rewritten; with more it stays warm.
pub const MAX_COPIES: usize = 16;

/// Where the content of an entry is in the cold tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdPlace {
    /// The segment.
    pub segment: SegmentId,
    /// Where in it.
    pub place: troupe_segments::Place,
    /// What is there.
    pub digest: Digest,
}

impl ColdPlace {
    /// As the store is asked for it.
    pub fn wanted(&self) -> Wanted {
        Wanted { segment: self.segment, place: self.place, digest: self.digest }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What everybody sees. The content is absent while it is in the cold tier.
    pub memory: Memory,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
    /// Bytes of the content.
    pub content_bytes: usize,
    /// The entry before it, in the same session, task or author's notes: context for its vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<MemoryId>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
    /// Where its content is, while it is in the cold tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<ColdPlace>,
    /// Segments that hold a copy, of now or of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<SegmentId>,
    /// Whether its copy in the cold tier was found damaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Who read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<AgentId>,
    /// When it was read, the newest last.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub read_at: VecDeque<Timestamp>,
}

impl Entry {
    /// An entry that was never read.
    pub fn new(memory: Memory, previous: Option<MemoryId>) -> Self {
        let content = memory.content.as_deref().unwrap_or_default();
        Self {
            sha256: sha256_of(content),
            content_bytes: content.len(),
            previous,
            vector: None,
            place: None,
            copies: Vec::new(),
            damaged: false,
            readers: Vec::new(),
            read_at: VecDeque::new(),
            memory,
        }
    }

    /// Whether its content is in this segment, and not somewhere else by now.
    pub fn is_in(&self, segment: SegmentId) -> bool {
        self.place.is_some_and(|place| place.segment == segment)
    }

    /// The content, where it is in memory.
    pub fn content(&self) -> Option<&str> {
        self.memory.content.as_deref()
    }

    /// Bytes of it in memory.
    pub fn resident_bytes(&self) -> usize {
        self.content().map_or(0, str::len)
    }

    /// Whether the same content counts as said again, rather than as a new entry.
    pub fn counts(&self) -> bool {
        self.memory.status.is_searched() && self.memory.trust_level != TrustLevel::Quarantined
    }

    /// Whether its vector is still to be made.
    pub fn wants_vector(&self) -> bool {
        self.vector.is_none() && self.memory.content.is_some()
    }

    /// Where it stands, now: what is archived and what has decayed follows from tier, age and use.
    pub fn status(&self, now: Timestamp, settings: &Settings) -> MemoryStatus {
        match self.memory.status {
            MemoryStatus::Active if self.memory.tier == MemoryTier::Cold => MemoryStatus::Archived,
            MemoryStatus::Active if decay::has_decayed(&self.memory, now, settings) => {
                MemoryStatus::Decayed
            }
            status => status,
        }
    }

    /// What everybody sees, now.
    pub fn seen(&self, now: Timestamp, settings: &Settings) -> Memory {
        Memory { status: self.status(now, settings), ..self.memory.clone() }
    }

    /// Somebody read it.
    pub fn read(&mut self, by: &AgentId, at: Timestamp) {
        self.memory.access_count += 1;
        self.memory.last_accessed = Some(self.memory.last_accessed.map_or(at, |last| last.max(at)));
        if self.readers.len() < MAX_READERS && !self.readers.contains(by) {
            self.readers.push(by.clone());
        }
        self.read_at.push_back(at);
        while self.read_at.len() > MAX_READ_TIMES {
            self.read_at.pop_front();
        }
    }

    /// A search showed it to somebody, who is to know if it is taken back. Whether that is news.
    pub fn shown(&mut self, to: &AgentId) -> bool {
        let is_news = self.readers.len() < MAX_READERS && !self.readers.contains(to);
        if is_news {
            self.readers.push(to.clone());
        }
        is_news
    }

    /// How often it was read since a moment, as far as that is remembered.
    pub fn reads_since(&self, since: Timestamp) -> usize {
        self.read_at.iter().filter(|at| **at >= since).count()
    }
}

/// SHA-256, hexadecimal.
pub fn sha256_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The digest in the proof of a deletion: of the salt and the digest of the content.
pub fn salted(salt: &str, sha256: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(salt.as_bytes());
    digest.update(sha256.as_bytes());
    hex(&digest.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether two entries of a type may contradict each other: events differ in their numbers by nature.
pub const fn may_contradict(kind: MemoryType) -> bool {
    matches!(kind, MemoryType::Semantic | MemoryType::Procedural)
}
