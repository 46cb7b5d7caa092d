//! A walk over the entries that say a term, in order, passing over what is not wanted.

use crate::postings::{Block, Posting, Postings};

/// A place in the postings of one term.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    blocks: &'a [Block],
    /// The block that was read.
    block: usize,
    read: Vec<Posting>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(postings: &'a Postings) -> Self {
        let mut cursor = Self { blocks: postings.blocks(), block: 0, read: Vec::new(), at: 0 };
        cursor.load();
        cursor
    }

    /// Where it stands; `None` behind the last.
    pub(crate) fn posting(&self) -> Option<Posting> {
        self.read.get(self.at).copied()
    }

    /// Moves to the next.
    pub(crate) fn advance(&mut self) {
        self.at += 1;
        if self.at >= self.read.len() {
            self.block += 1;
            self.load();
        }
    }

    /// Moves on to `entry`, or to the first one behind it.
    pub(crate) fn seek(&mut self, entry: u32) {
        if self.posting().is_none_or(|posting| posting.entry >= entry) {
            return;
        }
        if self.blocks[self.block].last() < entry {
            let rest = &self.blocks[self.block..];
            self.block += rest.partition_point(|block| block.last() < entry);
            self.load();
        }
        self.at += self.read[self.at..].partition_point(|posting| posting.entry < entry);
    }

    fn load(&mut self) {
        self.at = 0;
        match self.blocks.get(self.block) {
            Some(block) => block.read_into(&mut self.read),
            None => self.read.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_is_there_and_what_comes_next() {
        let mut postings = Postings::default();
        for entry in (0..3_000).map(|n| n * 3) {
            postings.insert(Posting { entry, count: 1 }, 1);
        }
        for step in [1_u32, 2, 7, 400, 1_000, 5_000] {
            let mut cursor = Cursor::new(&postings);
            let mut wanted = 0_u32;
            while let Some(posting) = cursor.posting() {
                assert_eq!(posting.entry, wanted.next_multiple_of(3));
                wanted = posting.entry + step;
                cursor.seek(wanted);
            }
            assert!(wanted.next_multiple_of(3) > 8_997);
        }
        let mut cursor = Cursor::new(&postings);
        let mut count = 0;
        while cursor.posting().is_some() {
            cursor.advance();
            count += 1;
        }
        assert_eq!(count, 3_000);
        cursor.seek(1);
        assert!(Cursor::new(&Postings::default()).posting().is_none());
    }
}
