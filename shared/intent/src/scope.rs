//! Whether a query is meant for any route at all.
//!
//! Two cues tell: how far the best route is ahead of the others, and how much the query resembles the
//! route that it seems to be meant for. Each alone fails where the other does not: scores are learned
//! to tell routes from each other, so that something strange that looks a little like one of them and
//! like no other is far ahead; and resemblance does not know which words matter.
//!
//! Invariant: the cues count alike, each in units of its own spread. Examples teach how sure both
//! together make, and not how much each counts: for what an example looks like to routes that lack its
//! own is nearer than most strangers are, and would teach to trust the lead alone.

use crate::logistic::softmax;

/// What the gate believes before it has seen anything: offset, weight of the lead, of the similarity.
pub(crate) const UNTAUGHT: [f64; 3] = [-4.0, 0.4, 10.0];
/// How far leads and similarities usually spread, and how many examples that counts for.
const SPREADS: [f64; 2] = [2.5, 0.15];
const SPREADS_PRIOR: f64 = 10.0;
/// What is believed of the sum of both, in units of their spreads: offset and slope; and how strongly.
const SUM_PRIOR: [f64; 2] = [-5.0, 1.0];
const SUM_PRECISION: [f64; 2] = [0.01, 1.0];
/// The lead is cut off here: beyond, it says nothing more.
const LEAD_MAX: f32 = 60.0;
/// Routes from which on what others say of an example can be compared with what all say.
const ROUTES_MIN: usize = 3;
const NEWTON_STEPS: usize = 30;

/// What the scope gate looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cues {
    /// By how much the best score is above the mean of the others.
    pub(crate) lead: f32,
    /// The cosine to the centroid of the route, as it is to be expected: the mean over all, each
    /// with its share. The largest one may be that of a route that is not meant.
    pub(crate) similarity: f32,
}

impl Cues {
    /// From scores that are already sharpened, which become shares.
    pub(crate) fn of(scores: &mut [f32], similarities: impl Iterator<Item = f32>) -> Self {
        let lead = lead(scores);
        softmax(scores);
        let similarity =
            scores.iter().zip(similarities).map(|(share, cosine)| share * cosine).sum();
        Self { lead, similarity }
    }
}

/// One route is ahead of nothing.
fn lead(scores: &[f32]) -> f32 {
    if scores.len() < 2 {
        return 0.0;
    }
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let behind: f64 = scores.iter().map(|score| f64::from(best - score)).sum();
    ((behind / (scores.len() - 1) as f64) as f32).min(LEAD_MAX)
}

/// Cues of held-out examples.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// With their route.
    pub(crate) inside: Vec<Cues>,
    /// As if it were not there.
    pub(crate) outside: Vec<Cues>,
}

impl Evidence {
    /// Offset, weight of the lead and weight of the similarity, for examples among `routes` routes.
    pub(crate) fn weights(&self, routes: usize) -> [f64; 3] {
        if self.inside.is_empty() || self.outside.is_empty() || routes < ROUTES_MIN {
            return UNTAUGHT;
        }
        let both = || self.inside.iter().chain(&self.outside);
        let leads = spread(both().map(|cues| f64::from(cues.lead)), SPREADS[0]);
        let similarities = spread(both().map(|cues| f64::from(cues.similarity)), SPREADS[1]);
        let sum =
            |cues: &Cues| f64::from(cues.lead) / leads + f64::from(cues.similarity) / similarities;
        let inside = self.inside.iter().map(|cues| (sum(cues), 1.0));
        let outside = self.outside.iter().map(|cues| (sum(cues), 0.0));
        let told: Vec<(f64, f64)> = inside.chain(outside).collect();
        let [offset, slope] = newton(&told);
        // What counts against itself is noise, and is believed as little as may be.
        let slope = if slope > 0.0 { slope } else { SUM_PRIOR[1] };
        [offset, slope / leads, slope / similarities]
    }
}

/// The standard deviation, drawn towards the usual one.
fn spread(values: impl Iterator<Item = f64> + Clone, usual: f64) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count.max(1.0);
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    ((squares + SPREADS_PRIOR * usual * usual) / (count + SPREADS_PRIOR)).sqrt()
}

