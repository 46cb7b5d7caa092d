//! A vector in one byte a number.
//!
//! Invariant: a vector has a direction, and its cosine with itself is 1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Numbers that a vector may have.
pub const DIMENSIONS_MAX: usize = 4_096;
/// The number that stands for the largest one of a vector.
const LARGEST: f32 = 127.0;

/// What a text means, as a direction. Serialised as base64, four characters for three numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    parts: Box<[i8]>,
    /// 1 ÷ the length.
    scale: f32,
}

impl Vector {
    /// The nearest vector of whole numbers; `None` without a direction: empty, too many numbers,
    /// all of them zero, or one that is not finite.
    pub fn quantise(vector: &[f32]) -> Option<Self> {
        let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        // The sum tells of numbers that are none, which a maximum passes over.
        if !vector.iter().map(|x| x.abs()).sum::<f32>().is_finite() || largest <= 0.0 {
            return None;
        }
        Self::new(vector.iter().map(|x| (x / largest * LARGEST).round() as i8).collect())
    }

    /// What [`as_bytes`](Self::as_bytes) gave; `None` for what has no direction.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::new(bytes.iter().map(|byte| byte.cast_signed()).collect())
    }

    fn new(parts: Box<[i8]>) -> Option<Self> {
        let square = dot(&parts, &parts);
        let fits = (1..=DIMENSIONS_MAX).contains(&parts.len());
        (fits && square > 0).then(|| Self { scale: 1.0 / (square as f32).sqrt(), parts })
    }

    /// One byte for each number, in two's complement.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.parts.iter().map(|part| part.cast_unsigned()).collect()
    }

    /// How many numbers.
    pub fn dimensions(&self) -> usize {
        self.parts.len()
    }

    /// The cosine of the angle to `other`; 0 if that has another number of dimensions.
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.parts.len() != other.parts.len() {
            return 0.0;
        }
        dot(&self.parts, &other.parts) as f32 * self.scale * other.scale
    }

    pub(crate) fn parts(&self) -> &[i8] {
        &self.parts
    }

    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }
}

/// The sum of the products. Below 2³¹ for any two vectors, so nothing wraps.
fn dot(one: &[i8], other: &[i8]) -> i32 {
    let products = one.iter().zip(other).map(|(a, b)| i32::from(*a) * i32::from(*b));
    products.fold(0, i32::wrapping_add)
}

/// A vector that is compared with many, in the width in which processors multiply.
#[derive(Debug)]
pub(crate) struct Wide {
    parts: Vec<i16>,
    scale: f32,
}

impl Wide {
    pub(crate) fn of(vector: &Vector) -> Self {
        Self {
            parts: vector.parts.iter().map(|part| (*part).into()).collect(),
            scale: vector.scale,
        }
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    /// The sum of the products with a vector of as many numbers.
    pub(crate) fn dot(&self, parts: &[i8]) -> f32 {
        let products =
            parts.iter().zip(&self.parts).map(|(a, b)| i32::from(i16::from(*a)) * i32::from(*b));
        products.fold(0, i32::wrapping_add) as f32
    }
}

impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text.as_bytes()).map_err(de::Error::custom)?;
        Self::from_bytes(&bytes).ok_or_else(|| de::Error::custom("a vector without a direction"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cosine(one: &[f32], other: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        let long = vec![1.0; DIMENSIONS_MAX + 1];
        for wrong in [&[][..], &[0.0; 3], &[f32::NAN, 1.0], &[1.0, f32::INFINITY], &long] {
            assert_eq!(Vector::quantise(wrong), None);
        }
        assert_eq!(Vector::from_bytes(&[0, 0]), None);
        assert!(serde_json::from_str::<Vector>("\"AAAA\"").is_err());
        assert!(serde_json::from_str::<Vector>("\"?\"").is_err());
    }

    #[test]
    fn the_longest_vector_does_not_overflow() {
        let longest = Vector::from_bytes(&[0x80; DIMENSIONS_MAX]).unwrap();
        assert!((longest.cosine(&longest) - 1.0).abs() < 1e-5);
    }

    proptest! {
        #[test]
        fn a_cosine_is_off_by_less_than_a_hundredth(
            one in prop::collection::vec(-1.0_f32..1.0, 384),
            noise in prop::collection::vec(-1.0_f32..1.0, 384),
            amount in 0.0_f32..2.0,
        ) {
            let other: Vec<f32> = one.iter().zip(&noise).map(|(a, b)| a + amount * b).collect();
            let near = Vector::quantise(&one).unwrap().cosine(&Vector::quantise(&other).unwrap());
            prop_assert!((near - cosine(&one, &other)).abs() < 0.01);
        }

        #[test]
        fn bytes_and_text_bring_it_back(numbers in prop::collection::vec(-1.0_f32..1.0, 1..50)) {
            if let Some(vector) = Vector::quantise(&numbers) {
                prop_assert_eq!(Vector::from_bytes(&vector.to_bytes()), Some(vector.clone()));
                let text = serde_json::to_string(&vector).unwrap();
                prop_assert_eq!(serde_json::from_str::<Vector>(&text).unwrap(), vector);
            }
        }
    }
}
