//! Texts that teach or ask: what is accepted, and when two are the same.
//!
//! Invariant: texts that differ only in case and white space have the same key, and a key is its
//! own key.

use troupe_domain::Fault;
pub use troupe_domain::limits::MAX_UTTERANCE_BYTES;

/// The form under which a text is looked up: that of the semantic cache, so that what is the same
/// there is the same here.
pub fn key(text: &str) -> String {
    troupe_intent::cache::normalised(text)
}

/// Checks an example utterance that came in `field`. Line breaks and tabs are white space; other
/// control characters have no place in a text that people write.
pub fn check(field: &str, text: &str) -> Result<(), Fault> {
    if text.len() > MAX_UTTERANCE_BYTES {
        return Err(
            Fault::exhausted("MAX_UTTERANCE_BYTES", MAX_UTTERANCE_BYTES).with("field", field)
        );
    }
    if text.trim().is_empty() {
        return Err(Fault::invalid(field, "must not be empty"));
    }
    if let Some(control) = text.chars().find(|c| c.is_control() && !c.is_whitespace()) {
        let code = u32::from(control);
        return Err(Fault::invalid(field, format!("holds the control character U+{code:04X}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in any::<String>()) {
            let once = key(&text);
            prop_assert_eq!(key(&once), once);
        }

        #[test]
        fn space_and_case_do_not_matter(words in prop::collection::vec("[a-zäöé]{1,6}", 1..6), gap in "[ \t\n]{1,3}") {
            let plain = words.join(" ");
            prop_assert_eq!(key(&format!(" {} ", words.join(&gap).to_uppercase())), key(&plain));
        }
    }

    #[test]
    fn what_people_write_passes_and_what_they_do_not_is_named() {
        for text in ["résumé 🙂", "שלום עולם", "two\nlines", "取消订单", "👩‍🚀"]
        {
            assert_eq!(check("text", text), Ok(()), "{text}");
        }
        let why = |text: &str| check("utterances[2]", text).unwrap_err();
        assert!(why(" \n").message.contains("empty"));
        assert!(why("a\u{7}b").message.contains("U+0007"));
        assert_eq!(
            why(&"x".repeat(MAX_UTTERANCE_BYTES + 1)).details["limit"],
            "MAX_UTTERANCE_BYTES"
        );
        assert_eq!(why("\0").details["field"], "utterances[2]");
    }
}
