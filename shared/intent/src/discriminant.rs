//! A linear discriminant in closed form, for when there are too many routes to iterate over.
//!
//! All routes share one covariance within a route, drawn towards a multiple of the identity by as
//! much as there are too few examples to know it. Training is one pass over the examples, and what
//! comes out is one matrix for all routes: a query is turned by it once, and then compared with the
//! routes' means.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis};

use crate::logistic::Lesson;

/// The least that the covariance is drawn towards the identity.
const SHRINK_MIN: f64 = 0.1;
/// Variance below which a direction counts as this wide.
const VARIANCE_MIN: f64 = 1e-6;

/// `score = mean · inverse · query + offset`, for the class's mean.
#[derive(Debug, Clone)]
pub(crate) struct Discriminant {
    /// The inverse of the covariance within classes.
    pub(crate) inverse: Array2<f32>,
    /// The length of each class's mean.
    pub(crate) lengths: Vec<f32>,
    pub(crate) offsets: Vec<f32>,
}

/// Trains on a lesson in which every class has at least one example.
pub(crate) fn train(lesson: &Lesson<'_>) -> Discriminant {
    let means = means(lesson);
    let inverse = inverse(&covariance(lesson, &means));
    let turned = means.dot(&inverse);
    let rows = |table: &Array2<f32>, other: &Array2<f32>| -> Vec<f32> {
        let pairs = table.axis_iter(Axis(0)).zip(other.axis_iter(Axis(0)));
        pairs.map(|(row, other)| row.dot(&other)).collect()
    };
    let lengths = rows(&means, &means).into_iter().map(f32::sqrt).collect();
    let offsets = rows(&turned, &means).into_iter().map(|square| -0.5 * square).collect();
    Discriminant { inverse, lengths, offsets }
}

fn means(lesson: &Lesson<'_>) -> Array2<f32> {
    let mut means = Array2::<f32>::zeros((lesson.classes, lesson.rows.ncols()));
    let mut counts = vec![0_usize; lesson.classes];
    for (row, label) in lesson.rows.axis_iter(Axis(0)).zip(lesson.labels) {
        let mut mean = means.row_mut(*label as usize);
        mean += &row;
        counts[*label as usize] += 1;
    }
    for (mut mean, count) in means.axis_iter_mut(Axis(0)).zip(counts) {
        mean /= count.max(1) as f32;
    }
    means
}

/// The covariance within routes, shrunk.
fn covariance(lesson: &Lesson<'_>, means: &Array2<f32>) -> Array2<f64> {
    let dims = lesson.rows.ncols();
    let mut off = lesson.rows.to_owned();
    for (mut row, label) in off.axis_iter_mut(Axis(0)).zip(lesson.labels) {
        row -= &means.row(*label as usize);
    }
    let mut scatter = Array2::<f32>::zeros((dims, dims));
    general_mat_mul(1.0, &off.t(), &off, 0.0, &mut scatter);
    let freedom = lesson.rows.nrows().saturating_sub(lesson.classes).max(1) as f64;
    let mut covariance = scatter.mapv(|part| f64::from(part) / freedom);
    let mean_variance = (covariance.diag().sum() / dims as f64).max(VARIANCE_MIN);
    let shrink = (dims as f64 / (dims as f64 + freedom)).max(SHRINK_MIN);
    covariance *= 1.0 - shrink;
    covariance.diag_mut().iter_mut().for_each(|part| *part += shrink * mean_variance);
    covariance
}

/// The inverse of a symmetric positive definite matrix, by Cholesky's factors.
fn inverse(matrix: &Array2<f64>) -> Array2<f32> {
    let dims = matrix.nrows();
    let mut lower = Array2::<f64>::zeros((dims, dims));
    for i in 0..dims {
        for j in 0..=i {
            let sum = (0..j).fold(matrix[[i, j]], |sum, k| sum - lower[[i, k]] * lower[[j, k]]);
            lower[[i, j]] = if i == j { sum.max(VARIANCE_MIN).sqrt() } else { sum / lower[[j, j]] };
        }
    }
    let mut inverse = Array2::<f32>::zeros((dims, dims));
    let mut column = vec![0.0_f64; dims];
    for at in 0..dims {
        column.fill(0.0);
        column[at] = 1.0;
        for i in at..dims {
            let sum = (at..i).fold(column[i], |sum, k| sum - lower[[i, k]] * column[k]);
            column[i] = sum / lower[[i, i]];
        }
        for i in (0..dims).rev() {
            let sum = (i + 1..dims).fold(column[i], |sum, k| sum - lower[[k, i]] * column[k]);
            column[i] = sum / lower[[i, i]];
        }
        for i in 0..dims {
            inverse[[i, at]] = column[i] as f32;
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn inverts() {
        let matrix = array![[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]];
        let product = matrix.dot(&inverse(&matrix).mapv(f64::from));
        for ((i, j), part) in product.indexed_iter() {
            assert!((part - f64::from(u8::from(i == j))).abs() < 1e-5);
        }
    }

    #[test]
    fn weighs_a_direction_by_how_little_it_varies_within_a_route() {
        // The first part is loud noise, the second tells the two apart.
        let rows: Vec<[f32; 2]> =
            (0..40).map(|i| [(i % 7) as f32 - 3.0, if i % 2 == 0 { 0.5 } else { -0.5 }]).collect();
        let labels: Vec<u32> = (0..40).map(|i| i % 2).collect();
        let rows = ndarray::arr2(&rows);
        let lesson = Lesson { rows: rows.view(), labels: &labels, classes: 2 };
        let trained = train(&lesson);
        let score = |class: usize, x: [f32; 2]| {
            let mean = [0.0, if class == 0 { 0.5 } else { -0.5 }];
            let turned = trained.inverse.dot(&ndarray::arr1(&x));
            mean[0] * turned[0] + mean[1] * turned[1] + trained.offsets[class]
        };
        assert!(score(0, [-3.0, 0.4]) > score(1, [-3.0, 0.4]));
        assert!(score(1, [3.0, -0.4]) > score(0, [3.0, -0.4]));
    }
}
