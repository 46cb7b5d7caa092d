//! The registry: who is in the fleet, what they can do, and whether they are there.
//!
//! Agents are stored in a stream, one subject each, by compare-and-set; signs of life are memory.
//! Every replica reads all of the stream and hears all heartbeats, so any of them answers anything,
//! and any of them may find that an agent is silent. [`rules`] decide and are pure; [`store`] makes
//! what they decide durable; [`loops`] hear, judge and tell; [`handlers`] answer.

pub mod config;
pub mod handlers;
pub mod loops;
pub mod rules;
mod run;
pub mod service;
pub mod store;

pub use config::Config;
pub use run::run;
pub use service::{Failed, Registry, Replica, Settings};

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-registry";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
