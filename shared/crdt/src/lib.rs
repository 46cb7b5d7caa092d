//! Plans and shared objects that many agents edit at once, online and offline, and that merge.
//!
//! The unit of change is a [`SignedBatch`]: operations of one agent, chained by hash to its last batch,
//! with what it had seen, signed by its key. A [`Document`] is what a set of batches amounts to; a
//! [`Replica`] is a document with its history and with the batches that wait for what they rest on.
//!
//! Invariants:
//! - Two documents that have applied the same batches, in any order that causality allows, are the
//!   same byte for byte and have the same hash. Applying a batch again changes nothing.
//! - A batch that is refused changes nothing, and no bytes make anything here panic.
//! - Nothing here performs I/O, reads a clock or draws a random number.
//!
//! # One outcome for an edit beside a deletion
//! A deletion removes what its author had seen, and nothing else. An edit of an item that is concurrent
//! with its deletion keeps the item, with all its fields, on every replica; it is told as a conflict, and
//! whoever sees both deletes again or lets it be. The other choice, that deletions win, would hide work
//! that somebody did without knowing: a second deletion costs one operation, hidden work costs the work.

pub mod account;
pub mod batch;
pub mod conflict;
pub mod digest;
pub mod document;
pub mod edit;
pub mod field;
pub mod fork;
pub mod history;
pub mod key;
pub mod limits;
pub mod operation;
pub mod order;
pub mod plan;
pub mod replica;
pub mod shared;
pub mod stamp;

mod cells;
mod codec;
mod effects;
mod pending;
mod snapshot;
mod value;

pub use batch::{Batch, BatchHash, KEEPER, SignedBatch};
pub use codec::Malformed;
pub use conflict::Applied;
pub use digest::StateHash;
pub use document::{Document, Head, Standing};
pub use edit::{Edit, ItemChange, NewItem, PlanChange, Position};
pub use field::Field;
pub use fork::ForkProof;
pub use history::History;
pub use key::{AgentKey, PublicKey};
pub use operation::{Change, ItemId, Kind, Operation};
pub use order::OrderKey;
pub use replica::{Delta, Receipt, Refusal, Replica};
pub use shared::SharedObject;
pub use stamp::{OperationId, Stamp};
