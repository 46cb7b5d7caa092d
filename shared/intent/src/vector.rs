//! Vectors: unit length or zero, and the products that everything else is made of.
//!
//! Invariant: no function here gives a value that is not finite for input that is finite.

/// The most dimensions that a vector may have.
pub const DIMS_MAX: usize = 4_096;
/// Sums that are kept side by side, so that the compiler can use vector registers.
const LANES: usize = 16;

/// The inner product. The order of the sum is fixed, so that the result is, too.
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (l, r) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            sums[lane] += l[lane] * r[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum();
    sums.iter().sum::<f32>() + rest
}

/// The inner product in double precision, for sums that decide when a solver stops.
pub(crate) fn dot_exact(left: &[f32], right: &[f32]) -> f64 {
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    for (l, r) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            sums[lane] += f64::from(l[lane]) * f64::from(r[lane]);
        }
    }
    let rest = left_rest.iter().zip(right_rest).map(|(l, r)| f64::from(*l) * f64::from(*r));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The vector at unit length; zero if it has no direction or a part that is not finite.
pub fn unit(vector: &[f32]) -> Vec<f32> {
    // Squares of large parts leave the range of f32, not that of f64.
    let length = dot_exact(vector, vector).sqrt();
    if length == 0.0 || !length.is_finite() {
        return vec![0.0; vector.len()];
    }
    vector.iter().map(|part| (f64::from(*part) / length) as f32).collect()
}

/// Whether a vector says nothing.
pub(crate) fn is_zero(vector: &[f32]) -> bool {
    vector.iter().all(|part| *part == 0.0)
}

/// The cosine of two vectors of any length, between -1 and 1; 0 if one has no direction.
pub fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let lengths = (dot_exact(left, left) * dot_exact(right, right)).sqrt();
    if lengths == 0.0 || !lengths.is_finite() {
        return 0.0;
    }
    (dot_exact(left, right) / lengths).clamp(-1.0, 1.0) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_vector_without_direction_becomes_zero() {
        assert_eq!(unit(&[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(unit(&[f32::NAN, 1.0]), [0.0, 0.0]);
        assert_eq!(unit(&[f32::MAX, 0.0]), [1.0, 0.0]);
        assert!(cosine(&[0.0], &[1.0]).abs() < f32::EPSILON);
    }

    proptest! {
        #[test]
        fn products_agree(
            pairs in proptest::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..70),
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let plain: f64 =
                left.iter().zip(&right).map(|(l, r)| f64::from(*l) * f64::from(*r)).sum();
            prop_assert!((f64::from(dot(&left, &right)) - plain).abs() < 1e-4);
            prop_assert!((dot_exact(&left, &right) - plain).abs() < 1e-9);
        }

        #[test]
        fn unit_vectors_have_length_one_or_zero(
            parts in proptest::collection::vec(proptest::num::f32::ANY, 1..40),
        ) {
            let unit = unit(&parts);
            let length = dot_exact(&unit, &unit);
            prop_assert!(length == 0.0 || (length - 1.0).abs() < 1e-3, "{length}");
        }
    }
}
