//! Segments: JSON lines that are written once, compressed, into object storage, and the manifests
//! that list them.
//!
//! A segment is one object, `<namespace>/<yyyy>/<mm>/seg-<ulid>.jsonl.zst`. Its lines are in zstd
//! frames that can each be read alone, between a heading and an index in frames that a decompressor
//! skips: `zstd -dc` of a segment yields its lines and nothing else. One entry is one ranged read.
//!
//! Invariants:
//! - What is read is what was written, or an error that names the segment, the frame and the entries
//!   in it; every byte of a segment is covered by a digest or is compared with what it must be.
//! - A segment and a manifest are never changed: only made, where nothing is, and deleted.
//! - Who owns a namespace knows which segments it stands on (its log says so). Whatever crash comes
//!   between two steps here, none of those is ever deleted, and whatever is not one of those is
//!   deleted by [`Segments::sweep`] after a time of grace.
//! - Nothing waits for the storage longer than a named deadline, and nothing that is read is larger
//!   than a named limit.
//! - Time, ids and chance are arguments.

mod digest;
mod error;
mod format;
pub mod limits;
pub mod location;
mod manifest;
mod naming;
pub mod planning;
mod reading;
mod rewriting;
mod store;
mod sweeping;
mod writing;

pub use digest::Digest;
pub use error::{Damage, SegmentError};
pub use format::{Entry, Place, Placed};
pub use manifest::{Manifest, SegmentInfo};
pub use naming::SegmentId;
pub use reading::{Scan, Wanted};
pub use rewriting::{OnDamage, Rewritten};
pub use store::Segments;
pub use sweeping::Swept;
pub use troupe_domain::memory::Namespace;
pub use writing::Written;
