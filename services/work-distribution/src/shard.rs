//! One shard at work: its state in memory, its log in JetStream, one writer.
//!
//! [`owner`] carries out requests and groups what they write into batches; [`recovery`] rebuilds the
//! state from the log and fences the former owner; [`snapshot`] keeps the log short; [`publisher`]
//! derives the events.

pub mod batch;
pub mod execute;
pub mod owner;
pub mod publisher;
pub mod read_lease;
pub mod recovery;
pub mod request;
pub mod snapshot;

pub use owner::{OnReady, Shard, ShardPorts};
pub use read_lease::ReadLease;
pub use request::{ShardReply, ShardRequest};
