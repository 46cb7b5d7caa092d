//! How good a router is: accuracy, calibration error, and how well it tells what is out of scope.

use crate::examples::mix;

/// Bins of the calibration error, of equal width.
const BINS: usize = 15;

/// The share of pairs that are equal; 0 without any.
pub fn accuracy<T: PartialEq>(pairs: &[(T, T)]) -> f32 {
    let right = pairs.iter().filter(|(said, truth)| said == truth).count();
    right as f32 / pairs.len().max(1) as f32
}

/// The expected calibration error: by how much stated probabilities and the share that is right
/// differ, over bins of equal width, weighted by how many decisions fall into each.
pub fn calibration_error(decisions: &[(f32, bool)]) -> f32 {
    let mut bins = [(0.0_f64, 0.0_f64); BINS];
    for (probability, right) in decisions {
        let bin = bin_of(*probability);
        bins[bin].0 += f64::from(*probability);
        bins[bin].1 += f64::from(u8::from(*right));
    }
    let off: f64 = bins.iter().map(|(stated, right)| (stated - right).abs()).sum();
    (off / decisions.len().max(1) as f64) as f32
}

/// The calibration error that is to be expected where every stated probability is true: with few
/// decisions chance alone makes one.
///
/// Of each bin the exact mean distance between how many are right and how many should be.
pub fn calibration_error_of_chance(probabilities: &[f32]) -> f32 {
    let mut off = 0.0;
    for bin in 0..BINS {
        let stated = probabilities.iter().filter(|probability| bin_of(**probability) == bin);
        // How likely each number of right ones is.
        let mut likely = vec![1.0_f64];
        let mut sum = 0.0;
        for probability in stated.map(|probability| f64::from(*probability)) {
            likely.push(0.0);
            for right in (0..likely.len()).rev() {
                let fewer = if right == 0 { 0.0 } else { likely[right - 1] };
                likely[right] = likely[right] * (1.0 - probability) + fewer * probability;
            }
            sum += probability;
        }
        let each = likely.iter().enumerate();
        off += each.map(|(right, likely)| likely * (right as f64 - sum).abs()).sum::<f64>();
    }
    (off / probabilities.len().max(1) as f64) as f32
}

fn bin_of(probability: f32) -> usize {
    ((probability * BINS as f32) as usize).min(BINS - 1)
}

/// The area under the ROC curve: how likely a score of `inside` is larger than one of `outside`.
/// Equal scores count half; a half without scores on either side.
pub fn auroc(inside: &[f32], outside: &[f32]) -> f32 {
    if inside.is_empty() || outside.is_empty() {
        return 0.5;
    }
    let mut all: Vec<(f32, bool)> = inside
        .iter()
        .map(|score| (*score, true))
        .chain(outside.iter().map(|score| (*score, false)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut wins = 0.0_f64;
    let mut below = 0.0_f64;
    let mut at = 0;
    while at < all.len() {
        let score = all[at].0;
        let same = all[at..].iter().take_while(|other| other.0.total_cmp(&score).is_eq());
        let (mut in_here, mut out_here) = (0.0_f64, 0.0_f64);
        for (_, is_inside) in same {
            if *is_inside {
                in_here += 1.0;
            } else {
                out_here += 1.0;
            }
        }
        wins += in_here * (below + out_here / 2.0);
        below += out_here;
        at += (in_here + out_here) as usize;
    }
    (wins / (inside.len() as f64 * outside.len() as f64)) as f32
}

/// Draws up to `shots` examples of each label, by a seed: their places, in order. `None` takes all.
///
/// A smaller draw with the same seed is part of a larger one.
pub fn few_shot(labels: &[usize], shots: Option<usize>, seed: u64) -> Vec<usize> {
    let Some(shots) = shots else { return (0..labels.len()).collect() };
    let mut shuffled: Vec<usize> = (0..labels.len()).collect();
    shuffled.sort_by_key(|place| (mix(*place as u64 ^ mix(seed)), *place));
    let mut taken = vec![0_usize; labels.iter().max().map_or(0, |most| most + 1)];
    let mut drawn: Vec<usize> = shuffled
        .into_iter()
        .filter(|place| {
            let taken = &mut taken[labels[*place]];
            *taken += 1;
            *taken <= shots
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_what_is_right() {
        assert!((accuracy(&[(1, 1), (1, 2), (3, 3), (4, 4)]) - 0.75).abs() < 1e-6);
        assert!(accuracy::<u8>(&[]).abs() < 1e-6);
    }

    #[test]
    fn stated_and_true_are_compared_bin_by_bin() {
        let honest: Vec<(f32, bool)> = (0..100).map(|at| (0.75, at % 4 != 0)).collect();
        assert!(calibration_error(&honest) < 1e-4);
        let boasting: Vec<(f32, bool)> = (0..100).map(|at| (0.95, at % 2 == 0)).collect();
        assert!((calibration_error(&boasting) - 0.45).abs() < 1e-4);
    }

    #[test]
    fn chance_makes_an_error_that_grows_smaller_with_more_decisions() {
        // One decision with 0.75 is off by 0.25 three times in four, and by 0.75 else.
        assert!((calibration_error_of_chance(&[0.75]) - 0.375).abs() < 1e-6);
        // Two in one bin: 2 right (9/16), 1 (6/16) or 0 (1/16) of 1.5.
        let two = (9.0 * 0.5 + 6.0 * 0.5 + 1.5) / 16.0 / 2.0;
        assert!((calibration_error_of_chance(&[0.75, 0.75]) - two).abs() < 1e-6);
        // For many it is that of the normal curve.
        let many = calibration_error_of_chance(&[0.75; 1_000]);
        let normal = (2.0 / std::f32::consts::PI * 0.75 * 0.25 / 1_000.0).sqrt();
        assert!((many - normal).abs() < 1e-4, "{many} {normal}");
        assert!(calibration_error_of_chance(&[]).abs() < 1e-6);
        assert!(calibration_error_of_chance(&[1.0, 0.0]).abs() < 1e-6);
    }

    #[test]
    fn the_area_is_that_of_the_textbook() {
        assert!((auroc(&[0.8, 0.4], &[0.5, 0.1]) - 0.75).abs() < 1e-6);
        assert!((auroc(&[1.0], &[1.0]) - 0.5).abs() < 1e-6);
        assert!((auroc(&[], &[1.0]) - 0.5).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_won(
            inside in proptest::collection::vec(0..6_u8, 1..30),
            outside in proptest::collection::vec(0..6_u8, 1..30),
        ) {
            let mut won = 0.0;
            for i in &inside {
                for o in &outside {
                    won += match i.cmp(o) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            let plain = won / (inside.len() * outside.len()) as f32;
            let floats = |of: &[u8]| of.iter().map(|part| f32::from(*part)).collect::<Vec<_>>();
            prop_assert!((auroc(&floats(&inside), &floats(&outside)) - plain).abs() < 1e-5);
        }

        #[test]
        fn a_draw_is_exact_repeatable_and_nested(
            labels in proptest::collection::vec(0..5_usize, 0..80), seed: u64,
        ) {
            let few = few_shot(&labels, Some(3), seed);
            prop_assert_eq!(&few, &few_shot(&labels, Some(3), seed));
            for label in 0..5 {
                let all = labels.iter().filter(|l| **l == label).count();
                let drawn = few.iter().filter(|place| labels[**place] == label).count();
                prop_assert_eq!(drawn, all.min(3));
            }
            let more = few_shot(&labels, Some(6), seed);
            prop_assert!(few.iter().all(|place| more.contains(place)));
        }
    }
}
