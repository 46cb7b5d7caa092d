//! What came out of a run: as JSON for machines, as a table for people.

use serde::Serialize;

use super::index::Indexed;
use super::options::MemoryArgs;
use super::quality::Quality;
use super::service::Served;
use crate::machine::{Machine, Versions};

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `memory`.
    pub benchmark: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// As it was told.
    pub parameters: MemoryArgs,
    /// How well questions find their evidence.
    pub quality: Option<Quality>,
    /// The index in this process, by how many entries it has.
    pub index: Vec<Indexed>,
    /// The service on its stack.
    pub service: Option<Served>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// What must be known to read the numbers.
    pub notes: Vec<&'static str>,
}
