//! Every bound of segments, by name, with its unit in the name.

use std::time::Duration;

/// A frame is closed when its lines have so many bytes. Smaller ones make the read of one entry
/// cheaper, larger ones compress better.
pub const FRAME_CLOSED_AT_BYTES: usize = 128 * 1024;
/// Bytes of one line. An entry of 64 KiB that is nothing but control characters has six times that as
/// JSON.
pub const MAX_LINE_BYTES: usize = 512 * 1024;
/// Bytes of the lines of one frame: those before it was closed, or one line alone.
pub const MAX_FRAME_RAW_BYTES: usize = MAX_LINE_BYTES + 1;
/// Bytes of one frame as it is stored: what cannot be compressed grows a little.
pub const MAX_FRAME_STORED_BYTES: usize = MAX_FRAME_RAW_BYTES + 8 * 1024;
/// Bytes of an entry's id.
pub const MAX_ID_BYTES: usize = 128;
/// Entries of one segment.
pub const MAX_SEGMENT_ENTRIES: usize = 100_000;
/// Bytes of the lines of one segment.
pub const MAX_SEGMENT_RAW_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of one segment as it is stored: its lines, its index, and what does not compress.
pub const MAX_SEGMENT_STORED_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a segment's heading.
pub const MAX_HEADING_BYTES: usize = 4 * 1024;
/// Bytes of a segment's index, decompressed.
pub const MAX_INDEX_BYTES: usize = 24 * 1024 * 1024;
/// Bytes at the end of a segment that are read to find its index; nearly always they hold all of it.
pub const TAIL_BYTES: u64 = 64 * 1024;
/// Segments of one namespace.
pub const MAX_SEGMENTS: usize = 10_000;
/// Bytes of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 8 * 1024 * 1024;
/// Objects of one namespace that are listed.
pub const MAX_LISTED_OBJECTS: usize = 100_000;
/// Manifests that are kept: the current one and those before it.
pub const KEPT_MANIFESTS: usize = 2;
/// Times that a manifest is tried whose number somebody else took.
pub const MAX_PUBLISH_TRIES: usize = 16;
/// Segments that are made one in one step.
pub const MAX_REWRITE_SOURCES: usize = 16;
/// Entries that one call reads.
pub const MAX_READ_ENTRIES: usize = 1_000;
/// Reads that are under way at once, over all callers of one process.
pub const MAX_PARALLEL_READS: usize = 16;
/// How long a read of a part, a listing, a manifest or a deletion may take.
pub const SMALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long the transfer of a whole segment may take.
pub const LARGE_DEADLINE: Duration = Duration::from_secs(60);
/// Level of compression: higher ones take many times as long for a few per cent.
pub const COMPRESSION_LEVEL: i32 = 3;
