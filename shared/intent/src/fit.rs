//! The report of a fit: how good each route is on examples that were held out, and what it is
//! confused with.

use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::evaluate;
use crate::examples::{Dropped, Examples};
use crate::folds::HeldOut;
use crate::head::{Method, Plan};
use crate::scope::Cues;
use crate::settings::Settings;
use crate::threshold::{self, Verdict};

/// Confusions that are named a route.
pub const CONFUSIONS_MAX: usize = 20;

/// What a fit found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// How the weights were made.
    pub method: Method,
    /// Examples that count.
    pub examples: usize,
    /// What was given and does not count.
    pub dropped: Dropped,
    /// Examples that were held out and scored.
    pub held_out: usize,
    /// The share of those whose best route is their own, before any threshold.
    pub accuracy: f32,
    /// The share that a decision is given for.
    pub coverage: f32,
    /// The share of these decisions that are right.
    pub precision: f32,
    /// The share of held-out examples that some other route takes when their own is not there. True
    /// strangers are easier to tell.
    pub outsiders_taken: f32,
    /// The expected calibration error of the best probability.
    pub calibration_error: f32,
    /// What makes probabilities of scores.
    pub calibration: Calibration,
    /// One a route, in the order of their names.
    pub routes: Vec<RouteFit>,
}

/// What a fit found about one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteFit {
    /// The route.
    pub route: String,
    /// Its examples that count.
    pub examples: usize,
    /// Whether it has weights of its own, or only a centroid.
    pub trained: bool,
    /// The probability from which on it is chosen; above 1 if the wanted precision is out of reach.
    pub threshold: f32,
    /// The share of right decisions for this route, or none without decisions.
    pub precision: Option<f32>,
    /// The share of its examples that it is chosen for, or none if none was held out.
    pub recall: Option<f32>,
    /// Examples of this route that another route takes, the surest first.
    pub confusions: Vec<Confusion>,
}

/// An example that looks like it belongs elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Its place among the route's examples as they were given.
    pub example: usize,
    /// The route that takes it.
    pub taken_by: String,
    /// With this probability.
    pub probability: f32,
}

/// A held-out decision with what the margin needs.
#[derive(Debug, Clone, Copy)]
struct Judged {
    verdict: Verdict,
    margin: f32,
    scope: f32,
}

/// What a router would have said of held-out examples.
struct Hearing {
    /// With the example's route, one an example.
    inside: Vec<Judged>,
    /// As if its route were not there.
    outside: Vec<Judged>,
}

impl Hearing {
    fn of(held: &HeldOut, calibration: &Calibration, settings: &Settings) -> Self {
        let mut hearing = Self { inside: Vec::new(), outside: Vec::new() };
        let share = settings.out_of_scope_share;
        let weight = share / (1.0 - share);
        let routes = held.scores.ncols();
        for (at, label) in held.labels.iter().enumerate() {
            let scores: Vec<f32> =
                held.scores.row(at).iter().map(|score| score * calibration.sharpness).collect();
            let similarities = held.similarities.row(at);
            let judge = |without: Option<usize>| {
                let counts = |route: &usize| Some(*route) != without;
                let mut shares: Vec<f32> =
                    (0..routes).filter(counts).map(|route| scores[route]).collect();
                let similarities = (0..routes).filter(counts).map(|route| similarities[route]);
                let cues = Cues::of(&mut shares, similarities);
                let (best, margin) = best_and_margin(&shares);
                let route = best + usize::from(without.is_some_and(|gone| best >= gone));
                let right = route == *label;
                let weight = if without.is_some() { weight } else { 1.0 };
                let verdict = Verdict { route, probability: shares[best], right, weight };
                Judged { verdict, margin, scope: calibration.scope_of(cues) }
            };
            hearing.inside.push(judge(None));
            if routes > 1 {
                hearing.outside.push(judge(Some(*label)));
            }
        }
        hearing
    }
}

pub(crate) fn best_and_margin(shares: &[f32]) -> (usize, f32) {
    let mut best = (0, -1.0_f32);
    let mut second = 0.0_f32;
    for (route, share) in shares.iter().enumerate() {
        if *share > best.1 {
            second = best.1.max(0.0);
            best = (route, *share);
        } else {
            second = second.max(*share);
        }
    }
    (best.0, best.1 - second)
}

/// Puts the report together; thresholds are fitted on the way.
pub(crate) fn report(
    examples: &Examples,
    plan: &Plan,
    held: &HeldOut,
    calibration: &Calibration,
    settings: &Settings,
) -> Fit {
    let names = examples.names();
    let hearing = Hearing::of(held, calibration, settings);
    let passes = |judged: &&Judged| {
        judged.margin >= settings.margin && judged.scope >= calibration.scope_limit
    };
    let both = hearing.inside.iter().chain(&hearing.outside).filter(passes);
    let weighed: Vec<Verdict> = both.map(|judged| judged.verdict).collect();
    let thresholds = threshold::fit(&weighed, names.len(), settings.precision);
    let chosen = |judged: &Judged| {
        passes(&judged) && judged.verdict.probability >= thresholds[judged.verdict.route]
    };
    let mut tallies = vec![Counts::default(); names.len()];
    let mut confusions: Vec<Vec<Confusion>> = vec![Vec::new(); names.len()];
    for ((judged, label), row) in hearing.inside.iter().zip(&held.labels).zip(&held.rows) {
        let verdict = judged.verdict;
        tallies[*label].held_out += 1;
        if chosen(judged) {
            tallies[verdict.route].chosen += 1;
            tallies[*label].right += usize::from(verdict.right);
        }
        if !verdict.right {
            confusions[*label].push(Confusion {
                example: examples.origin(*row),
                taken_by: names[verdict.route].clone(),
                probability: verdict.probability,
            });
        }
    }
    let routes = names.iter().zip(confusions).enumerate().map(|(at, (name, mut confusions))| {
        confusions.sort_by(|a, b| {
            b.probability.total_cmp(&a.probability).then(a.example.cmp(&b.example))
        });
        confusions.truncate(CONFUSIONS_MAX);
        let counts = tallies[at];
        RouteFit {
            route: name.clone(),
            examples: examples.count(at),
            trained: plan.trained[at],
            threshold: thresholds[at],
            precision: share(counts.right, counts.chosen),
            recall: share(counts.right, counts.held_out),
            confusions,
        }
    });
    let total = |of: fn(&Counts) -> usize| tallies.iter().map(of).sum::<usize>();
    let (all, picked, right) = (held.len(), total(|c| c.chosen), total(|c| c.right));
    let sure: Vec<(f32, bool)> = hearing
        .inside
        .iter()
        .map(|judged| (judged.verdict.probability, judged.verdict.right))
        .collect();
    let taken = hearing.outside.iter().filter(|judged| chosen(judged)).count();
    Fit {
        method: plan.method,
        examples: examples.len(),
        dropped: examples.dropped(),
        held_out: all,
        accuracy: share(sure.iter().filter(|(_, right)| *right).count(), all).unwrap_or(0.0),
        coverage: share(picked, all).unwrap_or(0.0),
        precision: share(right, picked).unwrap_or(0.0),
        outsiders_taken: share(taken, hearing.outside.len()).unwrap_or(0.0),
        calibration_error: evaluate::calibration_error(&sure),
        calibration: calibration.clone(),
        routes: routes.collect(),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    held_out: usize,
    chosen: usize,
    right: usize,
}

fn share(part: usize, all: usize) -> Option<f32> {
    (all > 0).then(|| part as f32 / all as f32)
}
