//! Multinomial logistic regression: one weight vector and one offset a class.
//!
//! The loss is scikit-learn's: C times the sum of the examples' losses, plus half the squared
//! weights; offsets are free. It has one minimum, so that neither the order of classes nor the start
//! decides where training ends, only how long it takes.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

use crate::lbfgs::{Limits, minimise};

/// Examples whose scores are held at once: they stay in the processor's cache.
const BLOCK_ROWS: usize = 256;
const ITERATIONS_MAX: usize = 200;
/// Of the mean loss's gradient. Three times finer than scikit-learn's default, which stops early
/// when there are many classes.
const GRADIENT_MAX: f64 = 3e-5;

/// A class's weights are a row; `scores = rows · weightsᵀ + offsets`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) weights: Array2<f32>,
    pub(crate) offsets: Vec<f32>,
    /// Steps that training took.
    pub(crate) iterations: usize,
}

/// What to learn from.
pub(crate) struct Lesson<'a> {
    pub(crate) rows: ArrayView2<'a, f32>,
    pub(crate) labels: &'a [u32],
    pub(crate) classes: usize,
}

impl Lesson<'_> {
    /// Each example's weight: a class with many examples counts more than one with few, but by the
    /// root of the ratio only, because how many examples somebody wrote says little about how often
    /// the class is meant. 1 for all when classes have as many examples as each other.
    fn balance(&self) -> Vec<f32> {
        let mut counts = vec![0_usize; self.classes];
        self.labels.iter().for_each(|label| counts[*label as usize] += 1);
        let raw: Vec<f64> =
            self.labels.iter().map(|label| 1.0 / (counts[*label as usize] as f64).sqrt()).collect();
        let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
        raw.into_iter().map(|weight| (weight / mean) as f32).collect()
    }
}

/// Trains from `start`, which has the shape of the result.
pub(crate) fn train(lesson: &Lesson<'_>, inverse_penalty: f64, start: Linear) -> Linear {
    let (classes, dims) = (lesson.classes, lesson.rows.ncols());
    let count = lesson.rows.nrows();
    if count == 0 || classes < 2 {
        return start;
    }
    let balance = lesson.balance();
    let penalty = 1.0 / (inverse_penalty * count as f64);
    let mut point: Vec<f32> = start.weights.iter().copied().collect();
    point.extend(&start.offsets);
    let limits = Limits { iterations_max: ITERATIONS_MAX, gradient_max: GRADIENT_MAX };
    let mut scores = Array2::zeros((BLOCK_ROWS.min(count), classes));
    let iterations = minimise(&mut point, limits, |point, gradient| {
        loss(lesson, &balance, penalty, point, gradient, &mut scores)
    });
    let offsets = point.split_off(classes * dims);
    let weights = Array2::from_shape_vec((classes, dims), point).unwrap_or(start.weights);
    Linear { weights, offsets, iterations }
}

/// The mean loss and, in `gradient`, its slope.
fn loss(
    lesson: &Lesson<'_>,
    balance: &[f32],
    penalty: f64,
    point: &[f32],
    gradient: &mut [f32],
    scores: &mut Array2<f32>,
) -> f64 {
    let (classes, dims) = (lesson.classes, lesson.rows.ncols());
    let count = lesson.rows.nrows();
    let (weights_flat, offsets) = point.split_at(classes * dims);
    let (slopes_flat, offset_slopes) = gradient.split_at_mut(classes * dims);
    let shape = (classes, dims);
    let (Ok(weights), Ok(mut slopes)) = (
        ArrayView2::from_shape(shape, weights_flat),
        ArrayViewMut2::from_shape(shape, slopes_flat),
    ) else {
        return f64::INFINITY;
    };
    slopes.iter_mut().zip(weights_flat).for_each(|(to, from)| *to = penalty as f32 * from);
    offset_slopes.fill(0.0);
    let mut total = 0.0_f64;
    for start in (0..count).step_by(BLOCK_ROWS) {
        let end = (start + BLOCK_ROWS).min(count);
        let rows = lesson.rows.slice(s![start..end, ..]);
        let mut block = scores.slice_mut(s![..end - start, ..]);
        general_mat_mul(1.0, &rows, &weights.t(), 0.0, &mut block);
        for (mut row, at) in block.axis_iter_mut(Axis(0)).zip(start..end) {
            let Some(row) = row.as_slice_mut() else { return f64::INFINITY };
            row.iter_mut().zip(offsets).for_each(|(score, offset)| *score += offset);
            let label = lesson.labels[at] as usize;
            let own = f64::from(row[label]);
            let weight = balance[at] / count as f32;
            total += f64::from(balance[at]) * (f64::from(softmax(row)) - own);
            row.iter_mut().for_each(|share| *share *= weight);
            row[label] -= weight;
            offset_slopes.iter_mut().zip(row.iter()).for_each(|(to, from)| *to += from);
        }
        general_mat_mul(1.0, &block.t(), &rows, 1.0, &mut slopes);
    }
    let squares = crate::vector::dot_exact(weights_flat, weights_flat);
    total / count as f64 + 0.5 * penalty * squares
}

