//! Progress: how far tasks are, what holds them up, and when they will be done.
//!
//! [`rules`] decide and are pure: one account of the whole fleet, which `troupe-shard` makes durable;
//! [`replica`] follows what happens to tasks; [`handlers`] answer.

pub mod config;
pub mod handlers;
pub mod replica;
pub mod rules;
mod run;
mod service;

pub use config::Config;
pub use run::run;
pub use service::Replica;

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-progress";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
