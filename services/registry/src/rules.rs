//! The registry's rules, without I/O and without a clock: time is an argument.

pub mod declare;
pub mod detector;
pub mod directory;
pub mod discovery;
pub mod fleet;
pub mod notes;
