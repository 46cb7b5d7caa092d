//! Plan sync: merges the plans that many agents edit at once, online and offline.
//!
//! [`rules`] decide and are pure, in shards that `troupe-shard` makes durable: what merges is in
//! `troupe-crdt`. [`store`] is the archive; [`replica`] is what runs beside requests; [`handlers`]
//! answer.

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

/// The name in telemetry and discovery, and of the replica by which callers without one edit.
pub const NAME: &str = "troupe-plan-sync";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
