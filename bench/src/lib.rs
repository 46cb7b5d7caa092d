//! What Troupe reaches, measured: beside a raw baseline, and on request beside its peers, on one
//! machine and in one run.
//!
//! Invariant: nothing here asserts a speed. A run prints what it saw, with the machine, the versions
//! and the durability mode without which a number means nothing.

pub mod memory;
pub mod plans;
pub mod progress;
pub mod routing;
pub mod work;

mod agents;
mod latency;
mod load;
mod machine;
mod peer;
mod processes;
mod stack;
