//! Texts as the services take them.

use troupe_domain::limits::MAX_TEXT_BYTES;

/// The end of the text matters most: it is where programs say what went wrong. Control characters,
/// which the service refuses, become spaces.
pub(crate) fn bounded(text: &str) -> String {
    let from = text.len().saturating_sub(MAX_TEXT_BYTES);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let readable = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c };
    text[from..].chars().map(readable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_keeps_its_end_and_whole_characters() {
        let long = format!("{}end", "ü".repeat(MAX_TEXT_BYTES));
        let kept = bounded(&long);
        assert!(kept.len() <= MAX_TEXT_BYTES && kept.ends_with("üend"));
        assert_eq!(bounded("a\u{1b}[31mb\n"), "a [31mb\n");
    }
}
