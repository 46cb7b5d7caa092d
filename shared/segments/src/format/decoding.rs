//! The bytes of a segment become its entries, or damage.
//!
//! Invariant: nothing is believed before it was compared: no length that was read is used beyond a
//! limit, and no line is handed out whose frame, or which itself, has another digest than expected.

use bytes::Bytes;
use troupe_domain::Timestamp;

use super::{
    Entry, HEADING_MAGIC, Heading, INDEX_MAGIC, Index, Place, Placed, SKIPPED_BYTES, TRAILER_BYTES,
    TRAILER_MAGIC, VERSION,
};
use crate::digest::Digest;
use crate::error::Damage;
use crate::limits::{
    MAX_FRAME_RAW_BYTES, MAX_HEADING_BYTES, MAX_INDEX_BYTES, MAX_SEGMENT_ENTRIES,
    MAX_SEGMENT_STORED_BYTES,
};
use crate::naming::SegmentId;

/// What the segment should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) segment: SegmentId,
}

impl Name<'_> {
    /// Damage of all of it.
    pub(crate) fn damaged(self, why: &'static str) -> Damage {
        Damage {
            namespace: self.namespace.to_owned(),
            segment: Some(self.segment),
            frame: None,
            entries: Vec::new(),
            why,
        }
    }

    /// Damage of one frame.
    pub(crate) fn damaged_frame(
        self,
        number: u32,
        entries: Vec<String>,
        why: &'static str,
    ) -> Damage {
        Damage { frame: Some(number), entries, ..self.damaged(why) }
    }
}

/// What the trailer says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    /// Where the index's frame begins.
    pub(crate) begins: u64,
    stored: usize,
    raw: usize,
    sha256: Digest,
}

/// A segment that was read: what is whole, and what is not.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) made_at: Timestamp,
    pub(crate) entries: Vec<(Entry, Placed)>,
    pub(crate) damaged: Vec<Damage>,
}

/// Reads the trailer at the end of `end`, which are the last bytes of a segment of `total` bytes.
pub(crate) fn tail(name: Name<'_>, end: &[u8], total: u64) -> Result<Tail, Damage> {
    let trailer: &[u8; TRAILER_BYTES] =
        end.last_chunk().ok_or_else(|| name.damaged("it is too short"))?;
    if trailer[48..] != TRAILER_MAGIC {
        return Err(name.damaged("its end is not that of a segment"));
    }
    let number = |from: usize| {
        let bytes = [trailer[from], trailer[from + 1], trailer[from + 2], trailer[from + 3]];
        u32::from_le_bytes(bytes)
    };
    let begins = u64::from(number(0)) | u64::from(number(4)) << 32;
    let (stored, raw) = (number(8) as usize, number(12) as usize);
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&trailer[16..48]);
    let is_it = begins
        .checked_add((SKIPPED_BYTES + stored + TRAILER_BYTES) as u64)
        .is_some_and(|ends| ends == total);
    if !is_it || raw > MAX_INDEX_BYTES || total > MAX_SEGMENT_STORED_BYTES as u64 {
        return Err(name.damaged("its lengths do not fit"));
    }
    Ok(Tail { begins, stored, raw, sha256: Digest::from_bytes(sha256) })
}

/// Reads the index out of `end`, the bytes of a segment from where the index's frame begins.
pub(crate) fn open_index(name: Name<'_>, tail: Tail, end: &[u8]) -> Result<Index, Damage> {
    let content = skipped(end, INDEX_MAGIC)
        .filter(|content| content.len() == tail.stored + TRAILER_BYTES)
        .ok_or_else(|| name.damaged("its index has another length"))?;
    let stored = &content[..tail.stored];
    if Digest::of(stored) != tail.sha256 {
        return Err(name.damaged("its index has another digest"));
    }
    let text = zstd::bulk::decompress(stored, tail.raw)
        .ok()
        .filter(|text| text.len() == tail.raw)
        .ok_or_else(|| name.damaged("its index cannot be decompressed"))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|_| name.damaged("its index is not understood"))?;
    let entries: usize = index.frames.iter().map(|frame| frame.entries.len()).sum();
    if index.ends_at() != tail.begins || entries > MAX_SEGMENT_ENTRIES {
        return Err(name.damaged("its index lists something else"));
    }
    Ok(index)
}

