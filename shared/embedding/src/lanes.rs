//! What waits, and which of it makes the next batch. Pure: no threads, no clock.
//!
//! Two lanes: requests of callers who wait for one answer, and work in bulk. Invariants: the
//! oldest of the lane whose turn it is is always in the batch, so nothing waits for ever; every
//! few turns are the bulk lane's, so a stream of requests does not stop it.

use std::collections::VecDeque;

/// Every so many batches the bulk lane comes first.
const BULK_TURN_BATCHES: u64 = 4;
/// How far back in a lane texts of like length are looked for.
const WINDOW_TEXTS: usize = 32;

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A caller, for this one answer.
    Request,
    /// One of many texts of one caller.
    Bulk,
}

#[derive(Debug)]
struct Waiting<T> {
    length: usize,
    item: T,
}

/// The two lanes.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    requests: VecDeque<Waiting<T>>,
    bulk: VecDeque<Waiting<T>>,
    turn: u64,
}

/// A batch, and how many were left out because nobody waits for them any more.
#[derive(Debug, PartialEq)]
pub(crate) struct Batch<T> {
    pub(crate) items: Vec<T>,
    pub(crate) skipped: usize,
}

impl<T> Lanes<T> {
    pub(crate) const fn new() -> Self {
        Self { requests: VecDeque::new(), bulk: VecDeque::new(), turn: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len() + self.bulk.len()
    }

    /// `length` is that of the text, in any unit.
    pub(crate) fn push(&mut self, lane: Lane, length: usize, item: T) {
        self.lane(lane).push_back(Waiting { length, item });
    }

    /// Takes everything.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let all = self.requests.drain(..).chain(self.bulk.drain(..));
        all.map(|waiting| waiting.item).collect()
    }

