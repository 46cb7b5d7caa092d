//! The rules of progress: pure, with time and chance as arguments.
//!
//! The state is a fold of [`record`]s. [`folding`] takes in what happened to tasks, [`reporting`] what
//! their holders say, [`goals`] what follows for milestones; [`shares`] and [`totals`] keep every sum
//! as things happen; [`network`], [`bottlenecks`] and [`estimate`] look ahead.

pub mod accounts;
pub mod apply;
pub mod bottlenecks;
pub mod durations;
pub mod estimate;
pub mod facts;
pub mod firing;
pub mod folding;
pub mod goals;
pub mod history;
pub mod machine;
pub mod memory;
pub mod milestone;
pub mod network;
pub mod notice;
pub mod reads;
pub mod record;
pub mod reporting;
pub mod request;
pub mod shares;
pub mod snapshot;
pub mod state;
pub mod task;
pub mod timers;
pub mod totals;

#[cfg(test)]
mod tests;
