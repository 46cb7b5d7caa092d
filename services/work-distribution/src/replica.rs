//! One replica of the service, beside its shards: what it knows of agents, who waits, who is asked.

pub mod archive;
pub mod fleet;
pub mod leases;
pub mod waiters;
