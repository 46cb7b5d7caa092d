//! What came out of a run: as JSON for machines, as a table for people.

use serde::Serialize;

pub use super::convergence::Convergence;
use super::options::PlansArgs;
pub use super::scale::Scale;
pub use super::throughput::{Series, Throughput};
pub use super::visibility::Visibility;
use crate::machine::{Machine, Versions};

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `plans`.
    pub benchmark: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// As it was told.
    pub parameters: PlansArgs,
    /// Many replicas edit one plan at once, by repetition.
    pub convergence: Vec<Convergence>,
    /// How long an edit takes to be seen.
    pub visibility: Option<Visibility>,
    /// Edits per second through the service.
    pub throughput: Option<Throughput>,
    /// A large plan with a long history.
    pub scale: Option<Scale>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// What must be known to read the numbers.
    pub notes: Vec<&'static str>,
}
