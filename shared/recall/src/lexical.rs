//! BM25 over the postings, and the best entries without reading all of them.
//!
//! The formula is that of Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
//! Beyond" (2009), with the logarithm kept positive, as Lucene has it. Passing over what cannot be
//! among the best is MaxScore (Turtle and Flood, 1995). Invariant: the score of an entry is summed in
//! the order of the terms' texts, so that it is the same number whatever the history of the index.

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
/// Sums in another order differ in their last digits: bounds are taken this much higher.
const BOUND_SLACK: f32 = 1.0001;

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
        if terms.len() > QUERY_TERMS_MAX {
            // The rarest; of equally rare ones those that come first, whatever their numbers are.
            let mut rare: Vec<usize> = (0..terms.len()).collect();
            rare.sort_by_key(|at| (terms[*at].postings.count(), *at));
            let kept: Vec<usize> = rare.into_iter().take(QUERY_TERMS_MAX).collect();
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

    fn part(&self, idf: f32, count: u8, length: f32) -> f32 {
        let count = f32::from(count);
        let long = self.k1 * (1.0 - self.b + self.b * length / self.average_length);
        idf * count * (self.k1 + 1.0) / (count + long)
    }

    /// The score of any entry.
    pub(crate) fn score<K: Copy + Ord + Hash>(&self, entry: u32, entries: &Entries<K>) -> f32 {
        let length = entries.length(entry) as f32;
        let mut counts = [0_u8; QUERY_TERMS_MAX];
        for word in entries.words(entry) {
            let asked = self.terms.iter().position(|term| term.number == word.entry);
            if let Some(at) = asked {
                counts[at] = word.count;
            }
        }
        let said = self.terms.iter().zip(counts).filter(|(_, count)| *count > 0);
        said.map(|(term, count)| self.part(term.idf, count, length)).sum()
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
        lists.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        let mut sum = 0.0;
        for list in &mut lists {
            sum += list.bound;
            list.bound_up_to = sum;
        }
        let mut leading = 0;
        while leading < lists.len() {
            let (looked_up, brought) = lists.split_at_mut(leading);
            let postings = brought.iter().filter_map(|list| list.cursor.posting());
            let Some(entry) = postings.map(|posting| posting.entry).min() else { break };
            let length = entries.length(entry) as f32;
            let mut score = 0.0;
            for list in brought {
                if let Some(posting) = list.cursor.posting()
                    && posting.entry == entry
                {
                    score += self.part(list.idf, posting.count, length);
                    list.cursor.advance();
                }
            }
            let least = best.least();
            let mut hopeless = false;
            for list in looked_up.iter_mut().rev() {
                hopeless = (score + list.bound_up_to) * BOUND_SLACK < least;
                if hopeless {
                    break;
                }
                list.cursor.seek(entry);
                if let Some(posting) = list.cursor.posting()
                    && posting.entry == entry
                {
                    score += self.part(list.idf, posting.count, length);
                }
            }
            if hopeless || score * BOUND_SLACK < least {
                continue;
            }
            if let Some(key) = entries.key(entry) {
                best.offer(self.score(entry, entries), key, entry, filter);
            }
            let least = best.least();
            while leading < lists.len() && lists[leading].bound_up_to * BOUND_SLACK < least {
                leading += 1;
            }
        }
        best.into_sorted()
    }

    fn list(&self, term: &Term<'a>) -> List<'a> {
        let bounds = term.postings.blocks().iter().map(|block| {
            let (count, length) = block.bounds();
            self.part(term.idf, count, f32::from(length))
        });
        let bound = bounds.fold(0.0, f32::max);
        List { idf: term.idf, bound, bound_up_to: bound, cursor: Cursor::new(term.postings) }
    }
}

/// The entries that say a term, with what it can add at most.
#[derive(Debug)]
struct List<'a> {
    idf: f32,
    bound: f32,
    /// What this one and those before it can add together.
    bound_up_to: f32,
    cursor: Cursor<'a>,
}
