//! How one router did on one case: the same numbers for us and for a peer.

use serde::{Deserialize, Serialize};
use troupe_intent::evaluate::{auroc, calibration_error, calibration_error_of_chance};

/// How one router did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The share of texts whose best route is theirs, before any threshold.
    pub accuracy: f64,
    /// How well texts that want no route are told apart: the area under the ROC curve; none without
    /// such texts.
    pub out_of_scope_auroc: Option<f64>,
    /// How far stated probabilities are from the share that is right; none where nothing is stated
    /// that could be one.
    pub calibration_error: Option<f64>,
    /// How far they would be from it by chance alone, if each of them were true: with few texts, far.
    pub calibration_error_of_chance: Option<f64>,
    /// The share of texts that get an answer, with thresholds that follow from the examples alone.
    pub coverage: Option<f64>,
    /// The share of these answers that are right.
    pub precision: Option<f64>,
    /// The share of texts that want no route and get one.
    pub strangers_taken: Option<f64>,
    /// Seconds to take in the examples, or to fit.
    pub build_s: f64,
    /// Microseconds of a decision, without embedding.
    pub decide_p50_us: Option<f64>,
    /// The same, of the slowest in a hundred.
    pub decide_p99_us: Option<f64>,
}

/// What a router said of one text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// How probable it calls its best route.
    pub(super) probability: f32,
    /// How likely it calls the text meant for any route.
    pub(super) scope: f32,
    /// Whether its best route is the right one.
    pub(super) right: bool,
    /// Whether it answers.
    pub(super) answers: bool,
}

impl Scores {
    /// Of what was said of texts with a route and of texts without one.
    pub(super) fn of(inside: &[Said], outside: &[Said]) -> Self {
        let scopes = |said: &[Said]| said.iter().map(|said| said.scope).collect::<Vec<_>>();
        let stated: Vec<(f32, bool)> =
            inside.iter().map(|said| (said.probability, said.right)).collect();
        let said: Vec<f32> = stated.iter().map(|(probability, _)| *probability).collect();
        let count = |said: &[Said], of: fn(&Said) -> bool| said.iter().filter(|s| of(s)).count();
        let answered = count(inside, |said| said.answers);
        let right = count(inside, |said| said.answers && said.right);
        Self {
            accuracy: share(count(inside, |said| said.right), inside.len()).unwrap_or_default(),
            out_of_scope_auroc: (!outside.is_empty())
                .then(|| auroc(&scopes(inside), &scopes(outside)).into()),
            calibration_error: Some(calibration_error(&stated).into()),
            calibration_error_of_chance: Some(calibration_error_of_chance(&said).into()),
            coverage: share(answered, inside.len()),
            precision: share(right, answered),
            strangers_taken: share(count(outside, |said| said.answers), outside.len()),
            ..Self::default()
        }
    }

    /// The mean of several; what only some of them have is the mean of those.
    pub(super) fn mean(all: &[Self]) -> Self {
        let some = |of: fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(of).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Self {
            accuracy: some(|one| Some(one.accuracy)).unwrap_or_default(),
            out_of_scope_auroc: some(|one| one.out_of_scope_auroc),
            calibration_error: some(|one| one.calibration_error),
            calibration_error_of_chance: some(|one| one.calibration_error_of_chance),
            coverage: some(|one| one.coverage),
            precision: some(|one| one.precision),
            strangers_taken: some(|one| one.strangers_taken),
            build_s: some(|one| Some(one.build_s)).unwrap_or_default(),
            decide_p50_us: some(|one| one.decide_p50_us),
            decide_p99_us: some(|one| one.decide_p99_us),
        }
    }
}

/// A part of all; none of nothing.
pub(super) fn share(part: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(probability: f32, right: bool, answers: bool) -> Said {
        Said { probability, scope: probability, right, answers }
    }

    #[test]
    fn shares_are_of_what_they_are_said_to_be_of() {
        let inside = [
            said(0.9, true, true),
            said(0.8, true, true),
            said(0.7, false, true),
            said(0.6, true, false),
        ];
        let scores = Scores::of(&inside, &[said(0.5, false, false), said(0.95, false, true)]);
        assert!((scores.accuracy - 0.75).abs() < 1e-9);
        assert!((scores.coverage.unwrap() - 0.75).abs() < 1e-9);
        assert!((scores.precision.unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert!((scores.strangers_taken.unwrap() - 0.5).abs() < 1e-9);
        assert!((scores.out_of_scope_auroc.unwrap() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_mean_is_of_those_that_have_a_value() {
        let one = Scores { accuracy: 0.5, coverage: Some(0.2), ..Scores::default() };
        let other = Scores { accuracy: 1.0, ..Scores::default() };
        let mean = Scores::mean(&[one, other]);
        assert!((mean.accuracy - 0.75).abs() < 1e-9);
        assert_eq!((mean.coverage, mean.precision), (Some(0.2), None));
    }
}
