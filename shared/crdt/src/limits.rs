//! Every bound of a shared document, by name, with its unit in the name.
//!
//! What one batch may be is checked when it is decoded, and is the same everywhere. What a whole
//! document may grow to is checked before a batch is applied: a batch that would go beyond is refused
//! whole, and changes nothing.

/// Bytes of one encoded batch, signature included.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Operations in one batch.
pub const MAX_BATCH_OPERATIONS: usize = 1_024;
/// What all operations of one batch name together: items, keys, changes of fields.
pub const MAX_BATCH_EFFECTS: usize = 16_384;
/// The last moment that a batch may claim, in milliseconds: the end of what a clock can show.
pub const MAX_TIME_MS: i64 = 253_402_207_199_999;
/// Stamps in one snapshot: operations of which something is left.
pub const MAX_STAMPS: usize = 2_000_000;
/// Changes of fields in one operation.
pub const MAX_OPERATION_CHANGES: usize = 256;
/// Items, keys or elements that one operation may name.
pub const MAX_OPERATION_ITEMS: usize = 1_024;
/// Stamps that one read may name.
pub const MAX_READ_STAMPS: usize = 64;
/// Bytes of a description, a note, a reason or a register's value.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Characters of a title or a plan's name.
pub const MAX_TITLE_CHARS: usize = 256;
/// Bytes of a tag.
pub const MAX_TAG_BYTES: usize = 64;
/// Bytes of a key of a map or an element of a set.
pub const MAX_KEY_BYTES: usize = 256;
/// Bytes of an order key; longer ones are shortened by ordering the siblings anew.
pub const MAX_ORDER_KEY_BYTES: usize = 32;
/// Agents that ever wrote to one document with a chain of their own.
pub const MAX_ACTORS: usize = troupe_domain::limits::MAX_CLOCK_ENTRIES;
/// Items of a plan, keys of a map, elements of a set; deleted ones that are not purged count.
pub const MAX_ENTITIES: usize = 65_536;
/// Values of one cell: tags, dependencies, notes, concurrent values.
pub const MAX_CELL_VALUES: usize = 4_096;
/// Bytes of all that a document holds, as it is counted in memory.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of an encoded snapshot.
pub const MAX_SNAPSHOT_BYTES: usize = 64 * 1024 * 1024;
/// How far a batch's Lamport time may be ahead of all that the replica has seen. An honest agent is
/// ahead by one; a hostile one that wins every tie uses up its numbers slowly.
pub const MAX_LAMPORT_ADVANCE: u64 = 1_000_000;
/// The greatest Lamport time.
pub const MAX_LAMPORT: u64 = troupe_domain::limits::MAX_CLOCK_COUNT;
/// Batches that wait for what they rest on.
pub const MAX_PENDING_BATCHES: usize = 4_096;
/// Bytes of batches that wait for what they rest on.
pub const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;
/// Conflicts in one answer.
pub const MAX_CONFLICTS: usize = 1_024;
/// A minute count in one field.
pub const MAX_MINUTES: u64 = 100_000_000;
/// Largest count of one agent's share in a counter.
pub const MAX_COUNT: u64 = MAX_LAMPORT;
/// Phases of a plan.
pub const MAX_PHASES: u32 = 10_000;
