//! Semantic routing: carries messages, and finds the agent that can act on an intent.
//!
//! [`rules`] decide and are pure, in shards that `troupe-shard` makes durable; [`intents`] find who can
//! do what is wanted; [`replica`] is what runs beside requests; [`handlers`] answer.

pub mod config;
pub mod handlers;
pub mod intents;
pub mod replica;
pub mod rules;
mod run;
mod service;
pub mod store;

pub use config::Config;
pub use run::run;
pub use service::Replica;

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-semantic-routing";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
