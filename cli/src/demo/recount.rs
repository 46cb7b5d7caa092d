//! The auditors' way to count: over text, with the standard library's own iterators. It shares no
//! code with the other way, so that an error in one of them shows.

use super::figures::Counts;

/// Counts what stands in `bytes`.
pub(crate) fn recount(path: &str, bytes: &[u8]) -> Counts {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.split_inclusive('\n').map(|line| line.trim_end_matches(['\n', '\r']));
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let only = |wanted: &str, count: usize| if extension == wanted { count as u64 } else { 0 };
    Counts {
        files: 1,
        bytes: bytes.len() as u64,
        lines: text.matches('\n').count() as u64,
        blank_lines: lines().filter(|line| line.trim_matches([' ', '\t', '\r']).is_empty()).count()
            as u64,
        words: text.split_ascii_whitespace().count() as u64,
        functions: only("rs", lines().filter(|line| is_function(line)).count()),
        headings: only("md", lines().filter(|line| is_heading(line)).count()),
        todos: text.matches("TODO").count() as u64,
    }
}

fn is_function(line: &str) -> bool {
    let line = line.trim_ascii_start();
    // What stands in the parentheses of `pub(…)` may have spaces.
    let unparenthesised = match (line.strip_prefix("pub("), line.find(')')) {
        (Some(_), Some(end)) => &line[end + 1..],
        _ => line,
    };
    let mut words = unparenthesised.split_ascii_whitespace().peekable();
    let qualifiers = ["pub", "async", "const", "unsafe", "extern", "\"C\""];
    while words.next_if(|word| qualifiers.contains(word)).is_some() {}
    words.next() == Some("fn") && words.next().is_some()
}

fn is_heading(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(hashes, _)| {
        (1..=6).contains(&hashes.len()) && hashes.chars().all(|mark| mark == '#')
    })
}
