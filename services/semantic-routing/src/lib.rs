//! Semantic routing: carries messages, and finds the agent that can act on an intent.
//!
//! [`rules`] decide and are pure.

pub mod rules;

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-semantic-routing";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
