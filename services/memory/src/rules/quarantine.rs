//! Quarantine: text that tries to instruct its reader is found by rules, each of them listed with what
//! it is for, a text that it catches and one that it does not.
//!
//! Invariants:
//! - Only the text decides: not who wrote it, not what is around it. Quotation marks do not help: who
//!   reads a quoted order reads an order.
//! - The text is examined as a reader sees it (compatible forms made one, hidden characters taken out,
//!   look-alike letters put back), and what is hidden in it is examined as well: encoded text, comments.
//! - Work is linear in the text; what is encoded in something encoded is not looked at.
//!
//! What it is not: a proof. It finds the known ways, in nine languages; trust levels are for the rest.

mod encoded;
mod hidden;
mod plain;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use plain::Plain;
pub use rules::{RULES, Rule};

/// Matches that are told of one text; more of them change nothing.
pub const MAX_MATCHES: usize = 32;

/// A rule that a text meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Where in the text, in bytes.
    pub at: usize,
    /// The rule's id.
    pub rule: &'static str,
}

/// The patterns of all rules, with the rule of each; compiled once. Each pattern is tried by a test, so
/// that none is left out silently. One by one and not as a set: nearly all begin with words, which are
/// looked for many times faster than patterns are.
static PATTERNS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let all = RULES.iter().flat_map(|rule| rule.patterns.iter().map(|p| (rule.id, *p)));
    all.filter_map(|(id, pattern)| Some((id, compiled(pattern).ok()?))).collect()
});

/// Boundaries of words are those of ASCII: plain text has no other Latin letters, and patterns in other
/// scripts have none.
fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&pattern.replace(r"\b", r"(?-u:\b)"))
}

/// The rules that `text` meets, each once, in the order of where.
pub fn examine(text: &str) -> Vec<Match> {
    let mut found = hidden::examine(text);
    let plain = Plain::of(text);
    found.extend(meets(&plain));
    for otherwise in [plain.unwrapped(), plain.squeezed()].into_iter().flatten() {
        found.extend(meets(&otherwise));
    }
    found.extend(hidden::examine_comments(&plain));
    found.extend(encoded::examine(text));
    found.sort_unstable();
    let mut seen = BTreeSet::new();
    found.retain(|found| seen.insert(found.rule));
    found.truncate(MAX_MATCHES);
    found
}

/// The rules with patterns that a plain text meets.
fn meets(plain: &Plain) -> Vec<Match> {
    let found = PATTERNS.iter().filter_map(|(rule, regex)| {
        let at = regex.find(plain.text())?.start();
        Some(Match { at: plain.origin(at), rule })
    });
    found.collect()
}

/// Whether a plain text meets any rule with patterns but one.
fn meets_any(plain_text: &str, but: &str) -> bool {
    PATTERNS.iter().any(|(rule, regex)| *rule != but && regex.is_match(plain_text))
}
