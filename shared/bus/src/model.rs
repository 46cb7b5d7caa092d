//! A seeded, in-memory model of JetStream behind the ports: what a network and a server may do to a
//! client, at the turn of a seed, in tokio's (paused) time.
//!
//! Invariants: compare-and-set is exactly JetStream's (the last sequence on that very subject decides,
//! at the moment the message reaches the server); what was acknowledged is never lost; everything that
//! happens follows from the seed and the order of the calls.

mod chance;
mod faults;
mod link;
mod store;
mod world;

pub use chance::Chance;
pub use faults::{Defect, Faults};
pub use link::{Link, ModelStream};
pub use store::{PublishedEvent, Stored};
pub use world::ModelWorld;
