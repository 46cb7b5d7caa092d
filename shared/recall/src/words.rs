//! From a text to the terms by which it is found.
//!
//! Invariant: the same rules for what is put and for what is asked, so that whatever an entry says
//! finds it. A term is a word in its simplest form: one form for each letter, without case and
//! accents, English words without their endings. Words that say nothing are left out; names like
//! `task.rs` or `maxRetries` are found as a whole and by their parts.

mod dates;
mod stop;

use std::borrow::Cow;
use std::sync::LazyLock;

use snowball_stemmers_rs::{Algorithm, Stemmer};
use troupe_domain::Timestamp;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Bytes of a term; what is longer is cut, and still found by its beginning.
pub const TERM_MAX_BYTES: usize = 48;
/// Bytes of a text to embed: about what a model of 256 tokens reads.
pub const CONTEXT_MAX_BYTES: usize = 2_048;
/// Bytes of the text before, in a text to embed.
const PREVIOUS_MAX_BYTES: usize = 512;

static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// The terms of a text, each once, in order, with how often it says them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) counted: Vec<(String, u8)>,
    /// Terms with repetitions.
    pub(crate) length: u32,
}

/// The terms of a text, and of its date.
pub(crate) fn terms(text: &str, when: Option<Timestamp>) -> Terms {
    let mut all = Vec::new();
    for word in text.unicode_words() {
        add(word, &mut all);
    }
    // The date is beside the text: it makes no text longer.
    let length = u32::try_from(all.len()).unwrap_or(u32::MAX);
    for word in when.and_then(dates::words).into_iter().flatten() {
        all.push(stem(&word).into_owned());
    }
    all.sort_unstable();
    let mut counted: Vec<(String, u8)> = Vec::with_capacity(all.len());
    for term in all {
        match counted.last_mut() {
            Some((last, count)) if *last == term => *count = count.saturating_add(1),
            _ => counted.push((term, 1)),
        }
    }
    Terms { counted, length }
}

/// The text to embed for an entry. The one before it is context: what "it" is, is often said there.
pub fn context(previous: Option<&str>, text: &str) -> String {
    let text = cut(text, CONTEXT_MAX_BYTES);
    let Some(previous) = previous else { return text.to_owned() };
    let room = (CONTEXT_MAX_BYTES - text.len()).min(PREVIOUS_MAX_BYTES);
    // What stands nearest is its end.
    let from = previous.len().saturating_sub(room);
    let from = (from..=previous.len()).find(|at| previous.is_char_boundary(*at));
    let end = from.map_or("", |from| previous[from..].trim());
    if end.is_empty() { text.to_owned() } else { format!("{end}\n{text}") }
}

fn add(word: &str, all: &mut Vec<String>) {
    let simple = simplified(word);
    if !stop::is_stop_word(&simple) {
        all.push(stem(&simple).into_owned());
    }
    let parts = parts(word);
    if parts.len() < 2 {
        return;
    }
    for part in parts {
        let simple = simplified(part);
        if !stop::is_stop_word(&simple) {
            all.push(stem(&simple).into_owned());
        }
    }
}

/// One form for each letter, without case and accents.
fn simplified(word: &str) -> String {
    let mut simple = if word.is_ascii() {
        word.to_ascii_lowercase()
    } else {
        let bare = word.nfkd().filter(|letter| !('\u{300}'..='\u{36f}').contains(letter));
        let lower = bare.flat_map(char::to_lowercase);
        let plain = lower.map(|letter| match letter {
            '\u{2019}' => '\'',
            // The form at the end of a word.
            'ς' => 'σ',
            letter => letter,
        });
        plain.nfc().collect()
    };
    let kept = cut(&simple, TERM_MAX_BYTES).len();
    simple.truncate(kept);
    simple
}

/// The term of a simplified word.
fn stem(word: &str) -> Cow<'_, str> {
    if let Some(word) = dates::spelled_out(word) {
        return STEMMER.stem(word);
    }
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte == b'\'';
    if word.bytes().all(letters) { STEMMER.stem(word) } else { Cow::Borrowed(word) }
}

/// What a name is made of: `shared/task.rs`, `max_retries`, `maxRetries`.
fn parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, letter) in word.char_indices() {
        let humped = letter.is_uppercase() && before.is_some_and(char::is_lowercase);
        if matches!(letter, '.' | '_' | ':' | '\u{b7}') {
            parts.push(&word[start..at]);
            start = at + letter.len_utf8();
        } else if humped {
            parts.push(&word[start..at]);
            start = at;
        }
        before = Some(letter);
    }
    parts.push(&word[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// The beginning of a text, up to so many bytes.
fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Vec<String> {
        terms(text, None).counted.into_iter().map(|(term, _)| term).collect()
    }

    #[test]
    fn forms_of_a_word_are_one_term() {
        for (one, other) in [
            ("Deployments failing", "deployment FAILED"),
            ("the café's prices", "cafe price"),
            ("Ｄｅｐｌｏｙ２", "deploy2"),
            ("on the 3rd of Dec.", "3 December"),
            ("agent’s", "agent's"),
        ] {
            assert_eq!(of(one), of(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn names_are_found_whole_and_by_their_parts() {
        let terms = of("see shared/domain/task.rs and maxRetries or RETRY_MAX");
        for term in ["task.rs", "task", "rs", "maxretri", "max", "retri", "retry_max", "domain"] {
            assert!(terms.iter().any(|t| t == term), "{term} in {terms:?}");
        }
    }

    #[test]
    fn words_that_say_nothing_are_left_out() {
        assert_eq!(of("it is what it was, and that is all of it"), Vec::<String>::new());
        assert_eq!(terms("", None), Terms::default());
    }

    #[test]
    fn scripts_without_spaces_have_terms() {
        assert!(of("部署失败").len() >= 4);
        assert!(!of("развёртывание не удалось").is_empty());
    }

    #[test]
    fn the_date_is_words_and_makes_no_text_longer() {
        // Thursday, 26 November 2026.
        let when = Timestamp::from_millis(1_795_694_400_000);
        let dated = terms("all green", Some(when));
        let has =
            |word: &str| of(word).iter().all(|term| dated.counted.iter().any(|(t, _)| t == term));
        assert!(has("Thursday") && has("November") && has("nov") && has("26th") && has("2026"));
        assert_eq!(dated.length, terms("all green", None).length);
    }

    #[test]
    fn context_keeps_the_text_and_the_end_of_what_came_before() {
        assert_eq!(context(None, "text"), "text");
        assert_eq!(context(Some(" "), "text"), "text");
        assert_eq!(context(Some("before"), "text"), "before\ntext");
        let long = "ä".repeat(CONTEXT_MAX_BYTES);
        let both = context(Some(&long), "text");
        assert!(both.len() <= PREVIOUS_MAX_BYTES + 5 && both.ends_with("ä\ntext"));
        assert!(context(Some("before"), &long).len() <= CONTEXT_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn any_text_has_bounded_sorted_terms(text in "\\PC{0,200}") {
            let terms = terms(&text, None);
            prop_assert!(terms.counted.is_sorted());
            let bounded = |(term, count): &(String, u8)| {
                !term.is_empty() && term.len() <= TERM_MAX_BYTES && *count > 0
            };
            prop_assert!(terms.counted.iter().all(bounded));
            let total: u32 = terms.counted.iter().map(|(_, count)| u32::from(*count)).sum();
            prop_assert_eq!(total, terms.length);
        }
    }
}
