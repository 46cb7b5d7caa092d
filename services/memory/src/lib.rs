//! Memory: what a fleet remembers, found by words and by meaning, in three tiers.
//!
//! [`rules`] decide and are pure: each namespace has one writer, which `troupe-shard` makes durable;
//! [`store`] knows Redis and the cold tier; [`replica`] makes vectors, moves contents, learns from
//! events and tells readers of what was taken back; [`handlers`] answer.

pub mod config;
pub mod handlers;
pub mod replica;
pub mod rules;
mod run;
mod service;
pub mod store;

pub use config::Config;
pub use run::run;
pub use service::Replica;

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-memory";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
