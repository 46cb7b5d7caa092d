//! The router: a head, its calibration and thresholds, and how they decide.
//!
//! Invariant: a router does not change, so that any number of threads may ask it, and a new one takes
//! its place whole. A decision costs two products of the query with one row a route.

use std::sync::Arc;

use troupe_domain::Fault;

use crate::calibration::Calibration;
use crate::decision::{Decision, Outcome, RANKED_MAX, Ranked, Reason};
use crate::examples::Examples;
use crate::fit::{self, Fit};
use crate::folds::hold_out;
use crate::head::{Head, Plan, Scores};
use crate::scope::Cues;
use crate::settings::Settings;
use crate::vector::{is_zero, unit};

/// Decides.
#[derive(Debug, Clone)]
pub struct Router {
    names: Vec<Arc<str>>,
    head: Head,
    calibration: Calibration,
    thresholds: Vec<f32>,
    settings: Settings,
}

impl Router {
    /// Trains, calibrates by cross-validation, and tells what it found.
    pub fn fit(
        examples: &Examples,
        settings: &Settings,
        former: Option<&Self>,
    ) -> Result<(Self, Fit), Fault> {
        settings.check()?;
        let plan = Plan::of(examples);
        let mut held = hold_out(examples, &plan, settings);
        let calibration = Calibration::fit(&mut held, &plan.trained, settings.scope_recall);
        let report = fit::report(examples, &plan, &held, &calibration, settings);
        let thresholds = report.routes.iter().map(|route| route.threshold).collect();
        let start = former.map(|former| &former.head).or(held.head.as_ref());
        let head = Head::train_on(examples, &plan, settings, start, |_| true);
        Ok((Self::assemble(head, calibration, thresholds, *settings), report))
    }

    /// Trains only, and keeps what a former router knew about being sure: for the moment between a
    /// change of routes and the fit that follows it. A route that is new gets the strictest
    /// threshold of the others.
    pub fn retrained(&self, examples: &Examples) -> Self {
        let head = Head::train(examples, &self.settings, Some(&self.head));
        let strictest = self.thresholds.iter().copied().filter(|t| *t <= 1.0).fold(0.0, f32::max);
        let thresholds = head
            .names
            .iter()
            .map(|name| self.number(name).map_or(strictest, |at| self.thresholds[at]));
        let thresholds = thresholds.collect();
        Self::assemble(head, self.calibration.clone(), thresholds, self.settings)
    }

    fn assemble(
        head: Head,
        calibration: Calibration,
        thresholds: Vec<f32>,
        settings: Settings,
    ) -> Self {
        let names = head.names.iter().map(|name| Arc::from(name.as_str())).collect();
        Self { names, head, calibration, thresholds, settings }
    }

    /// Names of the routes, sorted.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The probability from which on a route is chosen.
    pub fn threshold(&self, route: &str) -> Option<f32> {
        self.number(route).map(|at| self.thresholds[at])
    }

    /// The same router with those thresholds that `wanted` names; the others stay as fitted.
    #[must_use]
    pub fn with_thresholds(mut self, wanted: impl Fn(&str) -> Option<f32>) -> Self {
        for (threshold, name) in self.thresholds.iter_mut().zip(&self.names) {
            *threshold = wanted(name).unwrap_or(*threshold);
        }
        self
    }

