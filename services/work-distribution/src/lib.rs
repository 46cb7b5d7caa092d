//! Work distribution: hands out work so that exactly one agent holds a task.
//!
//! [`rules`] decide and are pure; [`shard`] makes what they decide durable, with one writer per shard
//! under a fence; [`replica`] spreads the shards over the living replicas; [`handlers`] answer.

pub mod config;
pub mod handlers;
pub mod replica;
pub mod rules;
mod service;
pub mod shard;

pub use config::Config;
pub use service::{Replica, run};

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-work-distribution";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
