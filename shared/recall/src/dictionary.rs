//! Every term that an entry says, and which entries those are.
//!
//! Invariant: a term that no entry says any more is gone, and its number is free for another.

use std::collections::HashMap;
use std::sync::Arc;

use crate::postings::{Posting, Postings};

/// Terms by number and by text.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    numbers: HashMap<Arc<str>, u32>,
    terms: Vec<Option<Term>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Term {
    text: Arc<str>,
    postings: Postings,
}

impl Dictionary {
    /// The number of a term that some entry says.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    pub(crate) fn postings(&self, number: u32) -> Option<&Postings> {
        Some(&self.terms.get(number as usize)?.as_ref()?.postings)
    }

    /// How many terms there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Notes that an entry says a term; the term's number.
    pub(crate) fn add(&mut self, text: &str, posting: Posting, length: u32) -> u32 {
        let number = self.find(text).unwrap_or_else(|| self.create(text));
        if let Some(Some(term)) = self.terms.get_mut(number as usize) {
            term.postings.insert(posting, length);
        }
        number
    }

    /// Notes that an entry says a term no more.
    pub(crate) fn remove(&mut self, number: u32, entry: u32) {
        let Some(place) = self.terms.get_mut(number as usize) else { return };
        let Some(term) = place else { return };
        term.postings.remove(entry);
        if term.postings.count() == 0 {
            self.numbers.remove(&term.text);
            *place = None;
            self.free.push(number);
        }
    }

    /// Bytes on the heap, about.
    pub(crate) fn bytes(&self) -> usize {
        // Two counts beside the text.
        let arc = 2 * size_of::<usize>();
        let terms = self.terms.iter().flatten();
        let within: usize = terms.map(|term| arc + term.text.len() + term.postings.bytes()).sum();
        // The table of a map has a byte of its own for each place.
        let place = size_of::<(Arc<str>, u32)>() + 1;
        within
            + self.numbers.capacity() * 8 / 7 * place
            + self.terms.capacity() * size_of::<Option<Term>>()
            + self.free.capacity() * size_of::<u32>()
    }

    fn create(&mut self, text: &str) -> u32 {
        let text: Arc<str> = text.into();
        let term = Some(Term { text: Arc::clone(&text), postings: Postings::default() });
        let number = if let Some(number) = self.free.pop() {
            self.terms[number as usize] = term;
            number
        } else {
            self.terms.push(term);
            (self.terms.len() - 1) as u32
        };
        self.numbers.insert(text, number);
        number
    }
}