    /// How it was trained and decides.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn number(&self, route: &str) -> Option<usize> {
        self.names.binary_search_by(|known| known.as_ref().cmp(route)).ok()
    }

    /// Parts that a query must have.
    pub fn dims(&self) -> usize {
        self.head.centroids.ncols()
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What makes probabilities of scores.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// What speaks for each route, or why nothing can.
    pub(crate) fn weigh(&self, query: &[f32]) -> Result<Result<Weighed, Reason>, Fault> {
        if query.len() != self.dims() {
            let why = format!("{} parts, not {}", query.len(), self.dims());
            return Err(Fault::invalid("query", why));
        }
        if query.iter().any(|part| !part.is_finite()) {
            return Err(Fault::invalid("query", "not finite"));
        }
        let query = unit(query);
        if self.names.is_empty() {
            return Ok(Err(Reason::NoRoute));
        }
        if is_zero(&query) {
            return Ok(Err(Reason::Empty));
        }
        let Scores { scores: mut probabilities, similarities } =
            self.head.score(&query, &self.calibration);
        probabilities.iter_mut().for_each(|score| *score *= self.calibration.sharpness);
        let cues = Cues::of(&mut probabilities, similarities.iter().copied());
        let scope = self.calibration.scope_of(cues);
        Ok(Ok(Weighed { probabilities, similarities, scope }))
    }

    /// Decides among all routes.
    pub fn decide(&self, query: &[f32]) -> Result<Decision, Fault> {
        self.decide_among(query, |_| true)
    }

    /// Decides among those routes that `allowed` lets through, by their number.
    ///
    /// Probabilities are still those among all routes: a query that is meant for an excluded route
    /// is no better answered by the next one, and the decision says so.
    pub fn decide_among(
        &self,
        query: &[f32],
        allowed: impl Fn(usize) -> bool,
    ) -> Result<Decision, Fault> {
        let Weighed { probabilities, similarities, scope } = match self.weigh(query)? {
            Ok(weighed) => weighed,
            Err(reason) => return Ok(Decision::none(reason)),
        };
        let best = best(&probabilities);
        let ranked = ranked(&probabilities, &allowed);
        let Some(first) = ranked.first().copied() else {
            return Ok(Decision { scope, ..Decision::none(Reason::NoRoute) });
        };
        let second = ranked.get(1).map_or(0.0, |route| probabilities[*route]);
        let probability = probabilities[first];
        let margin = probability - second;
        let threshold = self.thresholds[first];
        let limit = self.calibration.scope_limit;
        let reason = if scope < limit {
            Some(Reason::OutOfScope { scope, limit })
        } else if probabilities[best] - probability > self.settings.margin {
            Some(Reason::Excluded { route: Arc::clone(&self.names[best]) })
        } else if probability < threshold {
            Some(Reason::Unsure { probability, threshold })
        } else if margin < self.settings.margin {
            Some(Reason::Close { margin, wanted: self.settings.margin })
        } else {
            None
        };
        let outcome = match reason {
            Some(reason) => Outcome::Abstain { reason },
            None => Outcome::Chosen { route: Arc::clone(&self.names[first]) },
        };
        let ranked = ranked.into_iter().map(|route| Ranked {
            route: Arc::clone(&self.names[route]),
            probability: probabilities[route],
            similarity: similarities[route],
        });
        Ok(Decision { ranked: ranked.collect(), scope, outcome })
    }
}

/// What speaks for each route.
pub(crate) struct Weighed {
    pub(crate) probabilities: Vec<f32>,
    pub(crate) similarities: Vec<f32>,
    /// How likely the query is meant for any route.
    pub(crate) scope: f32,
}

/// The first of the largest.
fn best(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (route, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = route;
        }
    }
    best
}

/// The best routes of those allowed, best first; among equals in the order of their names.
fn ranked(probabilities: &[f32], allowed: &impl Fn(usize) -> bool) -> Vec<usize> {
    let mut ranked: Vec<usize> = Vec::with_capacity(RANKED_MAX + 1);
    for (route, probability) in probabilities.iter().enumerate() {
        let last = ranked.last().map_or(-1.0, |last| probabilities[*last]);
        if (ranked.len() == RANKED_MAX && *probability <= last) || !allowed(route) {
            continue;
        }
        let at = ranked.partition_point(|other| probabilities[*other] >= *probability);
        ranked.insert(at, route);
        ranked.truncate(RANKED_MAX);
    }
    ranked
}
