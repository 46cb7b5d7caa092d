//! Child processes: each leads a group of its own, and no group outlives this process.

pub(crate) mod group;
pub(crate) mod guard;