    /// The next batch, of `max_batch` texts at most, where `idle` other workers could take some of
    /// what waits at the same time. What is `gone` is left out.
    ///
    /// A batch costs what its longest text costs, times its size. So the oldest text is joined by
    /// those that are nearest to it in length.
    pub(crate) fn next_batch(
        &mut self,
        max_batch: usize,
        idle: usize,
        gone: impl Fn(&T) -> bool,
    ) -> Batch<T> {
        let before = self.len();
        for lane in [Lane::Request, Lane::Bulk] {
            forget(self.lane(lane), &gone);
        }
        let skipped = before - self.len();
        let size = self.len().div_ceil(idle + 1).min(max_batch);
        let bulk_first = self.turn % BULK_TURN_BATCHES == BULK_TURN_BATCHES - 1;
        self.turn += 1;
        let order =
            if bulk_first { [Lane::Bulk, Lane::Request] } else { [Lane::Request, Lane::Bulk] };
        let mut items = Vec::with_capacity(size);
        let mut oldest = None;
        for lane in order {
            let lane = self.lane(lane);
            if oldest.is_none() && size > 0 {
                oldest = lane.pop_front().map(|first| {
                    items.push(first.item);
                    first.length
                });
            }
            if let Some(length) = oldest {
                take_nearest(lane, length, size - items.len(), &mut items);
            }
        }
        Batch { items, skipped }
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiting<T>> {
        match lane {
            Lane::Request => &mut self.requests,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

/// Drops what is gone at the head of a lane, as far as a batch could reach.
fn forget<T>(lane: &mut VecDeque<Waiting<T>>, gone: impl Fn(&T) -> bool) {
    let mut position = 0;
    while position < lane.len().min(WINDOW_TEXTS) {
        if gone(&lane[position].item) {
            lane.remove(position);
        } else {
            position += 1;
        }
    }
}

/// Moves the `count` texts that are nearest in length, of the oldest in the lane.
fn take_nearest<T>(
    lane: &mut VecDeque<Waiting<T>>,
    length: usize,
    count: usize,
    items: &mut Vec<T>,
) {
    let mut near: Vec<usize> = (0..lane.len().min(WINDOW_TEXTS)).collect();
    near.sort_by_key(|&position| lane[position].length.abs_diff(length));
    near.truncate(count);
    // From the back, so that the positions before stay what they are.
    near.sort_unstable_by(|a, b| b.cmp(a));
    let taken = near.into_iter().filter_map(|position| lane.remove(position));
    items.extend(taken.map(|waiting| waiting.item));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lanes(requests: &[usize], bulk: &[usize]) -> Lanes<usize> {
        let mut lanes = Lanes::new();
        requests.iter().for_each(|&length| lanes.push(Lane::Request, length, length));
        bulk.iter().for_each(|&length| lanes.push(Lane::Bulk, length, length));
        lanes
    }

    fn sorted(mut items: Vec<usize>) -> Vec<usize> {
        items.sort_unstable();
        items
    }

    #[test]
    fn the_oldest_is_joined_by_texts_of_like_length() {
        let mut lanes = lanes(&[10, 500, 11, 90, 12], &[]);
        assert_eq!(sorted(lanes.next_batch(3, 0, |_| false).items), [10, 11, 12]);
        assert_eq!(sorted(lanes.next_batch(3, 0, |_| false).items), [90, 500]);
        assert_eq!(lanes.next_batch(3, 0, |_| false).items, Vec::<usize>::new());
    }

    #[test]
    fn idle_workers_share_what_waits() {
        let mut lanes = lanes(&[1, 2, 3, 4], &[]);
        assert_eq!(lanes.next_batch(8, 1, |_| false).items.len(), 2);
        assert_eq!(lanes.next_batch(8, 5, |_| false).items.len(), 1);
        assert_eq!(lanes.next_batch(8, 0, |_| false).items.len(), 1);
    }

    #[test]
    fn requests_go_before_bulk_but_not_for_ever() {
        let mut lanes = lanes(&[1; 20], &[2; 20]);
        let first: Vec<usize> =
            (0..8).map(|_| lanes.next_batch(1, 0, |_| false).items[0]).collect();
        assert_eq!(first, [1, 1, 1, 2, 1, 1, 1, 2]);
    }

    #[test]
    fn a_batch_is_filled_from_the_other_lane() {
        let mut lanes = lanes(&[1], &[7, 2]);
        assert_eq!(sorted(lanes.next_batch(2, 0, |_| false).items), [1, 2]);
    }

    #[test]
    fn what_nobody_waits_for_is_left_out_and_counted() {
        let mut lanes = lanes(&[1, 2, 3], &[2]);
        assert_eq!(
            lanes.next_batch(9, 0, |&item| item == 2),
            Batch { items: vec![1, 3], skipped: 2 }
        );
    }

    proptest! {
        /// Whatever comes and however it is taken, each text comes out once, within a bounded
        /// number of batches for its place in its lane.
        #[test]
        fn everything_comes_out_once_and_nothing_starves(
            lengths in prop::collection::vec((any::<bool>(), 0_usize..300), 1..120),
            max_batch in 1_usize..9,
            idle in 0_usize..4,
        ) {
            let mut lanes = Lanes::new();
            for (item, &(bulk, length)) in lengths.iter().enumerate() {
                lanes.push(if bulk { Lane::Bulk } else { Lane::Request }, length, item);
            }
            let mut seen = vec![0; lengths.len()];
            let mut batches = 0;
            while lanes.len() > 0 {
                let heads = [lanes.requests.front(), lanes.bulk.front()];
                let heads: Vec<usize> = heads.into_iter().flatten().map(|w| w.item).collect();
                let batch = lanes.next_batch(max_batch, idle, |_| false);
                batches += 1;
                prop_assert!(!batch.items.is_empty() && batch.items.len() <= max_batch);
                prop_assert!(heads.contains(&batch.items[0]));
                batch.items.iter().for_each(|&item| seen[item] += 1);
            }
            prop_assert!(seen.iter().all(|&count| count == 1));
            prop_assert!(batches <= lengths.len());
        }
    }
}
