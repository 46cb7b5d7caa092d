//! A vector that stands for the meaning of a text.
//!
//! Invariant: its length is one, so that the dot product of two is the cosine of their angle.

use std::sync::Arc;

/// Sums in as many lanes as the compiler can put into one register.
const LANES: usize = 8;
/// How far from one the length of a vector read from bytes may be.
const LENGTH_TOLERANCE: f32 = 1e-3;
const FLOAT_BYTES: usize = size_of::<f32>();

/// The vector of a text: of length one, cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Arc<[f32]>);

impl Embedding {
    /// Scales `vector` to length one; `None` if it has no direction (empty, zero, not finite).
    pub fn new(mut vector: Vec<f32>) -> Option<Self> {
        let length = dot(&vector, &vector).sqrt();
        if !length.is_finite() || length <= f32::MIN_POSITIVE {
            return None;
        }
        vector.iter_mut().for_each(|x| *x /= length);
        Some(Self(vector.into()))
    }

    /// The cosine of the angle to `other`: 1 for the same meaning, near 0 for an unrelated one.
    /// Dimensions that only one of them has do not count.
    pub fn dot(&self, other: &Self) -> f32 {
        dot(&self.0, &other.0)
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// How many numbers.
    pub fn dimensions(&self) -> usize {
        self.0.len()
    }

    /// As it is stored: the numbers, each in four bytes, the lowest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` for anything that it cannot have given.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<FLOAT_BYTES>();
        let vector: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        let length = dot(&vector, &vector).sqrt();
        (rest.is_empty() && (length - 1.0).abs() <= LENGTH_TOLERANCE).then(|| Self(vector.into()))
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let shared = a.len().min(b.len());
    let (a, a_rest) = a[..shared].as_chunks::<LANES>();
    let (b, b_rest) = b[..shared].as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_is_no_embedding() {
        for vector in [vec![], vec![0.0; 3], vec![1.0, f32::NAN], vec![f32::INFINITY]] {
            assert_eq!(Embedding::new(vector), None);
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(Embedding::from_bytes(&[]), None);
        assert_eq!(Embedding::from_bytes(&[0, 0, 128]), None);
        assert_eq!(Embedding::from_bytes(&2.0_f32.to_le_bytes()), None);
        assert_eq!(Embedding::from_bytes(&f32::NAN.to_le_bytes()), None);
    }

    proptest! {
        #[test]
        fn length_is_one_and_bytes_bring_it_back(vector in prop::collection::vec(-9.0_f32..9.0, 1..50)) {
            if let Some(embedding) = Embedding::new(vector) {
                prop_assert!((embedding.dot(&embedding) - 1.0).abs() < 1e-5);
                prop_assert_eq!(Embedding::from_bytes(&embedding.to_bytes()), Some(embedding));
            }
        }

        #[test]
        fn the_dot_product_is_what_it_is(pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..50)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let plain: f32 = pairs.iter().map(|(a, b)| a * b).sum();
            prop_assert!((dot(&a, &b) - plain).abs() < 1e-4);
        }
    }
}
