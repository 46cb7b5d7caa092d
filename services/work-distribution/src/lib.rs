//! Work distribution: hands out work so that exactly one agent holds a task.

pub mod rules;
pub mod shard;
