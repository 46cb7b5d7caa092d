//! Which entries say a term, and how often.
//!
//! Invariant: entries in ascending order, each once, in blocks of at most [`BLOCK_MAX`]. A block is a
//! few bytes an entry (distances, and counts where they are not 1), is changed by itself, and knows
//! bounds of what is in it, so that a search passes over most blocks without reading them.

/// Entries in a block. A change reads and writes one block.
pub(crate) const BLOCK_MAX: usize = 128;

/// Entries that say a term.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    blocks: Vec<Block>,
    count: u32,
}

/// Some of them.
#[derive(Debug)]
pub(crate) struct Block {
    first: u32,
    last: u32,
    count: u16,
    /// No count in here is greater.
    tf_max: u8,
    /// No entry in here is shorter.
    length_min: u16,
    bytes: Vec<u8>,
}

/// An entry that says a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posting {
    /// The entry.
    pub(crate) entry: u32,
    /// How often.
    pub(crate) count: u8,
}

impl Postings {
    /// How many entries.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Adds an entry that is not there, of so many terms in all.
    pub(crate) fn insert(&mut self, posting: Posting, length: u32) {
        self.count += 1;
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let at = self.blocks.partition_point(|block| block.last < posting.entry);
        if at == self.blocks.len() {
            match self.blocks.last_mut() {
                Some(last) if usize::from(last.count) < BLOCK_MAX => last.append(posting, length),
                _ => {
                    // Most terms are said by one entry, and need no room for more.
                    if self.blocks.is_empty() {
                        self.blocks.reserve_exact(1);
                    }
                    self.blocks.push(Block::of(posting, length));
                }
            }
            return;
        }
        let block = &mut self.blocks[at];
        let mut postings = block.read();
        let place = postings.partition_point(|other| other.entry < posting.entry);
        postings.insert(place, posting);
        let length_min = block.length_min.min(length);
        if postings.len() > BLOCK_MAX {
            let upper = postings.split_off(postings.len() / 2);
            self.blocks.insert(at + 1, Block::of_all(&upper, length_min));
        }
        self.blocks[at] = Block::of_all(&postings, length_min);
    }

    /// Removes an entry, if it is there.
    pub(crate) fn remove(&mut self, entry: u32) {
        let at = self.blocks.partition_point(|block| block.last < entry);
        let Some(block) = self.blocks.get(at) else { return };
        let mut postings = block.read();
        let Ok(place) = postings.binary_search_by_key(&entry, |posting| posting.entry) else {
            return;
        };
        postings.remove(place);
        self.count -= 1;
        if postings.is_empty() {
            self.blocks.remove(at);
            return;
        }
        self.blocks[at] = Block::of_all(&postings, block.length_min);
        // Small blocks are joined, so that many removals leave few.
        if !self.join(at) && at > 0 {
            self.join(at - 1);
        }
    }

    /// Joins a block with the next one if both together are small.
    fn join(&mut self, at: usize) -> bool {
        let [one, next] = [at, at + 1].map(|at| self.blocks.get(at));
        let (Some(one), Some(next)) = (one, next) else { return false };
        if usize::from(one.count + next.count) > BLOCK_MAX / 2 {
            return false;
        }
        let postings = [one.read(), next.read()].concat();
        self.blocks[at] = Block::of_all(&postings, one.length_min.min(next.length_min));
        self.blocks.remove(at + 1);
        true
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let within: usize = self.blocks.iter().map(|block| block.bytes.capacity()).sum();
        within + self.blocks.capacity() * size_of::<Block>()
    }
}

impl Block {
    fn of(posting: Posting, length: u16) -> Self {
        let Posting { entry, count } = posting;
        let mut block = Self {
            first: entry,
            last: entry,
            count: 0,
            tf_max: count,
            length_min: length,
            bytes: Vec::new(),
        };
        block.append(posting, length);
        block
    }

    /// Of one posting at least.
    fn of_all(postings: &[Posting], length_min: u16) -> Self {
        let mut block = Self::of(postings[0], length_min);
        for posting in &postings[1..] {
            block.append(*posting, length_min);
        }
        block.bytes.shrink_to_fit();
        block
    }

