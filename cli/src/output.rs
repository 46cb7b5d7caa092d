//! What is printed on standard output: JSON for machines, tables for people.

use std::io::{self, Write};

use serde::Serialize;

/// Prints one line; a reader that went away is no error.
pub(crate) fn line(text: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a value as JSON over several lines.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string_pretty(value)?)?)
}

/// Prints a value as one line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// A table without frames: it can be read, and cut with `awk`.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let header = header.iter().map(|name| name.to_uppercase()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An optional value, or a dash.
pub(crate) fn or_dash<T: std::fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// The name on the wire of a value that is one word.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// Reads a word as the wire knows it; the error lists the words that there are.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|why| why.to_string())
}

/// The first line of a text, cut to `max` characters.
pub(crate) fn short(text: &str, max: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    if first.chars().count() <= max {
        return first.to_owned();
    }
    let mut cut: String = first.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_characters_and_lines() {
        assert_eq!(short("über alles\nnext", 5), "über…");
        assert_eq!(short("", 5), "");
    }

    #[test]
    fn words_are_those_of_the_wire() {
        use troupe_domain::MessagePriority;
        assert_eq!(word(&MessagePriority::High), "high");
        assert_eq!(from_word::<MessagePriority>("low"), Ok(MessagePriority::Low));
        let why = from_word::<MessagePriority>("soon").unwrap_err();
        assert!(why.contains("critical"), "{why}");
    }

    #[test]
    fn a_table_is_plain_text() {
        let text = table(&["id", "n"], vec![vec!["a".into(), "1".into()]]);
        assert_eq!(text, "ID  N\na   1");
    }
}
