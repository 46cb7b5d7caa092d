//! What words tell and vectors do not: numbers, names, negation, direction, and who does what to whom.
//!
//! Invariant: symmetric, and none for a text and itself. Linear in the text but for sorting; a text
//! with more than [`WORDS_MAX`] words has no near hits at all.

use std::collections::{BTreeMap, BTreeSet};

use super::key::normalised;
use super::poles::{POLES, SIGN_POLES};
use super::words::{DIRECTIONS, FILLERS, NEGATING_SIGNS, NEGATIONS, NUMBER_WORDS, SYNONYMS};

/// Words up to which texts are compared.
pub const WORDS_MAX: usize = 256;
/// Bytes up to which texts are compared.
pub const TEXT_MAX_BYTES: usize = 8_192;
/// So many shared words in the opposite order are a reversal.
const REVERSED_MIN: usize = 3;

/// Signs that belong to numbers.
const SIGNS: [char; 8] = ['+', '<', '>', '=', '%', '$', '€', '£'];

/// What a cached entry is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To send the text where the other one went: other words are fine as long as nothing is turned.
    Route,
    /// To answer with what the other one got: both must be about the same things, word for word,
    /// but for fillers, endings and known synonyms.
    Answer,
}

/// In what two texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Too long to compare, or empty.
    Unknown,
    /// Other numbers, or in another order.
    Numbers,
    /// Other identifiers: names of files, versions, addresses, quotations.
    Identifiers,
    /// One negates what the other does not.
    Negation,
    /// Opposite words, as in "increase" and "decrease".
    Direction,
    /// The same words in other places: who gives and who takes.
    Order,
    /// Other things are spoken of.
    Words,
}

/// The first difference that matters, if any.
pub fn difference(one: &str, other: &str, purpose: Purpose) -> Option<Difference> {
    let (Some(one), Some(other)) = (Reading::of(one), Reading::of(other)) else {
        return Some(Difference::Unknown);
    };
    if one.text == other.text {
        return None;
    }
    let checks: [(bool, Difference); 5] = [
        (one.numbers != other.numbers, Difference::Numbers),
        (one.identifiers != other.identifiers, Difference::Identifiers),
        (one.negations != other.negations, Difference::Negation),
        (opposed(&one, &other), Difference::Direction),
        (reordered(&one, &other), Difference::Order),
    ];
    if let Some((_, difference)) = checks.into_iter().find(|(differs, _)| *differs) {
        return Some(difference);
    }
    let about =
        |reading: &Reading| -> BTreeSet<String> { reading.content.iter().cloned().collect() };
    (purpose == Purpose::Answer && about(&one) != about(&other)).then_some(Difference::Words)
}

/// What was read from one text.
struct Reading {
    text: String,
    numbers: Vec<String>,
    identifiers: Vec<String>,
    negations: usize,
    /// Which sides of which opposites occur.
    poles: Vec<(bool, bool)>,
    /// Stems of all words, in order.
    stems: Vec<String>,
    /// Stems of the words that carry meaning, in order.
    content: Vec<String>,
    /// For such a stem, the words of direction that it stands behind.
    roles: BTreeMap<String, BTreeSet<String>>,
}

impl Reading {
    fn of(raw: &str) -> Option<Self> {
        if raw.len() > TEXT_MAX_BYTES {
            return None;
        }
        let text = normalised(raw);
        let words = words(&text);
        if words.is_empty() || words.len() > WORDS_MAX {
            return None;
        }
        let mut reading = Self {
            numbers: Vec::new(),
            identifiers: identifiers(raw),
            negations: words.iter().filter(|word| negates(word)).count()
                + NEGATING_SIGNS.iter().map(|sign| text.matches(sign).count()).sum::<usize>(),
            poles: poles(&words, &text),
            stems: words.iter().map(|word| stem(word)).collect(),
            content: Vec::new(),
            roles: BTreeMap::new(),
            text,
        };
        let mut direction: Option<&str> = None;
        for word in &words {
            if let Some(number) = number(word) {
                reading.numbers.push(number);
            } else if DIRECTIONS.contains(&word.as_str()) {
                direction = Some(word);
            } else if !FILLERS.contains(&word.as_str()) && !negates(word) {
                let stem = stem(word);
                if let Some(direction) = direction {
                    reading.roles.entry(stem.clone()).or_default().insert(direction.to_owned());
                }
                reading.content.push(stem);
            }
        }
        Some(reading)
    }
}

