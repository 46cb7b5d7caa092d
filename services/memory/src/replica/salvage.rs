//! What a segment should hold, read entry by entry: where its heading or index is damaged, or one of its
//! frames, the others can be read all the same.
//!
//! Invariant: what can be read is never said to be lost.

use std::sync::Arc;

use troupe_domain::Fault;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_segments::{SegmentError, SegmentId, Segments, Wanted};

use crate::handlers::Shard;
use crate::handlers::contents::{Line, MAX_REASON_BYTES, is_lost};
use crate::rules::entry::sha256_of;
use crate::rules::recovering::Standing;
use crate::rules::request::MemoryRequest;
use crate::rules::text::cut;

/// Entries that are read at once.
pub(super) const MAX_READ_AT_ONCE: usize = 256;

/// Why it is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error(transparent)]
    Log(#[from] troupe_bus::port::ReadError),
}

/// What was read of a segment, each with the digest of its content, and what is lost.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) read: Vec<(MemoryId, String, String)>,
    lost: Vec<(MemoryId, SegmentId)>,
    why: String,
}

/// Reads entries, at most [`MAX_READ_AT_ONCE`] of them, and reports those that are lost.
pub(super) async fn salvage(
    shard: &Arc<Shard>,
    segments: &Segments,
    namespace: &Namespace,
    entries: &[Standing],
) -> Result<Salvaged, NotDone> {
    let wanted: Vec<Wanted> = entries.iter().map(|entry| entry.place.wanted()).collect();
    let lines = segments.read_many(namespace, &wanted).await?;
    let mut salvaged = Salvaged::default();
    for (entry, line) in entries.iter().zip(lines) {
        let line = match line {
            Ok(line) => serde_json::from_slice(&line).ok(),
            Err(why) if is_lost(&why) => {
                salvaged.why = why.to_string();
                None
            }
            Err(why) => return Err(why.into()),
        };
        match line.map(|Line { content }| (sha256_of(&content), content)) {
            Some((sha256, content)) if sha256 == entry.sha256 => {
                salvaged.read.push((entry.id.clone(), sha256, content));
            }
            _ => salvaged.lost.push((entry.id.clone(), entry.place.segment)),
        }
    }
    if salvaged.lost.is_empty() {
        return Ok(salvaged);
    }
    let reason = match salvaged.why.as_str() {
        "" => "its copy holds something else",
        why => cut(why, MAX_REASON_BYTES),
    };
    let damaged = MemoryRequest::Damaged {
        namespace: namespace.clone(),
        entries: salvaged.lost.clone(),
        reason: reason.to_owned(),
    };
    shard.call(damaged).await?;
    Ok(salvaged)
}
