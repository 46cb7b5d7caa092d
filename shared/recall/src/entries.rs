//! The entries of an index: their keys, which terms each says, and who came before whom.
//!
//! Invariant: a number belongs to one entry at a time, and a free one holds nothing of its last.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::postings::{Posting, next, read, write};

/// Entries by number and by key.
#[derive(Debug)]
pub(crate) struct Entries<K> {
    numbers: HashMap<K, u32>,
    entries: Vec<Option<Entry<K>>>,
    free: Vec<u32>,
    /// Who came before, and who after. No key is smaller than none, so that a range can begin there.
    links: BTreeSet<(K, Option<K>)>,
    /// Terms of all entries together, with repetitions.
    total_length: u64,
    /// Entries whose words are known.
    with_words: u32,
}

/// One of them.
#[derive(Debug)]
struct Entry<K> {
    key: K,
    previous: Option<K>,
    /// Terms with repetitions.
    length: u32,
    /// The numbers of its terms in ascending order, with how often each is said.
    words: Option<Box<[u8]>>,
}

impl<K: Copy + Ord + Hash> Entries<K> {
    pub(crate) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            links: BTreeSet::new(),
            total_length: 0,
            with_words: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// How many have words; an average needs one at least.
    pub(crate) fn with_words(&self) -> u32 {
        self.with_words
    }

    /// Whether any entry has one before it.
    pub(crate) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// The average number of terms in those that have words.
    pub(crate) fn average_length(&self) -> f32 {
        (self.total_length as f64 / f64::from(self.with_words.max(1))) as f32
    }

    pub(crate) fn find(&self, key: K) -> Option<u32> {
        self.numbers.get(&key).copied()
    }

    pub(crate) fn key(&self, number: u32) -> Option<K> {
        Some(self.entries.get(number as usize)?.as_ref()?.key)
    }

    pub(crate) fn length(&self, number: u32) -> u32 {
        self.entries.get(number as usize).and_then(Option::as_ref).map_or(0, |entry| entry.length)
    }

    pub(crate) fn has_words(&self, number: u32) -> bool {
        let entry = self.entries.get(number as usize).and_then(Option::as_ref);
        entry.is_some_and(|entry| entry.words.is_some())
    }

    /// Every entry, in the order of its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, K)> + '_ {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(number, entry)| Some((number as u32, entry.as_ref()?.key)))
    }

    /// Those right before and right after an entry, as far as they are here.
    pub(crate) fn neighbours(&self, number: u32) -> [Option<u32>; 2] {
        let Some(entry) = self.entries.get(number as usize).and_then(Option::as_ref) else {
            return [None, None];
        };
        let before = entry.previous.and_then(|key| self.find(key));
        // If several follow, the first of them.
        let after = self.links.range((entry.key, None)..).next();
        let after = after.filter(|(before, _)| *before == entry.key);
        [before, after.and_then(|(_, after)| self.find((*after)?))]
    }

    /// The number of a key, a new one if need be.
    pub(crate) fn ensure(&mut self, key: K) -> u32 {
        if let Some(number) = self.find(key) {
            return number;
        }
        let entry = Some(Entry { key, previous: None, length: 0, words: None });
        let number = if let Some(number) = self.free.pop() {
            self.entries[number as usize] = entry;
            number
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.numbers.insert(key, number);
        number
    }

    /// Notes the words of an entry that has none.
    pub(crate) fn set_words(
        &mut self,
        number: u32,
        terms: &mut [Posting],
        length: u32,
        previous: Option<K>,
    ) {
        let Some(Some(entry)) = self.entries.get_mut(number as usize) else { return };
        terms.sort_unstable_by_key(|term| term.entry);
        let mut bytes = Vec::with_capacity(terms.len() * 3);
        let mut last = 0;
        for term in terms {
            let once = term.count == 1;
            write(u64::from(term.entry - last) << 1 | u64::from(once), &mut bytes);
            if !once {
                bytes.push(term.count);
            }
            last = term.entry;
        }
        entry.words = Some(bytes.into());
        entry.length = length;
        // Nobody comes before itself.
        entry.previous = previous.filter(|previous| *previous != entry.key);
        if let Some(previous) = entry.previous {
            self.links.insert((previous, Some(entry.key)));
        }
        self.total_length += u64::from(length);
        self.with_words += 1;
    }

    /// Forgets the words of an entry; its terms, if it had any.
    pub(crate) fn take_words(&mut self, number: u32) -> Vec<Posting> {
        let Some(Some(entry)) = self.entries.get_mut(number as usize) else { return Vec::new() };
        let Some(words) = entry.words.take() else { return Vec::new() };
        self.total_length -= u64::from(entry.length);
        self.with_words -= 1;
        entry.length = 0;
        if let Some(previous) = entry.previous.take() {
            self.links.remove(&(previous, Some(entry.key)));
        }
        terms(&words).collect()
    }

    /// The terms of an entry in the order of their numbers: a number, and how often.
    pub(crate) fn words(&self, number: u32) -> impl Iterator<Item = Posting> + '_ {
        let entry = self.entries.get(number as usize).and_then(Option::as_ref);
        terms(entry.and_then(|entry| entry.words.as_deref()).unwrap_or_default())
    }

    /// Removes an entry whose words are forgotten.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(entry) = self.entries.get_mut(number as usize).and_then(Option::take) {
            self.numbers.remove(&entry.key);
            self.free.push(number);
        }
    }

    /// Bytes on the heap, about.
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.entries.iter().flatten();
        let within: usize = entries.map(|entry| entry.words.as_ref().map_or(0, |w| w.len())).sum();
        within
            + self.entries.capacity() * size_of::<Option<Entry<K>>>()
            + self.numbers.capacity() * 8 / 7 * (size_of::<(K, u32)>() + 1)
            + self.free.capacity() * size_of::<u32>()
            // A tree's nodes are two thirds full.
            + self.links.len() * size_of::<(K, Option<K>)>() * 3 / 2
    }
}

fn terms(words: &[u8]) -> impl Iterator<Item = Posting> + '_ {
    let mut rest = words;
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let gap = read(&mut rest);
        number += (gap >> 1) as u32;
        let count = if gap & 1 == 1 { 1 } else { next(&mut rest) };
        Some(Posting { entry: number, count })
    })
}
