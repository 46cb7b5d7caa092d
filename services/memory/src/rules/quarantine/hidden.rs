//! What a person does not see and a model reads: characters that have no picture, and text in comments.

use std::sync::LazyLock;

use regex::Regex;

use super::plain::Plain;
use super::rules::{BIDI, COMMENT, TAGS, VARIATIONS, ZERO_WIDTH};
use super::{Match, meets_any};

/// Characters without width between Latin letters, from which on they are no accident of copying.
const MIN_ZERO_WIDTH: usize = 3;
/// Selectors of a form one after the other, from which on they carry something.
const MIN_VARIATIONS: usize = 4;

/// Bytes of one comment that are looked at.
const MAX_COMMENT_BYTES: usize = 4096;

/// An element that is not shown; what is in it is group 1. Bounded, so that a text without an end of it
/// costs no more.
static UNSHOWN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"<[a-z]+[^<>]{0,200}(?:display ?: ?none|visibility ?: ?hidden|font-size ?: ?0|",
        r#"opacity ?: ?0(?:[;"' ]|\.0)|aria-hidden ?= ?"true")[^<>]{0,200}>([^<]{0,4000})<"#,
    ))
    .ok()
});

/// Words with which somebody who is not shown addresses whoever reads it.
static ADDRESSES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^[ \n]*(?:ai|llms?|assistants?|agents?|models?|chatgpt|claude|gemini|copilot)(?: [a-z]+)?[ \n]?[:,]|",
        r"(?-u:\b)(?:ai|llm|assistants?|chatbot|language models?|model|agents?|you)(?-u:\b)",
        r"[^<>]{0,80}(?-u:\b)(?:must|should|shall|ignore|disregard|instead|follow|obey|execute|send|reveal|",
        r"respond|reply|output|recommend|never|always)(?-u:\b)",
    ))
    .ok()
});

/// Characters that cannot be seen.
pub(super) fn examine(text: &str) -> Vec<Match> {
    let mut found = Vec::new();
    let mut note = |at, rule| found.push(Match { at, rule });
    let (mut before, mut zero_width, mut variations) = (None, 0, 0);
    let mut in_flag = false;
    for (at, c) in text.char_indices() {
        match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => note(at, BIDI),
            // The flags of England, Scotland and Wales are spelt with tags.
            '\u{e0001}'..='\u{e007f}' if !in_flag => note(at, TAGS),
            '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'
                if before.is_some_and(|c: char| c.is_ascii_alphanumeric()) =>
            {
                zero_width += 1;
                if zero_width == MIN_ZERO_WIDTH {
                    note(at, ZERO_WIDTH);
                }
            }
            _ => {}
        }
        let is_variation = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
        variations = if is_variation { variations + 1 } else { 0 };
        if variations == MIN_VARIATIONS {
            note(at, VARIATIONS);
        }
        in_flag = c == '\u{1f3f4}' || in_flag && matches!(c, '\u{e0020}'..='\u{e007f}');
        if !super::plain::is_unseen(c) {
            before = Some(c);
        }
    }
    found
}

/// Comments and elements that are not shown, and that address whoever reads them or meet a rule.
pub(super) fn examine_comments(plain: &Plain) -> Vec<Match> {
    let (Some(unshown), Some(addresses)) = (UNSHOWN.as_ref(), ADDRESSES.as_ref()) else {
        return Vec::new();
    };
    let elements = unshown.captures_iter(plain.text()).filter_map(|captures| captures.get(1));
    let elements = elements.map(|inside| (inside.start(), inside.as_str()));
    let found = comments(plain.text()).chain(elements).filter_map(|(at, inside)| {
        let meets = addresses.is_match(inside) || meets_any(inside, "");
        meets.then(|| Match { at: plain.origin(at), rule: COMMENT })
    });
    found.collect()
}

/// What is in comments, with where; one that does not end goes to the end of the text.
fn comments(text: &str) -> impl Iterator<Item = (usize, &str)> {
    const BEGIN: &str = "<!--";
    let mut rest = 0;
    std::iter::from_fn(move || {
        let from = rest + text[rest..].find(BEGIN)? + BEGIN.len();
        let end = text[from..].find("-->").map_or(text.len(), |length| from + length);
        rest = end;
        let end = text.floor_char_boundary(end.min(from + MAX_COMMENT_BYTES));
        Some((from, &text[from..end]))
    })
}
