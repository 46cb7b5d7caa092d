//! Vectors in one piece of memory, for a scan over all of them.
//!
//! A part is stored in 16 bits: half the memory of a float to read, a cosine that is off by less than
//! a thousandth, and the fastest product that the smallest instruction set of the platform has (in 8
//! bits it takes twice as long there). Invariant: a row is either empty or of unit length as far as
//! 16 bits can tell.

use troupe_domain::Fault;

/// Parts that a vector may have.
pub const MAX_DIMS: usize = 4_096;
/// The part that stands for 1. Two vectors of this length have a product far below the end of 32
/// bits, however many parts they have.
const ONE: f32 = 16_384.0;

/// Rows of parts.
#[derive(Debug, Clone)]
pub struct Slab {
    dims: usize,
    parts: Vec<i16>,
    /// 1 ÷ the length of each row; 0 is an empty row.
    scales: Vec<f32>,
}

/// A vector as rows are stored.
#[derive(Debug, Clone)]
pub struct Quantised {
    parts: Vec<i16>,
    scale: f32,
}

impl Slab {
    /// No rows, for vectors of `dims` parts.
    pub fn new(dims: usize) -> Self {
        Self { dims: dims.clamp(1, MAX_DIMS), parts: Vec::new(), scales: Vec::new() }
    }

    /// A vector as rows are stored; refuses another length, and what has no direction.
    pub fn quantise(&self, vector: &[f32]) -> Result<Quantised, Fault> {
        if vector.len() != self.dims {
            let why = format!("has {} parts, not {}", vector.len(), self.dims);
            return Err(Fault::invalid("vector", why));
        }
        let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Err(Fault::invalid("vector", "has no direction"));
        }
        let parts: Vec<i16> =
            vector.iter().map(|part| (part / length * ONE).round() as i16).collect();
        // By the stored parts' own length, so that a vector has the cosine 1 with itself.
        let scale = 1.0 / (dot(&parts, &parts) as f32).sqrt();
        Ok(Quantised { parts, scale })
    }

    /// Writes a row.
    pub fn put(&mut self, row: u32, vector: &Quantised) {
        let row = row as usize;
        if self.scales.len() <= row {
            self.scales.resize(row + 1, 0.0);
            self.parts.resize((row + 1) * self.dims, 0);
        }
        self.parts[row * self.dims..(row + 1) * self.dims].copy_from_slice(&vector.parts);
        self.scales[row] = vector.scale;
    }

    /// Empties a row.
    pub fn clear(&mut self, row: u32) {
        if let Some(scale) = self.scales.get_mut(row as usize) {
            *scale = 0.0;
        }
    }

    /// The `count` rows with the highest cosines of at least `least`, the highest first.
    pub fn nearest(&self, query: &Quantised, least: f32, count: usize) -> Vec<(f32, u32)> {
        let mut nearest: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
        let rows = self.parts.chunks_exact(self.dims).zip(&self.scales).enumerate();
        for (row, (parts, scale)) in rows {
            let cosine = dot(parts, &query.parts) as f32 * scale * query.scale;
            if *scale <= 0.0 || cosine < least {
                continue;
            }
            if nearest.len() == count && nearest.last().is_some_and(|(last, _)| cosine <= *last) {
                continue;
            }
            let place = nearest.partition_point(|(other, _)| *other >= cosine);
            nearest.insert(place, (cosine, row as u32));
            nearest.truncate(count);
        }
        nearest
    }
}

fn dot(one: &[i16], other: &[i16]) -> i32 {
    one.iter().zip(other).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cosine(one: &[f32], other: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
    }

    fn vector(dims: usize) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-1.0_f32..1.0, dims)
            .prop_filter("has a direction", |v| v.iter().any(|part| part.abs() > 0.1))
    }

    proptest! {
        #[test]
        fn a_stored_cosine_is_off_by_less_than_a_thousandth(
            one in vector(384), noise in vector(384), amount in 0.0_f32..2.0,
        ) {
            let other: Vec<f32> = one.iter().zip(&noise).map(|(a, b)| a + amount * b).collect();
            let mut slab = Slab::new(384);
            slab.put(0, &slab.quantise(&one).unwrap());
            let query = slab.quantise(&other).unwrap();
            let (got, _) = slab.nearest(&query, -1.0, 1)[0];
            prop_assert!((got - cosine(&one, &other)).abs() < 0.001, "{}", got);
        }

        #[test]
        fn the_nearest_are_those_of_a_full_sort(
            rows in prop::collection::vec(prop::option::of(vector(8)), 1..30),
            query in vector(8),
            least in -1.0_f32..1.0,
        ) {
            let mut slab = Slab::new(8);
            for (row, vector) in rows.iter().enumerate() {
                let given = vector.clone().unwrap_or_else(|| vec![1.0; 8]);
                slab.put(row as u32, &slab.quantise(&given).unwrap());
                if vector.is_none() {
                    slab.clear(row as u32);
                }
            }
            let query = slab.quantise(&query).unwrap();
            let all = slab.nearest(&query, -2.0, rows.len());
            prop_assert_eq!(all.len(), rows.iter().flatten().count(), "empty rows are skipped");
            let mut wanted = all.clone();
            wanted.retain(|(cosine, _)| *cosine >= least);
            wanted.truncate(3);
            prop_assert_eq!(slab.nearest(&query, least, 3), wanted);
            prop_assert!(all.windows(2).all(|pair| pair[0].0 >= pair[1].0));
        }
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        let slab = Slab::new(2);
        for wrong in [vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![1.0], vec![f32::INFINITY, 1.0]] {
            assert_eq!(slab.quantise(&wrong).unwrap_err().details["field"], "vector", "{wrong:?}");
        }
        let own = slab.quantise(&[3.0, -4.0]).unwrap();
        let mut slab = slab;
        slab.put(5, &own);
        let (cosine, row) = slab.nearest(&own, 0.5, 4)[0];
        assert!((cosine - 1.0).abs() < 1e-6 && row == 5);
    }
}