/// Words, single letters of scripts that do not separate words, and signs of arithmetic.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word = String::new();
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let alone = unseparated(letter);
        let joins = letter.is_alphanumeric()
            || unicode_normalization::char::is_combining_mark(letter)
            || matches!(letter, '\'' | '\u{2019}' | '_' | '\u{200c}' | '\u{200d}');
        // A minus, but not a hyphen or a dash.
        let minus = letter == '-'
            && !before.is_alphanumeric()
            && letters.peek().is_some_and(|next| next.is_numeric());
        if alone || !joins {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if alone || minus || SIGNS.contains(&letter) {
            words.push(letter.to_string());
        } else if joins {
            word.push(if letter == '\u{2019}' { '\'' } else { letter });
        }
        before = letter;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Letters of Chinese, Japanese, Thai, Lao, Khmer and Burmese, which stand without spaces.
fn unseparated(letter: char) -> bool {
    matches!(letter,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' | '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}')
}

/// The number that a word is or contains.
fn number(word: &str) -> Option<String> {
    if word.chars().any(|l| l.is_numeric() || l == '-' || SIGNS.contains(&l)) {
        return Some(word.to_owned());
    }
    NUMBER_WORDS.iter().find(|(name, _)| *name == word).map(|(_, number)| (*number).to_owned())
}

/// Names of things, in the order in which they appear: with their case, because that may matter.
fn identifiers(raw: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in raw.split_whitespace() {
        let inner = piece.trim_matches(|letter: char| {
            !letter.is_alphanumeric() && !matches!(letter, '_' | '/' | '#' | '@' | '-' | '~')
        });
        let letters: Vec<char> = inner.chars().collect();
        let marked = letters.iter().any(|l| matches!(l, '_' | '/' | '\\' | '@' | '#' | '~' | '='));
        let dotted = letters.windows(3).any(|three| {
            matches!(three[1], '.' | ':')
                && three[0].is_alphanumeric()
                && three[2].is_alphanumeric()
        });
        let humped = letters.windows(2).any(|two| two[0].is_lowercase() && two[1].is_uppercase());
        let mixed = letters.iter().any(|l| l.is_numeric());
        // What has no letter is a number, and compared as one.
        let named = letters.iter().any(|l| l.is_alphabetic());
        if named
            && ((marked && letters.len() > 1)
                || dotted
                || humped
                || mixed
                || inner.starts_with("--"))
        {
            found.push(inner.to_owned());
        }
    }
    for (open, close) in [('"', '"'), ('`', '`'), ('“', '”'), ('«', '»'), ('„', '“')] {
        let mut rest = raw;
        while let Some((_, after)) = rest.split_once(open) {
            let Some((inside, after)) = after.split_once(close) else { break };
            found.push(inside.to_owned());
            rest = after;
        }
    }
    found
}

fn negates(word: &str) -> bool {
    word.ends_with("n't") || NEGATIONS.iter().any(|entry| fits(entry, word))
}

/// Whether a word is an entry of a list, or begins with one that ends in `*`.
fn fits(entry: &str, word: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(beginning) => {
            word.starts_with(beginning)
                // Without its last e an English verb takes its endings: reduce, reducing.
                || (beginning.is_ascii()
                    && beginning.ends_with('e')
                    && word.strip_prefix(&beginning[..beginning.len() - 1]) == Some("ing"))
        }
        None => entry == word,
    }
}

fn poles(words: &[String], text: &str) -> Vec<(bool, bool)> {
    let any = |list: &[&str]| words.iter().any(|word| list.iter().any(|entry| fits(entry, word)));
    let words = POLES.iter().map(|poles| (any(poles.up), any(poles.down)));
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    words.chain(SIGN_POLES.iter().map(|(up, down)| (has(up), has(down)))).collect()
}

fn opposed(one: &Reading, other: &Reading) -> bool {
    one.poles.iter().zip(&other.poles).enumerate().any(|(at, (one, other))| {
        let strict = POLES.get(at).is_none_or(|poles| poles.strict);
        let silent = |side: &(bool, bool)| *side == (false, false);
        one != other && (strict || !(silent(one) || silent(other)))
    })
}

/// A word without its ending; the first of its synonyms if there are any. The same for
/// every form of a word is what counts, not that it is a word.
fn stem(word: &str) -> String {
    let plain = ending_off(word);
    let group = SYNONYMS.iter().find(|group| group.iter().any(|same| ending_off(same) == plain));
    group.map_or(plain, |group| ending_off(group[0]))
}

fn ending_off(word: &str) -> String {
    let word = word.strip_suffix("'s").unwrap_or(word);
    if !word.is_ascii() {
        // Where endings show the case, the last letter is the first to change.
        let keep = word.chars().count() - usize::from(word.chars().count() >= 4);
        return word.chars().take(keep).collect();
    }
    if word.len() < 4 {
        return word.to_owned();
    }
    let cut = ["ing", "ed", "es", "s", "e"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending).filter(|stem| stem.len() >= 3))
        .unwrap_or(word);
    let mut stem = cut.to_owned();
    let twice = stem.len() > 3 && {
        let bytes = stem.as_bytes();
        bytes[bytes.len() - 1] == bytes[bytes.len() - 2]
    };
    if twice {
        stem.pop();
    }
    stem
}

/// Whether the same words stand in places that may turn who does what to whom.
fn reordered(one: &Reading, other: &Reading) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let shuffled = |one: &[String], other: &[String]| one != other && sorted(one) == sorted(other);
    let changed_role = one
        .roles
        .iter()
        .any(|(word, roles)| other.roles.get(word).is_some_and(|others| roles.is_disjoint(others)));
    shuffled(&one.stems, &other.stems)
        || shuffled(&one.content, &other.content)
        || changed_role
        || longest_reversal(&one.content, &other.content) >= REVERSED_MIN
}

/// The longest row of words that both have and that is backwards in the other. Words that occur twice
/// do not count.
fn longest_reversal(one: &[String], other: &[String]) -> usize {
    let places = |list: &[String]| {
        let mut places: BTreeMap<String, Option<usize>> = BTreeMap::new();
        for (at, word) in list.iter().enumerate() {
            places.entry(word.clone()).and_modify(|place| *place = None).or_insert(Some(at));
        }
        places
    };
    let (mine, theirs) = (places(one), places(other));
    let shared = one.iter().filter(|word| mine.get(*word).is_some_and(Option::is_some));
    let order: Vec<usize> = shared.filter_map(|word| theirs.get(word).copied().flatten()).collect();
    // The longest falling row: `lengths[i]` is that of the longest that ends at i.
    let mut lengths = vec![1_usize; order.len()];
    for i in 0..order.len() {
        for j in 0..i {
            if order[j] > order[i] {
                lengths[i] = lengths[i].max(lengths[j] + 1);
            }
        }
    }
    lengths.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