/// Turns scores into shares that sum to 1, and returns the logarithm of the sum of exponentials.
pub(crate) fn softmax(scores: &mut [f32]) -> f32 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() {
        let even = 1.0 / scores.len().max(1) as f32;
        scores.fill(even);
        return 0.0;
    }
    let mut sum = 0.0_f64;
    for score in scores.iter_mut() {
        *score = (*score - most).exp();
        sum += f64::from(*score);
    }
    let share = (1.0 / sum) as f32;
    scores.iter_mut().for_each(|score| *score *= share);
    most + sum.ln() as f32
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn flat(classes: usize, dims: usize) -> Linear {
        Linear {
            weights: Array2::zeros((classes, dims)),
            offsets: vec![0.0; classes],
            iterations: 0,
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let rows = array![[1.0_f32, 0.0], [0.6, 0.8], [0.0, 1.0], [-0.8, 0.6]];
        let lesson = Lesson { rows: rows.view(), labels: &[0, 1, 1, 2], classes: 3 };
        let balance = lesson.balance();
        let point: Vec<f32> = (0..9).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut scores = Array2::zeros((4, 3));
        let mut gradient = vec![0.0; 9];
        loss(&lesson, &balance, 0.1, &point, &mut gradient, &mut scores);
        for part in 0..9 {
            let mut at = |off: f32| {
                let mut moved = point.clone();
                moved[part] += off;
                loss(&lesson, &balance, 0.1, &moved, &mut [0.0; 9], &mut scores)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - f64::from(gradient[part])).abs() < 1e-4, "{part}");
        }
    }

    #[test]
    fn ends_where_scikit_learn_ends() {
        // LogisticRegression(C=30, tol=1e-8) on the same six points.
        let rows =
            array![[1.0_f32, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8], [-1.0, 0.0], [-0.6, -0.8]];
        let lesson = Lesson { rows: rows.view(), labels: &[0, 0, 1, 1, 2, 2], classes: 3 };
        let trained = train(&lesson, 30.0, flat(3, 2));
        let mut scores = vec![0.0_f32; 3];
        let query = [0.5_f32, 0.5];
        for (class, score) in scores.iter_mut().enumerate() {
            let row = trained.weights.row(class);
            *score = row[0] * query[0] + row[1] * query[1] + trained.offsets[class];
        }
        softmax(&mut scores);
        for (ours, theirs) in scores.iter().zip(SCIKIT_LEARN) {
            assert!((ours - theirs).abs() < 2e-3, "{scores:?}");
        }
    }

    /// Probabilities of the three classes at (0.5, 0.5).
    const SCIKIT_LEARN: [f32; 3] = [0.79575, 0.17398, 0.03027];

    #[test]
    fn shares_of_extreme_scores_are_shares() {
        for mut scores in
            [vec![1e30, -1e30, 0.0], vec![f32::NEG_INFINITY; 3], vec![0.0; 3], vec![88.0, 800.0]]
        {
            softmax(&mut scores);
            assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{scores:?}");
        }
    }
}
