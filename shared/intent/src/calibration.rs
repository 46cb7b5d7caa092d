//! Calibration: from scores to probabilities, and to whether a query is meant for any route at all.
//!
//! All numbers are fitted on held-out examples, each with a prior that decides while there are few of
//! them. What is out of scope is learned without a single such example: a held-out example is out of
//! scope for a router that lacks its route.

use ndarray::Axis;

use crate::folds::HeldOut;
use crate::logistic::softmax;
use crate::scope::{Cues, Evidence, UNTAUGHT, logistic};

/// Scores a unit of similarity when there is nothing to compare with trained weights.
const CENTROID_SCALE: f32 = 20.0;
/// Similarities closer to each other than this do not give a scale.
const SPREAD_MIN: f32 = 0.02;
/// Bounds of the factor that scores are multiplied with.
const SHARPNESS: (f64, f64) = (0.05, 50.0);
/// How many examples the prior "scores are right as they are" counts for.
const SHARPNESS_PRIOR: f64 = 2.0;
/// How many examples the prior of the scope gate's limit counts for, and that limit.
const GATE_PRIOR: (f32, f32) = (10.0, 0.5);
const NEWTON_STEPS: usize = 30;

/// Everything between a head and a decision that is not a threshold of one route.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Calibration {
    /// Score of a route without weights: this times its similarity …
    pub slope: f32,
    /// … plus this.
    pub offset: f32,
    /// What scores are multiplied with before they become probabilities: 1 / temperature.
    pub sharpness: f32,
    /// Offset, weight of the best route's lead, weight of the expected similarity.
    pub scope: [f32; 3],
    /// The scope from which on a query counts as meant for some route.
    pub scope_limit: f32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            slope: CENTROID_SCALE,
            offset: 0.0,
            sharpness: 1.0,
            scope: UNTAUGHT.map(|part| part as f32),
            scope_limit: GATE_PRIOR.1,
        }
    }
}

impl Calibration {
    /// Fits everything; fills in the scores of routes without weights.
    pub(crate) fn fit(held: &mut HeldOut, trained: &[bool], scope_recall: f32) -> Self {
        let mut fitted = Self::default();
        fitted.align(held, trained);
        fitted.sharpen(held);
        let evidence = fitted.evidence(held);
        fitted.scope = evidence.weights(trained.len()).map(|part| part as f32);
        fitted.limit_scope(&evidence, scope_recall);
        fitted
    }

    /// The line through two points: the mean similarity and score of examples with their own route,
    /// and those with the best of the others.
    fn align(&mut self, held: &mut HeldOut, trained: &[bool]) {
        let mut own = (0.0_f64, 0.0_f64);
        let mut other = (0.0_f64, 0.0_f64);
        let mut count = 0.0_f64;
        for (at, label) in held.labels.iter().enumerate().filter(|(_, label)| trained[**label]) {
            let scores = held.scores.row(at);
            let best = (0..trained.len())
                .filter(|route| route != label && trained[*route])
                .max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            let Some(best) = best else { continue };
            own.0 += f64::from(held.similarities[[at, *label]]);
            own.1 += f64::from(scores[*label]);
            other.0 += f64::from(held.similarities[[at, best]]);
            other.1 += f64::from(scores[best]);
            count += 1.0;
        }
        if count > 0.0 {
            let spread = (own.0 - other.0) / count;
            let rise = (own.1 - other.1) / count;
            if spread > f64::from(SPREAD_MIN) && rise > 0.0 {
                self.slope = (rise / spread) as f32;
            }
            self.offset = (own.1 / count - f64::from(self.slope) * own.0 / count) as f32;
        }
        for route in (0..trained.len()).filter(|route| !trained[*route]) {
            for at in 0..held.labels.len() {
                held.scores[[at, route]] = self.of_similarity(held.similarities[[at, route]]);
            }
        }
    }

    /// The score of a route without weights.
    pub(crate) fn of_similarity(&self, similarity: f32) -> f32 {
        self.slope * similarity + self.offset
    }

