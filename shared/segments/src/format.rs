//! What a segment is made of.
//!
//! ```text
//! skipped frame:  {"v":1,"namespace":…,"segment":…,"made_at":…}
//! zstd frame:     whole lines of entries, each ended by \n
//! …
//! skipped frame:  zstd of the index, then the trailer: where the index is, its lengths, its SHA-256
//! ```
//!
//! Invariant: nothing lies between, before or after these; the index has the digest of the heading and
//! of each frame, the trailer that of the index.

mod decoding;
mod encoding;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use troupe_domain::Timestamp;

use crate::digest::Digest;
use crate::naming::SegmentId;

pub(crate) use decoding::{Found, Name, open, open_index, read_line, tail};
pub(crate) use encoding::{Encoded, encode};

/// The version of this format.
const VERSION: u32 = 1;
/// What a decompressor skips begins so: two of the sixteen numbers that zstd leaves to others.
const HEADING_MAGIC: [u8; 4] = 0x184D_2A5A_u32.to_le_bytes();
const INDEX_MAGIC: [u8; 4] = 0x184D_2A5B_u32.to_le_bytes();
/// The number and the length before what is skipped.
const SKIPPED_BYTES: usize = 8;
/// The last bytes of a segment.
const TRAILER_MAGIC: [u8; 8] = *b"TRPSEG01";
/// Where the index is (8), its stored and its raw length (4 and 4), its digest (32), the magic (8).
const TRAILER_BYTES: usize = 56;

/// An entry to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id, unique in the segment.
    pub id: String,
    /// Its time, for retention.
    pub at: Timestamp,
    /// One line of JSON, without the `\n`.
    pub line: Bytes,
}

/// Where an entry is in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Where its frame begins.
    #[serde(rename = "o")]
    pub offset: u64,
    /// How long that is.
    #[serde(rename = "b")]
    pub bytes: u32,
    /// Its line in the frame, counted from 0.
    #[serde(rename = "l")]
    pub line: u32,
}

/// An entry that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// The digest of its line: what is read there must have it.
    pub digest: Digest,
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heading {
    pub(crate) v: u32,
    pub(crate) namespace: String,
    pub(crate) segment: SegmentId,
    pub(crate) made_at: Timestamp,
}

/// What is where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    /// The digest of the heading's frame.
    pub(crate) heading: Digest,
    /// Bytes of the heading's frame: there the first frame begins.
    pub(crate) heading_bytes: u32,
    pub(crate) frames: Vec<Frame>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    pub(crate) bytes: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) sha256: Digest,
    pub(crate) entries: Vec<Row>,
}

/// One entry: its id and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row(pub(crate) String, pub(crate) Timestamp);

impl Index {
    /// Each frame with the place where it begins.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (u64, &Frame)> {
        let mut at = u64::from(self.heading_bytes);
        self.frames.iter().map(move |frame| {
            let begins = at;
            at = at.saturating_add(u64::from(frame.bytes));
            (begins, frame)
        })
    }

    /// Where the last frame ends.
    pub(crate) fn ends_at(&self) -> u64 {
        self.placed().last().map_or(u64::from(self.heading_bytes), |(begins, frame)| {
            begins.saturating_add(u64::from(frame.bytes))
        })
    }

    /// The entries of the frame that begins at `offset`, and its number.
    pub(crate) fn frame_at(&self, offset: u64) -> Option<(u32, Vec<String>)> {
        let (number, (_, frame)) =
            self.placed().enumerate().find(|(_, (begins, _))| *begins == offset)?;
        Some((number as u32, frame.ids()))
    }
}

impl Frame {
    /// The ids of its entries.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.entries.iter().map(|row| row.0.clone()).collect()
    }
}
