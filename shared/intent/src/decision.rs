//! A decision: which route, how sure, and if none, why not.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many routes a decision names at most.
pub const RANKED_MAX: usize = 10;

/// A route with what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The route.
    pub route: Arc<str>,
    /// Calibrated: of decisions with 0.8, eight in ten are right, if the query is in scope at all.
    pub probability: f32,
    /// The cosine to the mean of the route's examples.
    pub similarity: f32,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The best routes among those that were allowed, best first.
    pub ranked: Vec<Ranked>,
    /// How likely the query is meant for any route.
    pub scope: f32,
    /// What follows.
    pub outcome: Outcome,
}

/// What follows from the scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// This route.
    Chosen {
        /// Its name: the first of the ranked.
        route: Arc<str>,
    },
    /// None, and the caller's fallback decides.
    Abstain {
        /// Why.
        reason: Reason,
    },
}

/// Why no route was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// There is no route that is allowed.
    NoRoute,
    /// The vector is zero: the text said nothing.
    Empty,
    /// Nothing that the routes know resembles the query enough.
    OutOfScope {
        /// How likely it is meant for any route.
        scope: f32,
        /// What was needed.
        limit: f32,
    },
    /// The query is meant for a route that was not allowed.
    Excluded {
        /// That route.
        route: Arc<str>,
    },
    /// The best route is not sure enough for the wanted precision.
    Unsure {
        /// Its probability.
        probability: f32,
        /// What was needed.
        threshold: f32,
    },
    /// The two best are too close to each other.
    Close {
        /// By how much the best is ahead.
        margin: f32,
        /// What was needed.
        wanted: f32,
    },
}

impl Decision {
    /// The route, if one was chosen.
    pub fn route(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Chosen { route } => Some(route),
            Outcome::Abstain { .. } => None,
        }
    }

    /// A decision without scores.
    pub(crate) fn none(reason: Reason) -> Self {
        Self { ranked: Vec::new(), scope: 0.0, outcome: Outcome::Abstain { reason } }
    }
}
