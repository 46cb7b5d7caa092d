//! What says the same as a text, and what says the opposite.
//!
//! A cosine alone lies: "the limit is 3" and "the limit is 5" mean nearly the same to a model. So two
//! texts are the same only if vectors and words agree, and nothing that vectors do not see differs:
//! numbers, names, negation, direction, who does what to whom. If it is the words that are the same
//! and one of those that differs, they contradict. Invariant: whatever is not sure is neither.

mod value;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use troupe_intent::cache::{Difference, Purpose, difference};

use crate::index::Index;
use crate::lexical::Scorer;
use crate::vector::Wide;
use crate::words::{Terms, terms};
use crate::{Vector, semantic};

/// Near entries that are reported, at most.
pub const NEAR_MAX: usize = 8;
/// Entries that are compared, from each of words and vectors.
const COMPARED_MAX: usize = 16;
/// Terms by which they are found, the rarest: what says the same says nearly all of them, and this is
/// asked with every write.
const LOOKED_UP_MAX: usize = 12;
/// Terms that two texts must share to be about the same.
const SHARED_MIN: usize = 2;

/// When two texts count as near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearSettings {
    /// The least cosine of duplicates.
    pub duplicate_cosine: f32,
    /// The least share of common terms of duplicates.
    pub duplicate_overlap: f32,
    /// The same where one of them has no vector.
    pub duplicate_overlap_without: f32,
    /// The least cosine of what contradicts, where both have vectors.
    pub contradiction_cosine: f32,
    /// Terms that may differ in what contradicts, as a share of all; one on each side may always.
    pub contradiction_difference: f32,
}

impl Default for NearSettings {
    fn default() -> Self {
        Self {
            duplicate_cosine: 0.90,
            duplicate_overlap: 0.60,
            duplicate_overlap_without: 0.85,
            contradiction_cosine: 0.75,
            contradiction_difference: 0.15,
        }
    }
}

/// How an entry relates to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It says the same.
    Duplicate,
    /// It says the opposite of the same thing; in what.
    Contradiction(Difference),
}

/// An entry that is near a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near<K> {
    /// Which entry.
    pub key: K,
    /// The cosine, where both have a vector.
    pub cosine: Option<f32>,
    /// The share of common terms, 0 to 1.
    pub overlap: f32,
    /// How they relate.
    pub relation: Relation,
}

impl<K: Copy + Ord + Hash + Debug> Index<K> {
    /// The entries that say the same as `text`, or the opposite: those with the most in common first,
    /// at most [`NEAR_MAX`]. `filter` says which entries count, for example facts that are valid, and
    /// not the text's own entry; `text_of` gives what an entry says, or nothing where that is not at
    /// hand, and then the entry is left out.
    pub fn near<T: AsRef<str>>(
        &self,
        text: &str,
        vector: Option<&Vector>,
        settings: &NearSettings,
        filter: impl Fn(K) -> bool,
        text_of: impl Fn(K) -> Option<T>,
    ) -> Vec<Near<K>> {
        let own = terms(text, None);
        let mut passes = |key| filter(key).then_some(1.0);
        let scorer =
            Scorer::new(&own, &self.dictionary, &self.entries, &self.settings, LOOKED_UP_MAX);
        let mut compared = scorer.best(&self.entries, COMPARED_MAX, &mut passes);
        if let Some(vector) = vector {
            let (rows, entries) = (&self.rows, &self.entries);
            let room = COMPARED_MAX;
            let found = semantic::nearest(vector, rows, entries, &self.settings, room, &mut passes);
            compared.extend(found.0);
        }
        compared.sort_unstable_by_key(|ranked| ranked.key);
        compared.dedup_by_key(|ranked| ranked.key);
        let wide = vector.map(Wide::of);
        let numbers: BTreeSet<u32> =
            own.counted.iter().filter_map(|(term, _)| self.dictionary.find(term)).collect();
        let relate = |key: K, entry: u32| {
            // What is far by its terms alone is not read: nearly everything, with every write.
            let words = self.entries.words(entry);
            let shared = words.filter(|word| numbers.contains(&word.entry)).count();
            if !may_be_near(shared, own.counted.len(), settings) {
                return None;
            }
            let other = text_of(key)?;
            let cosine = wide.as_ref().and_then(|wide| self.rows.cosine(entry, wide));
            let theirs = terms(other.as_ref(), None);
            let common = Common::of(&own, &theirs);
            let relation = relation(text, other.as_ref(), &common, cosine, settings)?;
            Some(Near { key, cosine, overlap: common.overlap(), relation })
        };
        let mut near: Vec<Near<K>> =
            compared.iter().filter_map(|ranked| relate(ranked.key, ranked.entry)).collect();
        near.sort_by(|a, b| b.overlap.total_cmp(&a.overlap).then_with(|| a.key.cmp(&b.key)));
        near.truncate(NEAR_MAX);
        near
    }
}

