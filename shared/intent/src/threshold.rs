//! Thresholds: how sure a route must be, so that the wanted share of its decisions is right.
//!
//! Invariant: a larger wanted precision never gives a lower threshold. A route with few held-out
//! decisions leans on what is known of all routes.

/// Decisions that the experience of all routes counts for, beside a route's own.
const POOLED: f32 = 10.0;
/// Decisions that calibration's own word counts for, beside the experience of all routes.
const PRIOR: f32 = 2.0;
/// Thresholds that are tried.
const STEPS: usize = 200;
/// What no probability reaches: the wanted precision is out of reach for this route.
pub const UNREACHABLE: f32 = 1.01;

/// One held-out decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    /// The route with the largest probability.
    pub(crate) route: usize,
    /// That probability.
    pub(crate) probability: f32,
    /// Whether it is the right one.
    pub(crate) right: bool,
    /// How much it counts.
    pub(crate) weight: f32,
}

/// How many decisions at or above a threshold there are, and how many of them are right.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    all: f32,
    right: f32,
}

/// Tallies of one group, one a threshold that is tried.
fn tallies<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); STEPS];
    for verdict in verdicts {
        let reached = ((verdict.probability * STEPS as f32) as usize).min(STEPS - 1);
        for tally in &mut tallies[..=reached] {
            tally.all += verdict.weight;
            tally.right += if verdict.right { verdict.weight } else { 0.0 };
        }
    }
    tallies
}

/// One threshold a route.
pub(crate) fn fit(verdicts: &[Verdict], routes: usize, precision: f32) -> Vec<f32> {
    let pooled: Vec<f32> = tallies(verdicts.iter())
        .into_iter()
        .enumerate()
        .map(|(step, tally)| {
            // Calibrated probabilities from here to 1 are right as often as half-way between.
            let promised = f32::midpoint(step as f32 / STEPS as f32, 1.0);
            (tally.right + PRIOR * promised) / (tally.all + PRIOR)
        })
        .collect();
    let mut own: Vec<Vec<Verdict>> = vec![Vec::new(); routes];
    verdicts.iter().for_each(|verdict| own[verdict.route].push(*verdict));
    let lowest = |tallies: &[Tally]| {
        let reaches = |step: &usize| {
            let tally = tallies[*step];
            (tally.right + POOLED * pooled[*step]) / (tally.all + POOLED) >= precision
        };
        (0..STEPS).find(reaches).map_or(UNREACHABLE, |step| step as f32 / STEPS as f32)
    };
    own.iter().map(|own| lowest(&tallies(own.iter()))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict() -> impl Strategy<Value = Verdict> {
        (0..3_usize, 0.0_f32..=1.0, any::<bool>(), 0.0_f32..=1.0).prop_map(
            |(route, probability, right, weight)| Verdict { route, probability, right, weight },
        )
    }

    proptest! {
        #[test]
        fn more_precision_never_lowers_a_threshold(
            verdicts in proptest::collection::vec(verdict(), 0..80),
            wanted in (0.0_f32..=1.0, 0.0_f32..=1.0),
        ) {
            let (low, high) = (wanted.0.min(wanted.1), wanted.0.max(wanted.1));
            let lower = fit(&verdicts, 3, low);
            let higher = fit(&verdicts, 3, high);
            prop_assert!(lower.iter().zip(&higher).all(|(l, h)| l <= h));
        }
    }

    #[test]
    fn a_route_that_errs_must_be_surer_than_one_that_does_not() {
        let verdicts: Vec<Verdict> = (0..200)
            .map(|at| {
                let probability = (at % 50) as f32 / 50.0;
                let route = at / 100;
                Verdict { route, probability, right: route == 0 || probability > 0.7, weight: 1.0 }
            })
            .collect();
        let thresholds = fit(&verdicts, 2, 0.9);
        assert!(thresholds[0] < 0.4, "{thresholds:?}");
        assert!(thresholds[1] > 0.6, "{thresholds:?}");
    }

    #[test]
    fn without_experience_probabilities_are_believed_and_errors_count() {
        assert!((fit(&[], 1, 0.9)[0] - 0.8).abs() < 0.01);
        let wrong = Verdict { route: 0, probability: 0.9, right: false, weight: 1.0 };
        assert!(fit(&[wrong; 50], 1, 0.9)[0] > 0.9);
        let surely_wrong = Verdict { probability: 1.0, ..wrong };
        assert!(fit(&[surely_wrong; 50], 1, 0.9)[0] >= UNREACHABLE);
    }
}
