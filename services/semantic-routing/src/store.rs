//! What outlives a process: routes in their stream, and what replicas share in Redis.

pub mod routes;
pub mod shared_cache;
