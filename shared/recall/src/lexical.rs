//! BM25 over the postings, and the best entries without reading all of them.
//!
//! The formula is that of Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
//! Beyond" (2009), with the logarithm kept positive, as Lucene has it. Passing over what cannot be
//! among the best is MaxScore (Turtle and Flood, 1995). Invariant: what a term adds is a
//! whole number of small units, so that a sum is the same in any order, and a score the same whatever
//! the history of the index.

use std::hash::Hash;

use crate::Settings;
use crate::best::{Best, Ranked};
use crate::cursor::Cursor;
use crate::dictionary::Dictionary;
use crate::entries::Entries;
use crate::postings::Postings;
use crate::words::Terms;

/// Terms of a question that are looked at: the rarest. A question is a sentence or two.
pub(crate) const QUERY_TERMS_MAX: usize = 64;
/// Entries that are scored together, list by list: their sums stay in the nearest cache.
const WINDOW: usize = 2_048;
/// Units of a score of 1. Of the most terms that are looked at, each at its best, the sum fits.
const UNITS: f32 = (1_u32 << 20) as f32;
/// What rounding can add to a part beyond its bound.
const ROUNDING_UNITS: u32 = 8;

/// A question, ready to score entries.
#[derive(Debug)]
pub(crate) struct Scorer<'a> {
    /// In the order of their texts.
    terms: Vec<Term<'a>>,
    k1: f32,
    b: f32,
    average_length: f32,
}

/// A term of it that some entry says.
#[derive(Debug)]
struct Term<'a> {
    number: u32,
    idf: f32,
    postings: &'a Postings,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new<K: Copy + Ord + Hash>(
        terms: &Terms,
        dictionary: &'a Dictionary,
        entries: &Entries<K>,
        settings: &Settings,
        terms_max: usize,
    ) -> Self {
        let all = f64::from(entries.with_words());
        let known = terms.counted.iter().filter_map(|(text, _)| {
            let number = dictionary.find(text)?;
            let postings = dictionary.postings(number)?;
            let with = f64::from(postings.count());
            let idf = (1.0 + (all - with + 0.5) / (with + 0.5)).ln() as f32;
            Some(Term { number, idf, postings })
        });
        let mut terms: Vec<Term<'a>> = known.collect();
        if terms.len() > terms_max {
            // The rarest; of equally rare ones those that come first, whatever their numbers are.
            let mut rare: Vec<usize> = (0..terms.len()).collect();
            rare.sort_by_key(|at| (terms[*at].postings.count(), *at));
            let kept: Vec<usize> = rare.into_iter().take(terms_max).collect();
            let mut at = 0..;
            terms.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
        }
        let average_length = entries.average_length().max(1.0);
        Self { terms, k1: settings.k1, b: settings.b, average_length }
    }

    /// Whether no entry says any of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// What a term adds, in units: of an entry that says it at least one.
    fn part(&self, idf: f32, count: u8, length: u16) -> u32 {
        let (count, length) = (f32::from(count), f32::from(length));
        let long = self.k1 * (1.0 - self.b + self.b * length / self.average_length);
        let part = idf * count * (self.k1 + 1.0) / (count + long);
        ((part * UNITS) as u32).max(1)
    }

    /// The score of any entry.
    pub(crate) fn score<K: Copy + Ord + Hash>(&self, entry: u32, entries: &Entries<K>) -> f32 {
        let length = entries.length(entry);
        let parts = entries.words(entry).filter_map(|word| {
            let term = self.terms.iter().find(|term| term.number == word.entry)?;
            Some(self.part(term.idf, word.count, length))
        });
        of_units(parts.fold(0, u32::saturating_add))
    }

    /// The best so many of the entries that pass.
    pub(crate) fn best<K: Copy + Ord + Hash>(
        &self,
        entries: &Entries<K>,
        room: usize,
        filter: &mut impl FnMut(K) -> Option<f32>,
    ) -> Vec<Ranked<K>> {
        let mut best = Best::new(room);
        let mut lists: Vec<List<'_>> = self.terms.iter().map(|term| self.list(term)).collect();
        // Those that can add least come first: soon they cannot make an entry one of the best by
        // themselves, and are looked up only for entries that others brought.
        lists.sort_by_key(|list| list.bound);
        let mut sum = 0_u32;
        for list in &mut lists {
            sum = sum.saturating_add(list.bound);
            list.bound_up_to = sum;
        }
        let mut leading = 0;
        let mut sums = [0_u32; WINDOW];
        while let Some(start) = next_entry(&lists[leading..]) {
            let end = start.saturating_add(WINDOW as u32);
            let (looked_up, brought) = lists.split_at_mut(leading);
            for list in brought {
                while let Some(posting) = list.cursor.posting().filter(|one| one.entry < end) {
                    let length = entries.length(posting.entry);
                    let sum = &mut sums[(posting.entry - start) as usize];
                    *sum = sum.saturating_add(self.part(list.idf, posting.count, length));
                    list.cursor.advance();
                }
            }
            for (entry, sum) in (start..end).zip(&mut sums) {
                let score = std::mem::take(sum);
                if score == 0 {
                    continue;
                }
                let least = best.least();
                if let Some(score) = self.in_full(entry, score, looked_up, entries, least)
                    && let Some(key) = entries.key(entry)
                {
                    best.offer(score, key, entry, filter);
                }
            }
            let least = best.least();
            while leading < lists.len() && of_units(lists[leading].bound_up_to) < least {
                leading += 1;
            }
        }
        best.into_sorted()
    }

    /// The score of an entry with what `lists` add to what it has; none if it cannot reach `least`.
    fn in_full<K: Copy + Ord + Hash>(
        &self,
        entry: u32,
        mut score: u32,
        lists: &mut [List<'_>],
        entries: &Entries<K>,
        least: f32,
    ) -> Option<f32> {
        for list in lists.iter_mut().rev() {
            if of_units(score.saturating_add(list.bound_up_to)) < least {
                return None;
            }
            list.cursor.seek(entry);
            if let Some(posting) = list.cursor.posting().filter(|one| one.entry == entry) {
                let part = self.part(list.idf, posting.count, entries.length(entry));
                score = score.saturating_add(part);
            }
        }
        let score = of_units(score);
        (score >= least).then_some(score)
    }

    fn list(&self, term: &Term<'a>) -> List<'a> {
        let bounds = term.postings.blocks().iter().map(|block| {
            let (count, length) = block.bounds();
            self.part(term.idf, count, length)
        });
        let bound = bounds.max().unwrap_or(0) + ROUNDING_UNITS;
        List { idf: term.idf, bound, bound_up_to: bound, cursor: Cursor::new(term.postings) }
    }
}

/// A score of so many units. Of two sums the greater is never less.
fn of_units(units: u32) -> f32 {
    units as f32 / UNITS
}

/// The first entry that any of the lists brings.
fn next_entry(lists: &[List<'_>]) -> Option<u32> {
    lists.iter().filter_map(|list| Some(list.cursor.posting()?.entry)).min()
}

/// The entries that say a term, with what it can add at most.
#[derive(Debug)]
struct List<'a> {
    idf: f32,
    bound: u32,
    /// What this one and those before it can add together.
    bound_up_to: u32,
    cursor: Cursor<'a>,
}
