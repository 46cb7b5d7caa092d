//! From embedding vectors to a calibrated routing decision.
//!
//! A [`Router`] is fitted to the [`Examples`] of routes: a linear head on frozen vectors, probabilities
//! that mean what they say, one threshold a route for a wanted precision, and a gate for what no route
//! is meant for. When it is not sure it abstains, and says why. [`cache`] holds the rules by which a
//! former answer may serve a new query.
//!
//! Nothing here performs I/O, reads a clock or draws a random number. The same examples, in any order,
//! give the same router on the same kind of processor.

pub mod assess;
pub mod cache;
pub mod calibration;
pub mod decision;
pub mod evaluate;
pub mod examples;
pub mod fit;
pub mod folds;
pub mod head;
pub mod router;
mod scope;
pub mod settings;
pub mod threshold;
pub mod vector;

mod discriminant;
mod lbfgs;
mod logistic;

pub use assess::{Assessment, Labelled, RouteAssessment};
pub use calibration::Calibration;
pub use decision::{Decision, Outcome, Ranked, Reason};
pub use examples::{Examples, Route};
pub use fit::{Confusion, Fit, RouteFit};
pub use head::{Head, Method};
pub use router::Router;
pub use settings::Settings;
