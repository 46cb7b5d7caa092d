//! Entries become the bytes of a segment.
//!
//! Invariant: the same entries, name and time become the same bytes, so that making a segment again
//! after a failure finds what it would have made.

use std::collections::BTreeSet;

use bytes::Bytes;
use troupe_domain::Timestamp;

use super::{
    Entry, Frame, HEADING_MAGIC, Heading, INDEX_MAGIC, Index, Place, Placed, Row, SKIPPED_BYTES,
    TRAILER_BYTES, TRAILER_MAGIC, VERSION,
};
use crate::digest::Digest;
use crate::error::SegmentError;
use crate::limits::{
    COMPRESSION_LEVEL, FRAME_CLOSED_AT_BYTES, MAX_FRAME_RAW_BYTES, MAX_FRAME_STORED_BYTES,
    MAX_HEADING_BYTES, MAX_ID_BYTES, MAX_INDEX_BYTES, MAX_LINE_BYTES, MAX_SEGMENT_ENTRIES,
    MAX_SEGMENT_RAW_BYTES, MAX_SEGMENT_STORED_BYTES,
};
use crate::manifest::SegmentInfo;
use crate::naming::SegmentId;

/// A segment that was made.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) content: Bytes,
    pub(crate) info: SegmentInfo,
    pub(crate) places: Vec<Placed>,
}

/// A segment in the making.
struct Making {
    content: Vec<u8>,
    index: Index,
    places: Vec<Placed>,
    zstd: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    rows: Vec<Row>,
    digests: Vec<Digest>,
    raw_bytes: u64,
}

/// Makes the segment `id` of `entries`.
pub(crate) fn encode(
    namespace: &str,
    id: SegmentId,
    entries: &[Entry],
    made_at: Timestamp,
) -> Result<Encoded, SegmentError> {
    check(entries)?;
    let heading = Heading { v: VERSION, namespace: namespace.to_owned(), segment: id, made_at };
    let mut making = Making::begin(&heading)?;
    for entry in entries {
        making.add(entry)?;
    }
    making.close_frame()?;
    let times = || entries.iter().map(|entry| entry.at);
    let (first_at, last_at) = (times().min().unwrap_or(made_at), times().max().unwrap_or(made_at));
    let raw_bytes = making.raw_bytes;
    let (content, places) = making.end()?;
    let info = SegmentInfo {
        id,
        entries: places.len() as u32,
        bytes: content.len() as u64,
        raw_bytes,
        sha256: Digest::of(&content),
        first_at,
        last_at,
    };
    Ok(Encoded { content: content.into(), info, places })
}

fn check(entries: &[Entry]) -> Result<(), SegmentError> {
    let refused = |why: String| Err(SegmentError::Refused(why));
    if entries.is_empty() {
        return refused("a segment has at least one entry".to_owned());
    }
    too_large("a segment", entries.len(), MAX_SEGMENT_ENTRIES, "entries")?;
    let total = entries.iter().map(|entry| entry.line.len() + 1).sum();
    too_large("a segment", total, MAX_SEGMENT_RAW_BYTES, "bytes")?;
    let mut seen = BTreeSet::new();
    for Entry { id, line, .. } in entries {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return refused(format!("an id has 1 to {MAX_ID_BYTES} bytes (got {})", id.len()));
        }
        if !seen.insert(id.as_str()) {
            return refused(format!("entry {id} is there twice"));
        }
        too_large(&format!("the line of {id}"), line.len(), MAX_LINE_BYTES, "bytes")?;
        if line.is_empty() || line.contains(&b'\n') {
            return refused(format!("entry {id} is not one line"));
        }
    }
    Ok(())
}

fn too_large(what: &str, got: usize, limit: usize, unit: &'static str) -> Result<(), SegmentError> {
    if got > limit {
        return Err(SegmentError::TooLarge { what: what.to_owned(), limit, unit });
    }
    Ok(())
}