/// Whether a text of so many terms can be near one that shares so many of them.
fn may_be_near(shared: usize, own: usize, settings: &NearSettings) -> bool {
    let least = settings.duplicate_overlap.min(1.0 - 2.0 * settings.contradiction_difference);
    own - shared.min(own) <= 1 || shared as f32 >= own as f32 * least
}

/// How many terms two texts share, and how many each has for itself.
#[derive(Debug)]
struct Common {
    shared: usize,
    one: usize,
    other: usize,
    /// Whether they say the same terms equally often.
    equal: bool,
}

impl Common {
    fn of(one: &Terms, other: &Terms) -> Self {
        let has = |terms: &Terms, text: &String| {
            terms.counted.binary_search_by(|(term, _)| term.cmp(text)).is_ok()
        };
        let shared = one.counted.iter().filter(|(text, _)| has(other, text)).count();
        Self {
            shared,
            one: one.counted.len() - shared,
            other: other.counted.len() - shared,
            equal: !one.counted.is_empty() && one == other,
        }
    }

    /// Shared ÷ all.
    fn overlap(&self) -> f32 {
        let all = self.shared + self.one + self.other;
        if all == 0 { 0.0 } else { self.shared as f32 / all as f32 }
    }

    /// Whether they are about the same but for a few terms.
    fn nearly_all(&self, share: f32) -> bool {
        let all = (self.shared + self.one + self.other) as f32;
        let few = ((all * share) as usize).max(1);
        self.shared >= SHARED_MIN && self.one <= few && self.other <= few
    }
}

fn relation(
    one: &str,
    other: &str,
    common: &Common,
    cosine: Option<f32>,
    settings: &NearSettings,
) -> Option<Relation> {
    let contradicts = common.nearly_all(settings.contradiction_difference)
        && cosine.is_none_or(|cosine| cosine >= settings.contradiction_cosine);
    let overlap_min = match cosine {
        Some(_) => settings.duplicate_overlap,
        None => settings.duplicate_overlap_without,
    };
    let near = cosine.is_none_or(|cosine| cosine >= settings.duplicate_cosine)
        && common.overlap() >= overlap_min;
    // To compare word for word is a hundred times the work of all above.
    if !(near || contradicts) {
        return None;
    }
    match difference(one, other, Purpose::Route) {
        None => near.then_some(Relation::Duplicate),
        // Too long to be read word for word: the same only if nothing at all differs.
        Some(Difference::Unknown) => common.equal.then_some(Relation::Duplicate),
        Some(Difference::Numbers) => (contradicts && value::differs(one, other))
            .then_some(Relation::Contradiction(Difference::Numbers)),
        Some(turned @ (Difference::Negation | Difference::Direction)) => {
            contradicts.then_some(Relation::Contradiction(turned))
        }
        // Other names, or the same in other places, are about something else.
        Some(Difference::Identifiers | Difference::Order | Difference::Words) => None,
    }
}

#[cfg(test)]
mod tests;
