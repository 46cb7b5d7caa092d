//! State in shards: each has one writer at a time, a log in JetStream, and replicas that take over.
//!
//! A service brings a [`Machine`]: its rules, pure. What stands here makes what they decide durable
//! and finds it: [`owner`] carries out requests and groups what they write into batches; [`recovery`]
//! rebuilds the state from the log and fences the former owner; [`snapshot`] keeps the log short;
//! [`publisher`] derives the events; [`history`] finds what was written once; [`presence`], [`keeper`] and [`router`] spread the shards over
//! the living replicas and find them; [`letters`] go from shard to shard. [`Shards`] is all of it.

pub mod batch;
mod commit;
pub mod history;
pub mod keeper;
pub mod lease;
pub mod letters;
pub mod machine;
pub mod notice;
pub mod owner;
pub mod place;
pub mod presence;
pub mod publisher;
pub mod recovery;
pub mod router;
pub mod shards;
pub mod snapshot;

pub use batch::Batch;
pub use history::Kept;
pub use keeper::Ask;
pub use letters::Letter;
pub use machine::{Drafts, Machine};
pub use notice::Notice;
pub use owner::{OnReady, Shard, ShardPorts};
pub use presence::Presence;
pub use router::Router;
pub use shards::{Setup, Shards};
pub use snapshot::SnapshotPolicy;
