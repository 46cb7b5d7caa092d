//! The exact key: a hash of the text, freed of what does not change its meaning.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// What an entry is valid for: anything that changes here makes all entries miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space<'a> {
    /// The fleet.
    pub fleet: &'a str,
    /// Changes whenever agents or routes do.
    pub version: &'a str,
    /// The embedding model's hash.
    pub model: &'a str,
}

/// The text with one form for each letter, without case, without signs that nobody sees, one space
/// between words, and without a full stop or exclamation mark at the end.
pub fn normalised(text: &str) -> String {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let mut normalised = String::with_capacity(folded.len());
    let mut gap = false;
    for letter in folded.nfkc() {
        // A control character that is no white space is nothing that a person typed.
        if letter.is_whitespace() {
            gap = true;
        } else if !letter.is_control() && !is_invisible(letter) {
            if gap && !normalised.is_empty() {
                normalised.push(' ');
            }
            gap = false;
            normalised.push(letter);
        }
    }
    let ends = [' ', '.', '!', '\u{3002}'];
    normalised.truncate(normalised.trim_end_matches(ends).len());
    normalised
}

/// Marks of direction and width zero. The joiners stay: they make words and emoji what they are.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The key of a text in a space: 64 hexadecimal digits.
pub fn exact_key(space: Space<'_>, text: &str) -> String {
    let mut hash = Sha256::new();
    let text = normalised(text);
    for part in [space.fleet, space.version, space.model, &text] {
        // With its length, so that no two lists of parts read the same.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut key = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: Space<'_> = Space { fleet: "f", version: "1", model: "m" };

    #[test]
    fn the_same_text_has_one_key() {
        let same = [
            ("Reset my Password", "  reset my\u{a0}password "),
            ("ﬁx the bug", "fix the bug"),
            ("Ｄｅｐｌｏｙ２", "deploy2"),
            ("cafe\u{301}", "café"),
            ("STRASSE", "strasse"),
            ("hello\u{200b}", "hello"),
            ("restart it.", "Restart it!"),
            ("line\nbreak", "line break"),
            ("\u{202e}abc\u{202c}", "abc"),
            ("ΟΔΟΣ", "οδοσ"),
        ];
        for (one, other) in same {
            assert_eq!(exact_key(SPACE, one), exact_key(SPACE, other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn another_text_or_space_has_another() {
        for (one, other) in [("is it up?", "is it up"), ("a b", "ab"), ("résumé", "resume")] {
            assert_ne!(exact_key(SPACE, one), exact_key(SPACE, other), "{one:?} {other:?}");
        }
        let other = Space { fleet: "f1", version: "", ..SPACE };
        assert_ne!(exact_key(SPACE, "a"), exact_key(other, "a"));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = normalised(&text);
            prop_assert_eq!(&normalised(&once), &once);
        }
    }
}
