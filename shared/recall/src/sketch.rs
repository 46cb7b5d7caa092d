//! The signs of a vector's numbers, one bit each: a thirtieth of the time and an eighth of the memory
//! of the vector itself, and near where the vector is near.

/// Words of 64 signs for so many dimensions.
pub(crate) const fn words(dimensions: usize) -> usize {
    dimensions.div_ceil(64)
}

/// Words in the sketch of a vector of 384 numbers, the usual kind.
const USUAL_WORDS: usize = 6;

/// The signs of one vector.
#[derive(Debug)]
pub(crate) struct Sketch(Vec<u64>);

impl Sketch {
    pub(crate) fn of(parts: &[i8]) -> Self {
        let bits = |chunk: &[i8]| {
            let signs = chunk.iter().enumerate().map(|(at, part)| u64::from(*part >= 0) << at);
            signs.sum()
        };
        Self(parts.chunks(64).map(bits).collect())
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    /// How many signs differ in each of `rows`; replaces `distances`.
    pub(crate) fn distances(&self, rows: &[u64], distances: &mut Vec<u16>) {
        distances.clear();
        if let Ok(own) = <[u64; USUAL_WORDS]>::try_from(self.words()) {
            // Of a length that is known when this is compiled: several at a time.
            let rows = rows.as_chunks::<USUAL_WORDS>().0.iter();
            distances.extend(rows.map(|row| {
                let apart = (0..USUAL_WORDS).map(|n| (row[n] ^ own[n]).count_ones());
                apart.sum::<u32>() as u16
            }));
            return;
        }
        let rows = rows.chunks_exact(self.0.len().max(1));
        distances.extend(rows.map(|row| {
            let apart = row.iter().zip(&self.0).map(|(a, b)| (a ^ b).count_ones());
            apart.sum::<u32>() as u16
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_the_signs_that_differ() {
        for dimensions in [3, 64, 100, 384] {
            let one = vec![1_i8; dimensions];
            let mut rows = Vec::new();
            for differing in [0, 1, dimensions / 2, dimensions] {
                let mut other = one.clone();
                other[..differing].fill(-1);
                rows.extend_from_slice(Sketch::of(&other).words());
            }
            let mut distances = vec![9];
            Sketch::of(&one).distances(&rows, &mut distances);
            let wanted = [0, 1, dimensions / 2, dimensions].map(|n| n as u16);
            assert_eq!(distances, wanted, "{dimensions}");
        }
    }
}
