//! The rules of one shard: pure, synchronous, without I/O. Time and chance are arguments.

pub mod commands;
pub mod creation;
pub mod leaving;
pub mod memory;
pub mod notice;
pub mod queue;
pub mod reads;
pub mod recommend;
pub mod record;
pub mod state;
pub mod stats;
pub mod subgraph;
pub mod tasks;
pub mod timers;

#[cfg(test)]
mod tests;
