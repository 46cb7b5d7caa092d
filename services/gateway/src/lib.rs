//! The gateway: agents that speak the Model Context Protocol are members of the fleet.
//!
//! [`http`] lets clients in and names them, [`mcp`] answers, [`tools`] and [`resources`] are what they
//! see, [`fleet`] has a connection for each of them. Invariant: the gateway decides nothing. What a
//! client asks is one call over the bus, with the credentials of the agent that its token stands for.

mod completion;
pub mod config;
mod fleet;
mod http;
mod identity;
mod mcp;
mod prompts;
mod resources;
mod run;
mod service;
pub mod stdio;
mod tools;

pub use config::Config;
pub use identity::{BadTokens, TokenEntry, TokenList, sha256_of};
pub use mcp::Mcp;
pub use run::run;
pub use service::Gateway;

/// The name in telemetry and discovery.
pub const NAME: &str = "troupe-gateway";
/// The version that is announced.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
