//! The signs of a vector's numbers, one bit each: a fraction of the time and an eighth of the memory of
//! the vector itself, and near where the vector is near.
//!
//! The sketches of many rows stand in planes: the first 32 signs of every row, then the next 32 of
//! every row, and so on, so that a scan takes several rows at a time.

/// Signs in a word.
const SIGNS: usize = 32;

/// Words whose signs can be counted in a byte each: of vectors with more than 992 numbers the first.
const WORDS_MAX: usize = 31;

/// Words for so many dimensions.
pub(crate) const fn words(dimensions: usize) -> usize {
    let words = dimensions.div_ceil(SIGNS);
    if words < WORDS_MAX { words } else { WORDS_MAX }
}

/// The signs of one vector.
#[derive(Debug)]
pub(crate) struct Sketch(Vec<u32>);

impl Sketch {
    pub(crate) fn of(parts: &[i8]) -> Self {
        let bits = |chunk: &[i8]| {
            let signs = chunk.iter().enumerate().map(|(at, part)| u32::from(*part >= 0) << at);
            signs.sum()
        };
        Self(parts.chunks(SIGNS).take(WORDS_MAX).map(bits).collect())
    }

    /// Writes it as one of `rows` rows.
    pub(crate) fn write(&self, planes: &mut [u32], rows: usize, at: usize) {
        for (word, plane) in self.0.iter().zip(planes.chunks_exact_mut(rows)) {
            plane[at] = *word;
        }
    }

    /// How many signs differ in each row; as many as there are `distances`.
    pub(crate) fn distances(&self, planes: &[u32], distances: &mut [u32]) {
        distances.fill(0);
        for (word, plane) in self.0.iter().zip(planes.chunks_exact(distances.len().max(1))) {
            for (distance, row) in distances.iter_mut().zip(plane) {
                *distance = distance.wrapping_add(ones(row ^ word));
            }
        }
        for distance in distances {
            let twos = (*distance & 0x00ff_00ff).wrapping_add((*distance >> 8) & 0x00ff_00ff);
            *distance = twos.wrapping_add(twos >> 16) & 0xffff;
        }
    }
}

/// How many bits of each byte are set, in that byte. Unlike the processor's own instruction this is
/// done for several rows at a time on every processor. [`WORDS_MAX`] of
/// them can be added before a byte is full.
fn ones(word: u32) -> u32 {
    let pairs = word.wrapping_sub((word >> 1) & 0x5555_5555);
    let fours = (pairs & 0x3333_3333).wrapping_add((pairs >> 2) & 0x3333_3333);
    fours.wrapping_add(fours >> 4) & 0x0f0f_0f0f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_the_signs_that_differ() {
        for dimensions in [3, 32, 64, 100, 384] {
            let one = vec![1_i8; dimensions];
            let wanted = [0, 1, dimensions / 2, dimensions];
            let mut planes = vec![0; words(dimensions) * wanted.len()];
            for (at, differing) in wanted.iter().enumerate() {
                let mut other = one.clone();
                other[..*differing].fill(-1);
                Sketch::of(&other).write(&mut planes, wanted.len(), at);
            }
            let mut distances = [9; 4];
            Sketch::of(&one).distances(&planes, &mut distances);
            assert_eq!(distances, wanted.map(|n| n as u32), "{dimensions}");
        }
    }

    #[test]
    fn of_a_very_long_vector_the_beginning_counts() {
        let [one, other] = [1_i8, -1].map(|part| Sketch::of(&vec![part; 4_096]));
        let mut planes = vec![0; words(4_096)];
        other.write(&mut planes, 1, 0);
        let mut distances = [0];
        one.distances(&planes, &mut distances);
        assert_eq!(distances, [(WORDS_MAX * SIGNS) as u32]);
    }
}
