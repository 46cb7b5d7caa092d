//! Batches that replicas are to be told of, in the order in which they were taken in.
//!
//! Bounded: where telling falls behind, the oldest are not told, and who misses them asks.

use std::collections::VecDeque;

use troupe_contract::plan::Bytes64;
use troupe_domain::plan::ObjectId;

/// Batches that wait to be told.
pub const MAX_UNTOLD_BATCHES: usize = 8_192;
/// Bytes of them.
pub const MAX_UNTOLD_BYTES: usize = 16 * 1024 * 1024;

/// Batches that wait to be told.
#[derive(Debug, Default)]
pub struct Outbox {
    batches: VecDeque<(ObjectId, Bytes64)>,
    bytes: usize,
    /// How many there were before the first that is here.
    before: u64,
}

impl Outbox {
    /// A batch was taken in.
    pub fn push(&mut self, object: ObjectId, batch: Bytes64) {
        self.bytes += batch.len();
        self.batches.push_back((object, batch));
        while self.batches.len() > MAX_UNTOLD_BATCHES || self.bytes > MAX_UNTOLD_BYTES {
            self.pop();
        }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// All that wait, and where they end.
    pub fn all(&self) -> (Vec<(ObjectId, Bytes64)>, u64) {
        (self.batches.iter().cloned().collect(), self.before + self.batches.len() as u64)
    }

    /// Everything before `end` was told.
    pub fn told(&mut self, end: u64) {
        while self.before < end && !self.batches.is_empty() {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, batch)) = self.batches.pop_front() {
            self.bytes -= batch.len();
            self.before += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_others_are_told_waits_and_the_oldest_give_way() {
        let object = ObjectId::parse("p").unwrap();
        let mut outbox = Outbox::default();
        let batch = |byte: u8| Bytes64::from(vec![byte; 1024 * 1024]);
        outbox.push(object.clone(), batch(0));
        let (first, end) = outbox.all();
        outbox.push(object.clone(), batch(1));
        outbox.told(end);
        let (second, _) = outbox.all();
        assert_eq!((first[0].1.as_ref()[0], second[0].1.as_ref()[0], second.len()), (0, 1, 1));
        (2..30).for_each(|byte| outbox.push(object.clone(), batch(byte)));
        let (left, end) = outbox.all();
        assert_eq!((left.len(), left[0].1.as_ref()[0], end), (16, 14, 30));
    }
}