/// Reads a whole segment. Damage of the heading or of the index is damage of all of it; damage of a
/// frame leaves the others.
pub(crate) fn open(name: Name<'_>, content: &Bytes) -> Result<Found, Damage> {
    let tail = tail(name, content, content.len() as u64)?;
    let begins = usize::try_from(tail.begins).map_err(|_| name.damaged("it is too large"))?;
    let index = open_index(name, tail, &content[begins..])?;
    let made_at = open_heading(name, &index, content)?;
    let mut found = Found { made_at, entries: Vec::new(), damaged: Vec::new() };
    for (number, (offset, frame)) in index.placed().enumerate() {
        let damaged = |why| name.damaged_frame(number as u32, frame.ids(), why);
        // The index was compared with where it begins: its frames are within.
        let stored = &content[offset as usize..offset as usize + frame.bytes as usize];
        if Digest::of(stored) != frame.sha256 {
            found.damaged.push(damaged("it has another digest"));
            continue;
        }
        let raw_bytes = frame.raw_bytes as usize;
        let Some(lines) = decompress(stored, raw_bytes).filter(|raw| raw.len() == raw_bytes) else {
            found.damaged.push(damaged("it cannot be decompressed"));
            continue;
        };
        let lines = lines_of(&lines);
        if lines.len() != frame.entries.len() {
            found.damaged.push(damaged("it has another number of lines"));
            continue;
        }
        for (line, (text, row)) in lines.into_iter().zip(&frame.entries).enumerate() {
            let place = Place { offset, bytes: frame.bytes, line: line as u32 };
            let placed = Placed { id: row.0.clone(), place, digest: Digest::of(&text) };
            found.entries.push((Entry { id: row.0.clone(), at: row.1, line: text }, placed));
        }
    }
    Ok(found)
}

fn open_heading(name: Name<'_>, index: &Index, content: &Bytes) -> Result<Timestamp, Damage> {
    let bytes = index.heading_bytes as usize;
    let stored = content
        .get(..bytes)
        .filter(|stored| stored.len() <= SKIPPED_BYTES + MAX_HEADING_BYTES)
        .filter(|stored| Digest::of(stored) == index.heading)
        .ok_or_else(|| name.damaged("its heading has another digest"))?;
    let heading: Heading = skipped(stored, HEADING_MAGIC)
        .and_then(|text| serde_json::from_slice(text).ok())
        .ok_or_else(|| name.damaged("its heading is not understood"))?;
    if heading.v != VERSION {
        return Err(name.damaged("it is of another version"));
    }
    if (heading.namespace.as_str(), heading.segment) != (name.namespace, name.segment) {
        return Err(name.damaged("it is another segment"));
    }
    Ok(heading.made_at)
}

/// The line at `place` out of the frame `stored`, if it is the one that was written.
pub(crate) fn read_line(
    stored: &[u8],
    place: Place,
    expected: &Digest,
) -> Result<Bytes, &'static str> {
    let raw = decompress(stored, MAX_FRAME_RAW_BYTES).ok_or("it cannot be decompressed")?;
    let line =
        lines_of(&raw).into_iter().nth(place.line as usize).ok_or("it has not that many lines")?;
    if Digest::of(&line) != *expected {
        return Err("a line has another digest");
    }
    // A copy, so that a line does not keep its frame in memory.
    Ok(Bytes::copy_from_slice(&line))
}

/// What is in a frame of at most `capacity_bytes`, never more than a frame may have.
fn decompress(stored: &[u8], capacity_bytes: usize) -> Option<Bytes> {
    zstd::bulk::decompress(stored, capacity_bytes.min(MAX_FRAME_RAW_BYTES)).ok().map(Bytes::from)
}

/// Lines, each of which was ended by `\n`.
fn lines_of(raw: &Bytes) -> Vec<Bytes> {
    let mut from = 0;
    let ends = raw.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let lines = ends.map(|(at, _)| {
        let line = raw.slice(from..at);
        from = at + 1;
        line
    });
    lines.collect()
}

/// What is in a frame that is skipped, if it is one, whole and alone.
fn skipped(frame: &[u8], magic: [u8; 4]) -> Option<&[u8]> {
    let (head, content) = frame.split_at_checked(SKIPPED_BYTES)?;
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    (head[..4] == magic && content.len() == length).then_some(content)
}