    /// Adds an entry behind all others.
    fn append(&mut self, posting: Posting, length: u16) {
        let once = posting.count == 1;
        let gap = u64::from(posting.entry - self.last) << 1 | u64::from(once);
        write(gap, &mut self.bytes);
        if !once {
            self.bytes.push(posting.count);
        }
        self.last = posting.entry;
        self.count += 1;
        self.tf_max = self.tf_max.max(posting.count);
        self.length_min = self.length_min.min(length);
    }

    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// The greatest count, and the smallest length, that an entry in here can have.
    pub(crate) fn bounds(&self) -> (u8, u16) {
        (self.tf_max, self.length_min)
    }

    fn read(&self) -> Vec<Posting> {
        let mut postings = Vec::with_capacity(usize::from(self.count) + 1);
        self.read_into(&mut postings);
        postings
    }

    /// Replaces `postings` by what is in here.
    pub(crate) fn read_into(&self, postings: &mut Vec<Posting>) {
        postings.clear();
        let mut bytes = self.bytes.as_slice();
        let mut entry = self.first;
        for _ in 0..self.count {
            let gap = read(&mut bytes);
            entry += (gap >> 1) as u32;
            let count = if gap & 1 == 1 { 1 } else { next(&mut bytes) };
            postings.push(Posting { entry, count });
        }
    }
}

/// Writes seven bits a byte, the lowest first; the eighth says that more follow.
pub(crate) fn write(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what [`write`] wrote, and moves on behind it.
pub(crate) fn read(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let byte = next(bytes);
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        // More than nine bytes were never written.
        if byte < 0x80 || shift > 56 {
            return number;
        }
    }
}

/// The next byte; 0 where there is none, which is never so in what was written here.
pub(crate) fn next(bytes: &mut &[u8]) -> u8 {
    let Some((byte, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    *byte
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn all(postings: &Postings) -> Vec<(u32, u8)> {
        let read = postings.blocks.iter().flat_map(Block::read);
        read.map(|posting| (posting.entry, posting.count)).collect()
    }

    proptest! {
        #[test]
        fn postings_are_a_sorted_map(
            changes in prop::collection::vec((0_u32..900, 1_u8..5, prop::bool::weighted(0.7)), 0..1500),
        ) {
            let mut postings = Postings::default();
            let mut model = BTreeMap::new();
            for (entry, count, add) in changes {
                if !add {
                    postings.remove(entry);
                    model.remove(&entry);
                } else if model.insert(entry, count).is_none() {
                    postings.insert(Posting { entry, count }, entry);
                } else {
                    postings.remove(entry);
                    postings.insert(Posting { entry, count }, entry);
                }
            }
            prop_assert_eq!(all(&postings), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(postings.count as usize, all(&postings).len());
            for block in &postings.blocks {
                let read = block.read();
                prop_assert!(!read.is_empty() && read.len() <= BLOCK_MAX);
                prop_assert_eq!(read.last().map(|posting| posting.entry), Some(block.last));
                let (tf_max, length_min) = block.bounds();
                let within = |posting: &Posting| {
                    posting.count <= tf_max && posting.entry >= u32::from(length_min)
                };
                prop_assert!(read.iter().all(within));
            }
        }

        #[test]
        fn numbers_come_back(number in 0_u64..1 << 40) {
            let mut bytes = vec![];
            write(number, &mut bytes);
            prop_assert_eq!(read(&mut bytes.as_slice()), number);
        }
    }

    #[test]
    fn many_removals_leave_few_blocks() {
        let mut postings = Postings::default();
        for entry in 0..10_000 {
            postings.insert(Posting { entry, count: 1 }, 9);
        }
        for entry in (0..10_000).filter(|entry| entry % 50 != 0) {
            postings.remove(entry);
        }
        assert_eq!(all(&postings).len(), 200);
        assert!(postings.blocks.len() <= 8, "{}", postings.blocks.len());
    }
}