/// The line through the log-odds that explains best what is inside, given the prior.
fn newton(told: &[(f64, f64)]) -> [f64; 2] {
    let mut line = SUM_PRIOR;
    for _ in 0..NEWTON_STEPS {
        let [mut down, mut tilt] =
            [0, 1].map(|part| SUM_PRECISION[part] * (line[part] - SUM_PRIOR[part]));
        let [mut first, mut cross, mut second] = [SUM_PRECISION[0], 0.0, SUM_PRECISION[1]];
        for (sum, truth) in told {
            let p = logistic(line[0] + line[1] * sum);
            down += p - truth;
            tilt += (p - truth) * sum;
            let bend = p * (1.0 - p);
            first += bend;
            cross += bend * sum;
            second += bend * sum * sum;
        }
        let area = first * second - cross * cross;
        let step = [(second * down - cross * tilt) / area, (first * tilt - cross * down) / area];
        let longest = step[0].abs().max(step[1].abs());
        // A step that is too long would overshoot where the curve is flat.
        let shorten = if longest > 4.0 { 4.0 / longest } else { 1.0 };
        line[0] -= shorten * step[0];
        line[1] -= shorten * step[1];
        if longest < 1e-6 {
            break;
        }
    }
    line
}

pub(crate) fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues(lead: f32, similarity: f32) -> Cues {
        Cues { lead, similarity }
    }

    fn believes(weights: [f64; 3], cues: Cues) -> f64 {
        let [offset, lead, similarity] = weights;
        logistic(offset + lead * f64::from(cues.lead) + similarity * f64::from(cues.similarity))
    }

    #[test]
    fn the_lead_does_not_depend_on_where_scores_begin_and_one_route_has_none() {
        assert!(lead(&[7.0]).abs() < 1e-6);
        assert!((lead(&[3.0, 1.0]) - 2.0).abs() < 1e-6);
        assert!((lead(&[103.0, 101.0, 99.0]) - 3.0).abs() < 1e-4);
        assert!((lead(&[1e30, -1e30]) - LEAD_MAX).abs() < 1e-6);
    }

    #[test]
    fn both_cues_count_alike_whatever_examples_say_of_one_alone() {
        // Similarity tells nothing apart here, and the lead everything.
        let of = |lead: f32| {
            (0..200).map(move |at| cues(lead + (at % 7) as f32 * 0.2, 0.3 + (at % 5) as f32 * 0.1))
        };
        let evidence = Evidence { inside: of(8.0).collect(), outside: of(2.0).collect() };
        let weights = evidence.weights(9);
        assert!(believes(weights, cues(8.5, 0.5)) > 0.8, "{weights:?}");
        assert!(believes(weights, cues(2.5, 0.5)) < 0.2, "{weights:?}");
        let step = |spread: f64| spread.max(1e-9);
        let both = || evidence.inside.iter().chain(&evidence.outside);
        let leads = spread(both().map(|cues| f64::from(cues.lead)), SPREADS[0]);
        let similarities = spread(both().map(|cues| f64::from(cues.similarity)), SPREADS[1]);
        assert!((weights[1] * step(leads) - weights[2] * step(similarities)).abs() < 1e-9);
    }

    #[test]
    fn too_few_routes_and_no_examples_leave_what_was_believed() {
        assert_eq!(Evidence::default().weights(9).map(f64::to_bits), UNTAUGHT.map(f64::to_bits));
        let two = Evidence { inside: vec![cues(9.0, 0.9)], outside: vec![cues(0.0, 0.1)] };
        assert_eq!(two.weights(2).map(f64::to_bits), UNTAUGHT.map(f64::to_bits));
    }

    #[test]
    fn what_counts_against_itself_is_not_believed() {
        let of = |sum: f32| (0..50).map(move |_| cues(sum, sum / 10.0));
        let evidence = Evidence { inside: of(1.0).collect(), outside: of(6.0).collect() };
        let weights = evidence.weights(9);
        assert!(weights[1] > 0.0 && weights[2] > 0.0, "{weights:?}");
    }
}
