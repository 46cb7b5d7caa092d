//! The entries of an index: their keys, which terms each says, and who came before whom.
//!
//! Invariant: a number belongs to one entry at a time, and a free one holds nothing of its last.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::postings::{Posting, next, read, write};

/// Entries by number and by key. What a search reads of many entries stands close together.
#[derive(Debug)]
pub(crate) struct Entries<K> {
    numbers: HashMap<K, u32>,
    keys: Vec<Option<K>>,
    /// Terms of each, with repetitions.
    lengths: Vec<u16>,
    /// The numbers of each one's terms in ascending order, with how often each is said.
    words: Vec<Option<Box<[u8]>>>,
    previous: Vec<Option<K>>,
    free: Vec<u32>,
    /// Who came before, and who after. No key is smaller than none, so that a range can begin there.
    links: BTreeSet<(K, Option<K>)>,
    /// Terms of all entries together.
    total_length: u64,
    /// Entries whose words are known.
    with_words: u32,
}

impl<K: Copy + Ord + Hash> Entries<K> {
    pub(crate) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            keys: Vec::new(),
            lengths: Vec::new(),
            words: Vec::new(),
            previous: Vec::new(),
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
        *self.keys.get(number as usize)?
    }

    /// How many terms an entry says. What is longer than can be counted is as long as that.
    pub(crate) fn length(&self, number: u32) -> u16 {
        self.lengths.get(number as usize).copied().unwrap_or(0)
    }

    pub(crate) fn has_words(&self, number: u32) -> bool {
        self.words.get(number as usize).is_some_and(Option::is_some)
    }

    /// Every entry, in the order of its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, K)> + '_ {
        let keys = self.keys.iter().enumerate();
        keys.filter_map(|(number, key)| Some((number as u32, (*key)?)))
    }

    /// Those right before and right after an entry, as far as they are here.
    pub(crate) fn neighbours(&self, number: u32) -> [Option<u32>; 2] {
        let Some(key) = self.key(number) else { return [None, None] };
        let before = self.previous.get(number as usize).copied().flatten();
        let before = before.and_then(|before| self.find(before));
        // If several follow, the first of them.
        let after = self.links.range((key, None)..).next();
        let after = after.filter(|(before, _)| *before == key);
        [before, after.and_then(|(_, after)| self.find((*after)?))]
    }

    /// The number of a key, a new one if need be.
    pub(crate) fn ensure(&mut self, key: K) -> u32 {
        if let Some(number) = self.find(key) {
            return number;
        }
        let number = if let Some(number) = self.free.pop() {
            self.keys[number as usize] = Some(key);
            number
        } else {
            self.keys.push(Some(key));
            self.lengths.push(0);
            self.words.push(None);
            self.previous.push(None);
            (self.keys.len() - 1) as u32
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
        let (at, Some(key)) = (number as usize, self.key(number)) else { return };
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
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.words[at] = Some(bytes.into());
        self.lengths[at] = length;
        // Nobody comes before itself.
        self.previous[at] = previous.filter(|previous| *previous != key);
        if let Some(previous) = self.previous[at] {
            self.links.insert((previous, Some(key)));
        }
        self.total_length += u64::from(length);
        self.with_words += 1;
    }

    /// Forgets the words of an entry; its terms, if it had any.
    pub(crate) fn take_words(&mut self, number: u32) -> Vec<Posting> {
        let (at, Some(key)) = (number as usize, self.key(number)) else { return Vec::new() };
        let Some(words) = self.words[at].take() else { return Vec::new() };
        self.total_length -= u64::from(std::mem::take(&mut self.lengths[at]));
        self.with_words -= 1;
        if let Some(previous) = self.previous[at].take() {
            self.links.remove(&(previous, Some(key)));
        }
        terms(&words).collect()
    }

    /// The terms of an entry in the order of their numbers: a number, and how often.
    pub(crate) fn words(&self, number: u32) -> impl Iterator<Item = Posting> + '_ {
        let words = self.words.get(number as usize).and_then(Option::as_deref);
        terms(words.unwrap_or_default())
    }

    /// Removes an entry whose words are forgotten.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(key) = self.keys.get_mut(number as usize).and_then(Option::take) {
            self.numbers.remove(&key);
            self.free.push(number);
        }
    }

    /// Bytes on the heap, about.
    pub(crate) fn bytes(&self) -> usize {
        let within: usize = self.words.iter().flatten().map(|words| words.len()).sum();
        within
            + self.keys.capacity() * size_of::<Option<K>>()
            + self.lengths.capacity() * size_of::<u16>()
            + self.words.capacity() * size_of::<Option<Box<[u8]>>>()
            + self.previous.capacity() * size_of::<Option<K>>()
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
