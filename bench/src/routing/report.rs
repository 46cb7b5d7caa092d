//! What came out of a run: as JSON for machines, as a table for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::accuracy::Accuracy;
use super::options::RoutingArgs;
use crate::machine::{Machine, Versions};

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `routing`.
    pub benchmark: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// As it was told.
    pub parameters: RoutingArgs,
    /// Sizes that follow from the parameters.
    pub sizes: BTreeMap<&'static str, u64>,
    /// Accuracy and calibration.
    pub accuracy: Option<Accuracy>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// What must be known to read the numbers.
    pub notes: Vec<&'static str>,
}
