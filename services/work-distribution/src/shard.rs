//! The shards of this service: [`ShardState`] as the machine of `troupe-shard`, with what it is asked.

pub mod execute;
pub mod machine;
pub mod request;

pub use request::{ShardReply, ShardRequest};

use crate::rules::state::ShardState;

/// A shard that this process owns.
pub type Shard = troupe_shard::Shard<ShardState>;
/// Where the shards are.
pub type Router = troupe_shard::Router<ShardState>;
