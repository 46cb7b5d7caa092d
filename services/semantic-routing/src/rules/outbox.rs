//! Letters to other shards, and which letters of other shards came.
//!
//! Each pair of shards has its own numbers without gaps, and letters are carried out in their order:
//! one number is enough to know which of them came.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use troupe_domain::Timestamp;

use super::record::LetterContent;

/// Letters to one shard that travel together.
pub const MAX_LETTERS_PER_PARCEL: usize = 1_024;
/// Bytes of letters to one shard that travel together, about.
pub const MAX_PARCEL_BYTES: usize = 2 * 1024 * 1024;

/// Serials of letters, by shard.
pub type Serials = Vec<(u16, u64)>;

/// A letter that waits to be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutLetter {
    /// Its place among the letters to the same shard, from 1.
    pub serial: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub content: LetterContent,
}

/// Letters to one shard that travel together.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The shard.
    pub to: u16,
    /// The serial of the first.
    pub first: u64,
    /// When the first was written.
    pub at: Timestamp,
    /// What they say.
    pub contents: Vec<LetterContent>,
}

impl Parcel {
    /// The serial of the last.
    pub fn last(&self) -> u64 {
        self.first + self.contents.len() as u64 - 1
    }
}

/// The letters of a shard.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<u16, VecDeque<OutLetter>>,
    /// The serial of the last letter to each shard.
    written: BTreeMap<u16, u64>,
    /// The serial of the last letter that came from each shard.
    arrived: BTreeMap<u16, u64>,
}

impl Outbox {
    /// Writes a letter.
    pub fn write(&mut self, to: u16, at: Timestamp, content: LetterContent) {
        let serial = self.written.entry(to).or_default();
        *serial += 1;
        let letter = OutLetter { serial: *serial, at, content };
        self.waiting.entry(to).or_default().push_back(letter);
    }

    /// Letters to a shard arrived, up to a serial.
    pub fn delivered(&mut self, to: u16, through: u64) {
        if let Some(waiting) = self.waiting.get_mut(&to) {
            while waiting.front().is_some_and(|letter| letter.serial <= through) {
                waiting.pop_front();
            }
            if waiting.is_empty() {
                self.waiting.remove(&to);
            }
        }
    }

    /// Whether a letter to `to` with this serial waits.
    pub fn waits(&self, to: u16, through: u64) -> bool {
        let first = self.waiting.get(&to).and_then(VecDeque::front);
        first.is_some_and(|letter| letter.serial <= through)
    }

    /// The serial of the last letter that came from a shard.
    pub fn arrived_from(&self, from: u16) -> u64 {
        self.arrived.get(&from).copied().unwrap_or(0)
    }

    /// A letter came.
    pub fn arrive(&mut self, from: u16, serial: u64) {
        self.arrived.insert(from, serial);
    }

    /// What to send: the oldest letters to each shard, for at most `limit` shards.
    pub fn parcels(&self, limit: usize) -> Vec<Parcel> {
        let parcels = self.waiting.iter().take(limit).filter_map(|(to, waiting)| {
            let first = waiting.front()?;
            let mut bytes = 0;
            let contents = waiting
                .iter()
                .take(MAX_LETTERS_PER_PARCEL)
                .enumerate()
                .take_while(|(index, letter)| {
                    bytes += letter.content.weight();
                    *index == 0 || bytes <= MAX_PARCEL_BYTES
                })
                .map(|(_, letter)| letter.content.clone())
                .collect();
            Some(Parcel { to: *to, first: first.serial, at: first.at, contents })
        });
        parcels.collect()
    }

    /// Letters that wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The serials of the last letters: written, and arrived.
    pub fn serials(&self) -> (Serials, Serials) {
        let list = |map: &BTreeMap<u16, u64>| map.iter().map(|(k, v)| (*k, *v)).collect();
        (list(&self.written), list(&self.arrived))
    }

    /// Every letter that waits, with its shard.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &OutLetter)> {
        self.waiting.iter().flat_map(|(to, waiting)| waiting.iter().map(|letter| (*to, letter)))
    }

    /// Puts back what a snapshot knew.
    pub fn restore_serials(&mut self, written: Serials, arrived: Serials) {
        self.written = written.into_iter().collect();
        self.arrived = arrived.into_iter().collect();
    }

    /// Puts back a letter.
    pub fn restore(&mut self, to: u16, letter: OutLetter) {
        self.waiting.entry(to).or_default().push_back(letter);
    }
}
