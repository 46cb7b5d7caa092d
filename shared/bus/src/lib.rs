//! The bus: requests and replies, faults, trace context, logs and events over NATS.
//!
//! The only crate that knows NATS. Logic stands behind the ports in [`port`], so that the same state
//! machines run against a real server and against a seeded model of one.

pub mod call;
pub mod connect;
mod discovery;
pub mod events;
pub mod flock;
pub mod follow;
mod gather;
mod ingest;
mod lines;
pub mod log;
#[cfg(feature = "model")]
pub mod model;
pub mod peer;
pub mod port;
pub mod serve;
pub mod streams;
pub mod telling;
pub mod trace;
pub mod wire;

pub use call::CallOptions;
pub use connect::{Bus, Settings};
pub use serve::{Call, Server};
