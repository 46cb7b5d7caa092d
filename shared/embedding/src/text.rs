//! What of a text the model gets to see.
//!
//! Invariant: the result is never empty, never longer than asked for, has no control characters
//! and no outer or doubled white space, and normalising it again changes nothing. It depends on
//! the text alone, so it serves as the exact key of a cache.

use troupe_domain::Fault;

/// Changes when a text may be normalised to something else than before: part of a model's id.
pub(crate) const TEXT_RULES: u8 = 1;

/// `text` as it is embedded: control characters and runs of white space become one space, and what
/// goes beyond `max_bytes` is cut between two characters.
///
/// Refused with `invalid_argument` for the field `text` if nothing is left that could mean
/// something: an empty text, or one of spaces, control and formatting characters.
pub fn normalise(text: &str, max_bytes: usize) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::invalid("text", "is empty"));
    }
    let mut kept = String::with_capacity(text.len().min(max_bytes));
    let mut visible = false;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = !kept.is_empty();
            continue;
        }
        if kept.len() + usize::from(gap) + c.len_utf8() > max_bytes {
            break;
        }
        if std::mem::take(&mut gap) {
            kept.push(' ');
        }
        visible |= !formats(c);
        kept.push(c);
    }
    if visible {
        return Ok(kept);
    }
    Err(Fault::invalid("text", "has no character that can be seen"))
}

/// Characters that only say how others are shown or joined (Unicode's category Cf).
fn formats(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUND_BYTES: usize = 64;

    #[test]
    fn white_space_and_control_characters_become_one_space() {
        let text = "\u{feff}\tsend\0the \r\n report\u{7} ";
        assert_eq!(normalise(text, BOUND_BYTES).unwrap(), "\u{feff} send the report");
    }

    #[test]
    fn other_scripts_and_joined_emoji_stay_as_they_are() {
        for text in ["שלח את הדוח", "帮我重置密码", "👩‍🚀 launch", "e\u{301}t\u{e9}"]
        {
            assert_eq!(normalise(text, BOUND_BYTES).unwrap(), text);
        }
    }

    #[test]
    fn what_says_nothing_is_refused_by_name() {
        for text in ["", " \n\t", "\0\u{1}\u{7f}", "\u{200b}\u{202e} \u{feff}", "\u{e0020}"] {
            let fault = normalise(text, BOUND_BYTES).unwrap_err();
            assert_eq!(fault.details["field"], "text", "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = normalise(&"é".repeat(1_000_000), 9).unwrap();
        assert_eq!(cut, "éééé");
        assert_eq!(normalise("one two", 4).unwrap(), "one", "no space at the end");
    }

    proptest! {
        #[test]
        fn normalising_is_bounded_and_happens_once(text in any::<String>(), max_bytes in 1_usize..80) {
            if let Ok(once) = normalise(&text, max_bytes) {
                prop_assert!(!once.is_empty() && once.len() <= max_bytes);
                prop_assert!(!once.contains("  ") && once.trim() == once);
                prop_assert!(!once.chars().any(char::is_control));
                prop_assert_eq!(normalise(&once, max_bytes).unwrap(), once);
            }
        }

        #[test]
        fn what_is_cut_off_does_not_matter(head in "[a-z ]{40,60}", a in any::<String>(), b in any::<String>()) {
            let of = |tail: &str| normalise(&format!("{head}{tail}"), 20).ok();
            prop_assume!(head.split_whitespace().collect::<String>().len() > 20);
            prop_assert_eq!(of(&a), of(&b));
        }
    }
}
