//! A fleet at work on real files, with one agent lost on the way.
//!
//! Every number in the report is counted twice, by different agents in different ways, added up by a
//! third, and compared once more with what the demo itself found on disk.

pub(crate) mod figures;
pub(crate) mod files;
pub(crate) mod fleet;
pub(crate) mod graph;
pub(crate) mod measure;
pub(crate) mod recount;
pub(crate) mod report;
pub(crate) mod stage;
pub(crate) mod steps;
