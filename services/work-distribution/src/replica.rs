//! One replica of the service: which shards it owns, how requests find their shard, who waits.

pub mod archive;
pub mod fleet;
pub mod keeper;
pub mod leases;
pub mod letters;
pub mod presence;
pub mod router;
pub mod waiters;
