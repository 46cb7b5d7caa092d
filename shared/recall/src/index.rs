//! The index: what is put in, changed and removed.

use std::fmt::Debug;
use std::hash::Hash;

use troupe_domain::{Fault, Timestamp};

use crate::dictionary::Dictionary;
use crate::entries::Entries;
use crate::postings::Posting;
use crate::rows::Rows;
use crate::words::terms;
use crate::{Memory, Settings, Vector};

/// Entries by their words and by their meaning.
#[derive(Debug)]
pub struct Index<K> {
    pub(crate) settings: Settings,
    pub(crate) dictionary: Dictionary,
    pub(crate) entries: Entries<K>,
    pub(crate) rows: Rows,
}

/// What an entry says.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a, K> {
    /// Its text.
    pub text: &'a str,
    /// When it happened; its date is then found by name.
    pub when: Option<Timestamp>,
    /// The entry right before it, of the same talk or work. It need not be in the index yet.
    pub previous: Option<K>,
}

impl<K: Copy + Ord + Hash + Debug> Index<K> {
    /// An empty index.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            dictionary: Dictionary::default(),
            entries: Entries::new(),
            rows: Rows::default(),
        }
    }

    /// Adds the words of an entry, or replaces them. Its vector stays as it is.
    pub fn put(&mut self, key: K, words: Words<'_, K>) {
        let entry = self.entries.ensure(key);
        self.forget_words(entry);
        let when = words.when.filter(|_| self.settings.date_words);
        let terms = terms(words.text, when);
        let add = |(text, count): &(String, u8)| {
            let posting = Posting { entry, count: *count };
            let number = self.dictionary.add(text, posting, terms.length);
            Posting { entry: number, count: *count }
        };
        let mut numbered: Vec<Posting> = terms.counted.iter().map(add).collect();
        self.entries.set_words(entry, &mut numbered, terms.length, words.previous);
    }

    /// Adds the vector of an entry, or replaces it. Its words may come before or after. Refused: a
    /// vector with another number of dimensions than the others have.
    pub fn set_vector(&mut self, key: K, vector: &Vector) -> Result<(), Fault> {
        let (count, wanted) = (self.rows.count(), self.rows.dimensions());
        if count > 0 && wanted != vector.dimensions() {
            let why = format!("has {} numbers, not {wanted}", vector.dimensions());
            return Err(Fault::invalid("vector", why));
        }
        let entry = self.entries.ensure(key);
        self.rows.put(entry, vector);
        Ok(())
    }

    /// Forgets the vector of an entry, for example because it says something else now.
    pub fn clear_vector(&mut self, key: K) {
        if let Some(entry) = self.entries.find(key) {
            self.rows.clear(entry);
        }
    }

    /// Removes an entry: its words and its vector are gone. False if it was not there.
    pub fn remove(&mut self, key: K) -> bool {
        let Some(entry) = self.entries.find(key) else { return false };
        self.forget_words(entry);
        self.rows.clear(entry);
        self.entries.remove(entry);
        true
    }

    /// Weighs the next searches otherwise. What is a setting of putting holds for what is put next.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries have words.
    pub fn worded(&self) -> usize {
        self.entries.with_words() as usize
    }

    /// How many entries have vectors.
    pub fn vectors(&self) -> usize {
        self.rows.count()
    }

    /// How many different terms the entries say.
    pub fn terms(&self) -> usize {
        self.dictionary.len()
    }

    /// Whether an entry is there.
    pub fn contains(&self, key: K) -> bool {
        self.entries.find(key).is_some()
    }

    /// Whether the words of an entry are there.
    pub fn has_words(&self, key: K) -> bool {
        self.entries.find(key).is_some_and(|entry| self.entries.has_words(entry))
    }

    /// Whether the vector of an entry is there.
    pub fn has_vector(&self, key: K) -> bool {
        self.entries.find(key).is_some_and(|entry| self.rows.has(entry))
    }

    /// What it takes of memory. Looks at every term and entry.
    pub fn memory(&self) -> Memory {
        Memory {
            terms: self.dictionary.bytes(),
            entries: self.entries.bytes(),
            vectors: self.rows.bytes(),
        }
    }

    fn forget_words(&mut self, entry: u32) {
        for word in self.entries.take_words(entry) {
            self.dictionary.remove(word.entry, entry);
        }
    }
}
