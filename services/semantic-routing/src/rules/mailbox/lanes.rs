//! The lanes of a mailbox, and which of them can hand something out.
//!
//! Invariant: a lane stands in `ready` or in `waiting` exactly if something waits in it and nothing of
//! it is out; in `waiting` if its first message may not be delivered before a time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use super::{Entry, EntryState, LaneKey, Wanted};
use troupe_domain::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Ready(i64, u64),
    Waiting(Timestamp),
}

#[derive(Debug, Default)]
struct Lane {
    /// What waits, with the time before which it may not be delivered.
    queued: BTreeMap<u64, Option<Timestamp>>,
    /// How urgent everything that waits is.
    urgency: BTreeSet<(i64, u64)>,
    out: BTreeSet<u64>,
    place: Option<Place>,
}

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<LaneKey, Lane>,
    ready: BTreeSet<(i64, u64, LaneKey)>,
    waiting: BTreeSet<(Timestamp, LaneKey)>,
}

fn urgency(entry: &Entry) -> i64 {
    entry.message.priority.queue_key(entry.message.created_at)
}

impl Lanes {
    pub(super) fn insert(&mut self, key: &LaneKey, seq: u64, entry: &Entry) {
        if !self.lanes.contains_key(key) {
            self.lanes.insert(key.clone(), Lane::default());
        }
        let Some(lane) = self.lanes.get_mut(key) else { return };
        match entry.state {
            EntryState::Queued { not_before } => {
                lane.queued.insert(seq, not_before);
                lane.urgency.insert((urgency(entry), seq));
            }
            EntryState::Out { .. } => {
                lane.out.insert(seq);
            }
        }
        self.settle(key, None);
    }

    pub(super) fn remove(&mut self, key: &LaneKey, seq: u64, entry: &Entry) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.queued.remove(&seq);
        lane.urgency.remove(&(urgency(entry), seq));
        lane.out.remove(&seq);
        self.settle(key, None);
    }

    /// Puts a lane where it belongs. With `woken`, waits that are over by then do not count.
    fn settle(&mut self, key: &LaneKey, woken: Option<Timestamp>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let first = lane.queued.first_key_value();
        let place = match (first, lane.urgency.first()) {
            (Some((seq, not_before)), Some((urgency, _))) if lane.out.is_empty() => {
                match not_before.filter(|at| woken.is_none_or(|now| *at > now)) {
                    Some(at) => Some(Place::Waiting(at)),
                    None => Some(Place::Ready(*urgency, *seq)),
                }
            }
            _ => None,
        };
        let is_gone = lane.queued.is_empty() && lane.out.is_empty();
        if lane.place != place {
            match std::mem::replace(&mut lane.place, place.clone()) {
                Some(Place::Ready(u, seq)) => drop(self.ready.remove(&(u, seq, key.clone()))),
                Some(Place::Waiting(at)) => drop(self.waiting.remove(&(at, key.clone()))),
                None => {}
            }
            match place {
                Some(Place::Ready(u, seq)) => drop(self.ready.insert((u, seq, key.clone()))),
                Some(Place::Waiting(at)) => drop(self.waiting.insert((at, key.clone()))),
                None => {}
            }
        }
        if is_gone {
            self.lanes.remove(key);
        }
    }

    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.waiting.first().filter(|(at, _)| *at <= now).cloned() {
            self.settle(&key, Some(now));
        }
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _)| *at)
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// What is handed out, of all lanes.
    pub(super) fn out(&self) -> impl Iterator<Item = u64> {
        self.lanes.values().flat_map(|lane| lane.out.iter().copied())
    }

    /// A lane, with what it hands out first, if it is ready.
    fn ready_of(&self, key: LaneKey) -> Option<(i64, u64, LaneKey)> {
        match self.lanes.get(&key)?.place {
            Some(Place::Ready(urgency, seq)) => Some((urgency, seq, key)),
            Some(Place::Waiting(_)) | None => None,
        }
    }

    /// Gives `take` one place after the other, in the order of handing out, until it wants no more.
    /// A lane that gave one goes on with its next.
    pub(super) fn each_ready(
        &self,
        wanted: &Wanted,
        now: Timestamp,
        mut take: impl FnMut(u64) -> bool,
    ) {
        let (all, single) = match wanted {
            Wanted::AnswersTo(request) => (None, self.ready_of(LaneKey::Request(request.clone()))),
            Wanted::Everything | Wanted::NoAnswers => (Some(&self.ready), None),
        };
        let answers = !matches!(wanted, Wanted::NoAnswers);
        let fits =
            |(_, _, key): &&(i64, u64, LaneKey)| answers || !matches!(key, LaneKey::Request(_));
        let mut fresh = all.into_iter().flatten().filter(fits).chain(&single).peekable();
        let mut going: BinaryHeap<Reverse<(i64, u64, &LaneKey)>> = BinaryHeap::new();
        loop {
            let next = match (fresh.peek(), going.peek()) {
                (Some((u, seq, key)), Some(Reverse(other))) if (*u, *seq, key) > *other => None,
                (Some(_), _) => fresh.next(),
                (None, _) => None,
            };
            let (seq, key) = match next {
                Some((_, seq, key)) => (*seq, key),
                None => match going.pop() {
                    Some(Reverse((_, seq, key))) => (seq, key),
                    None => return,
                },
            };
            if !take(seq) {
                return;
            }
            let Some(lane) = self.lanes.get(key) else { continue };
            // What is left of the lane: everything after the place that was just given.
            let following = lane.queued.range(seq + 1..).next();
            if let Some((next, not_before)) = following
                && not_before.is_none_or(|at| at <= now)
                && let Some((u, _)) = lane.urgency.iter().find(|(_, s)| s >= next)
            {
                going.push(Reverse((*u, *next, key)));
            }
        }
    }
}