/// Compression in memory does not fail but for want of memory.
fn uncompressed(why: std::io::Error) -> SegmentError {
    SegmentError::Refused(format!("cannot be compressed: {why}"))
}

impl Making {
    fn begin(heading: &Heading) -> Result<Self, SegmentError> {
        // Plain fields always serialise.
        let text = serde_json::to_vec(heading).unwrap_or_default();
        too_large("the heading of a segment", text.len(), MAX_HEADING_BYTES, "bytes")?;
        let mut content = Vec::new();
        skipped(&mut content, HEADING_MAGIC, text.len());
        content.extend(text);
        let index = Index {
            heading: Digest::of(&content),
            heading_bytes: content.len() as u32,
            frames: Vec::new(),
        };
        let mut zstd = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map_err(uncompressed)?;
        zstd.include_checksum(true).map_err(uncompressed)?;
        Ok(Self {
            content,
            index,
            places: Vec::new(),
            zstd,
            raw: Vec::new(),
            rows: Vec::new(),
            digests: Vec::new(),
            raw_bytes: 0,
        })
    }

    fn add(&mut self, entry: &Entry) -> Result<(), SegmentError> {
        if !self.raw.is_empty() && self.raw.len() + entry.line.len() >= FRAME_CLOSED_AT_BYTES {
            self.close_frame()?;
        }
        self.raw.extend_from_slice(&entry.line);
        self.raw.push(b'\n');
        self.rows.push(Row(entry.id.clone(), entry.at));
        self.digests.push(Digest::of(&entry.line));
        Ok(())
    }

    fn close_frame(&mut self) -> Result<(), SegmentError> {
        if self.raw.is_empty() {
            return Ok(());
        }
        debug_assert!(self.raw.len() <= MAX_FRAME_RAW_BYTES, "a frame is bounded by its lines");
        let stored = self.zstd.compress(&self.raw).map_err(uncompressed)?;
        too_large("a frame", stored.len(), MAX_FRAME_STORED_BYTES, "bytes")?;
        let (offset, bytes) = (self.content.len() as u64, stored.len() as u32);
        for (line, (row, digest)) in self.rows.iter().zip(self.digests.drain(..)).enumerate() {
            let place = Place { offset, bytes, line: line as u32 };
            self.places.push(Placed { id: row.0.clone(), place, digest });
        }
        self.index.frames.push(Frame {
            bytes,
            raw_bytes: self.raw.len() as u32,
            sha256: Digest::of(&stored),
            entries: std::mem::take(&mut self.rows),
        });
        self.raw_bytes += self.raw.len() as u64;
        self.content.extend(stored);
        self.raw.clear();
        Ok(())
    }

    fn end(mut self) -> Result<(Vec<u8>, Vec<Placed>), SegmentError> {
        let text = serde_json::to_vec(&self.index).unwrap_or_default();
        too_large("the index of a segment", text.len(), MAX_INDEX_BYTES, "bytes")?;
        let stored = self.zstd.compress(&text).map_err(uncompressed)?;
        let begins = self.content.len() as u64;
        skipped(&mut self.content, INDEX_MAGIC, stored.len() + TRAILER_BYTES);
        self.content.extend_from_slice(&stored);
        self.content.extend_from_slice(&begins.to_le_bytes());
        self.content.extend_from_slice(&(stored.len() as u32).to_le_bytes());
        self.content.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.content.extend_from_slice(Digest::of(&stored).as_bytes());
        self.content.extend_from_slice(&TRAILER_MAGIC);
        too_large("a segment", self.content.len(), MAX_SEGMENT_STORED_BYTES, "bytes")?;
        Ok((self.content, self.places))
    }
}

/// The beginning of a frame that a decompressor skips.
fn skipped(content: &mut Vec<u8>, magic: [u8; 4], bytes: usize) {
    content.extend_from_slice(&magic);
    content.extend_from_slice(&(bytes as u32).to_le_bytes());
    debug_assert!(content.len() >= SKIPPED_BYTES, "magic and length");
}