    /// Newton's method on the one number that makes the held-out examples likeliest.
    fn sharpen(&mut self, held: &HeldOut) {
        if held.labels.is_empty() {
            return;
        }
        let mut sharpness = 1.0_f64;
        let mut shares = vec![0.0_f32; held.scores.ncols()];
        for _ in 0..NEWTON_STEPS {
            // The prior is a quadratic around 1 on the scale of the factor's logarithm.
            let mut slope = 0.0_f64;
            let mut bend = 0.0_f64;
            for (row, label) in held.scores.axis_iter(Axis(0)).zip(&held.labels) {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                shares.iter_mut().zip(row).for_each(|(to, from)| {
                    *to = (from - most) * sharpness as f32;
                });
                softmax(&mut shares);
                let (mut mean, mut square) = (0.0_f64, 0.0_f64);
                for (share, score) in shares.iter().zip(row) {
                    let score = f64::from(score - most);
                    mean += f64::from(*share) * score;
                    square += f64::from(*share) * score * score;
                }
                slope += mean - f64::from(row[*label] - most);
                bend += square - mean * mean;
            }
            // In the logarithm of the factor: always positive, and steps of a sensible size.
            let log_slope = slope * sharpness + SHARPNESS_PRIOR * sharpness.ln();
            let log_bend = bend * sharpness * sharpness + SHARPNESS_PRIOR;
            let step = (log_slope / log_bend).clamp(-1.0, 1.0);
            sharpness = (sharpness * (-step).exp()).clamp(SHARPNESS.0, SHARPNESS.1);
            if step.abs() < 1e-5 {
                break;
            }
        }
        self.sharpness = sharpness as f32;
    }

    /// What the scope gate sees of held-out examples: with their route, and as if it were not there.
    fn evidence(&self, held: &HeldOut) -> Evidence {
        let mut evidence = Evidence::default();
        let mut shares = vec![0.0_f32; held.scores.ncols()];
        for (at, label) in held.labels.iter().enumerate() {
            let similarities = held.similarities.row(at);
            let scores = held.scores.row(at);
            shares.iter_mut().zip(scores).for_each(|(to, from)| *to = from * self.sharpness);
            evidence.inside.push(Cues::of(&mut shares.clone(), similarities.iter().copied()));
            shares.remove(*label);
            if shares.is_empty() {
                shares.push(0.0);
                continue;
            }
            let others = similarities.iter().enumerate().filter(|(route, _)| route != label);
            let others = others.map(|(_, similarity)| *similarity);
            evidence.outside.push(Cues::of(&mut shares, others));
            shares.push(0.0);
        }
        evidence
    }

    /// The limit that lets the wanted share of held-out examples pass.
    fn limit_scope(&mut self, evidence: &Evidence, recall: f32) {
        let mut scopes: Vec<f32> =
            evidence.inside.iter().map(|cues| self.scope_of(*cues)).collect();
        if scopes.is_empty() {
            return;
        }
        scopes.sort_by(f32::total_cmp);
        let at = ((1.0 - recall) * scopes.len() as f32) as usize;
        let quantile = scopes[at.min(scopes.len() - 1)];
        let count = scopes.len() as f32;
        let (weight, prior) = GATE_PRIOR;
        // With few examples the prior may only make the gate laxer or stricter by its share.
        self.scope_limit = (quantile * count + prior * weight) / (count + weight);
        if recall >= 1.0 {
            self.scope_limit = 0.0;
        }
    }

    /// How likely it is that a query with these cues is meant for some route.
    pub(crate) fn scope_of(&self, cues: Cues) -> f32 {
        let [offset, lead, similarity] = self.scope;
        logistic(f64::from(offset + lead * cues.lead + similarity * cues.similarity)) as f32
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn held(scores: Array2<f32>, labels: Vec<usize>) -> HeldOut {
        HeldOut {
            rows: (0..labels.len()).collect(),
            similarities: scores.mapv(|score| score.clamp(-1.0, 1.0)),
            labels,
            scores,
            head: None,
        }
    }

    #[test]
    fn overconfident_scores_are_softened_and_timid_ones_sharpened() {
        // Two routes, right in three cases of four, always with the same score.
        let fit = |score: f32| {
            let scores = Array2::from_shape_fn((400, 2), |(_, route)| score * (1 - route) as f32);
            let labels = (0..400).map(|at| usize::from(at % 4 == 0)).collect();
            let mut held = held(scores, labels);
            let fitted = Calibration::fit(&mut held, &[true, true], 0.95);
            let mut shares = [score * fitted.sharpness, 0.0];
            softmax(&mut shares);
            shares[0]
        };
        for score in [0.2, 1.0, 8.0] {
            assert!((fit(score) - 0.75).abs() < 0.02, "{score}: {}", fit(score));
        }
    }

    #[test]
    fn nothing_to_learn_from_leaves_the_prior() {
        let mut none = held(Array2::zeros((0, 1)), vec![]);
        assert_eq!(Calibration::fit(&mut none, &[false], 0.95), Calibration::default());
    }

    #[test]
    fn a_single_route_is_judged_by_similarity() {
        let mut held = held(array![[0.8_f32], [0.7], [0.9]], vec![0, 0, 0]);
        let fitted = Calibration::fit(&mut held, &[false], 0.95);
        let scope = |similarity| fitted.scope_of(Cues { lead: 0.0, similarity });
        assert!(scope(0.7) > fitted.scope_limit);
        assert!(scope(0.1) < fitted.scope_limit);
    }
}
