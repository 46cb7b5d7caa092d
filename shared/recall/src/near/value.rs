//! Whether a number that differs is a value of the same thing, or the name of another thing.
//!
//! "The limit is 3" and "the limit is 5" contradict; "task 17 is done" and "task 18 is done" do not.
//! What tells is the word before the number, or the unit behind it. When in doubt it is a name.

use troupe_intent::cache::{Purpose, difference};

/// What a value follows.
const BEFORE: &[&str] = &[
    "is",
    "was",
    "are",
    "were",
    "be",
    "equals",
    "=",
    "==",
    ":",
    "to",
    "at",
    "of",
    "by",
    "than",
    "exactly",
    "about",
    "only",
    "takes",
    "took",
    "lasts",
    "needs",
    "has",
    "have",
    "holds",
    "allows",
    "costs",
    "after",
    "every",
    "within",
    "port",
    "version",
    "limit",
    "timeout",
    "size",
    "rate",
    "threshold",
    "quota",
    "ttl",
    "budget",
    "retries",
    "replicas",
    "max",
    "maximum",
    "min",
    "minimum",
    "default",
    "ist",
    "sind",
    "beträgt",
    "est",
    "es",
    "son",
];
/// What a value is measured in.
const UNITS: &[&str] = &[
    "ms",
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "minute",
    "minutes",
    "min",
    "hour",
    "hours",
    "h",
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
    "year",
    "years",
    "b",
    "kb",
    "mb",
    "gb",
    "tb",
    "kib",
    "mib",
    "gib",
    "bytes",
    "percent",
    "%",
    "times",
    "retries",
    "attempts",
    "replicas",
    "workers",
    "threads",
    "connections",
    "requests",
    "errors",
    "users",
    "agents",
    "tokens",
    "dollars",
    "euros",
];

/// Whether two texts differ in one number, and that is a value.
pub(super) fn differs(one: &str, other: &str) -> bool {
    let (ours, theirs) = (numbers(one), numbers(other));
    if ours.len() != theirs.len() {
        return false;
    }
    let mut apart = ours.iter().zip(&theirs).filter(|(a, b)| a.text != b.text);
    let (Some((ours, theirs)), None) = (apart.next(), apart.next()) else { return false };
    if !(ours.is_value() && theirs.is_value()) {
        return false;
    }
    // With that number made equal they must say the same.
    let (before, behind) = (&other[..theirs.start], &other[theirs.start + theirs.text.len()..]);
    difference(one, &format!("{before}{}{behind}", ours.text), Purpose::Route).is_none()
}

/// A number in a text, with the words beside it.
#[derive(Debug)]
struct Number<'a> {
    text: &'a str,
    start: usize,
    before: String,
    behind: String,
}

impl Number<'_> {
    fn is_value(&self) -> bool {
        let unit = |word: &str| UNITS.contains(&word);
        // "30s" brings its unit along, "v2" its name.
        let (digits, own) = match self.text.find(|letter: char| letter.is_alphabetic()) {
            Some(0) => ("", ""),
            Some(at) => self.text.split_at(at),
            None => (self.text, ""),
        };
        let marked = self.text.contains(['%', '$', '€', '£']);
        let named = self.text.starts_with('#');
        !named
            && (BEFORE.contains(&self.before.as_str())
                || (!digits.is_empty() && (unit(&self.behind) || unit(&own.to_lowercase())))
                || marked)
    }
}

/// Words with a digit, in order.
fn numbers(text: &str) -> Vec<Number<'_>> {
    let bare = |word: &str| {
        let kept = |letter: char| letter.is_alphanumeric() || matches!(letter, '=' | '%');
        word.trim_matches(|letter: char| !kept(letter)).to_lowercase()
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut numbers = Vec::new();
    let base = text.as_ptr().addr();
    for (at, word) in words.iter().enumerate() {
        if !word.contains(|letter: char| letter.is_numeric()) {
            continue;
        }
        let ends =
            |letter: char| matches!(letter, '.' | ',' | ';' | ':' | '!' | '?' | ')' | '(' | '"');
        let number = word.trim_matches(ends);
        // "limit=3", "limit:3": what stands before the sign is the word before.
        let (before, number) = match number.rsplit_once(['=', ':']) {
            Some((_, value)) if value.starts_with(|letter: char| letter.is_numeric()) => {
                ("=".to_owned(), value)
            }
            _ => (at.checked_sub(1).map_or_else(String::new, |n| bare(words[n])), number),
        };
        let behind = words.get(at + 1).map_or_else(String::new, |word| bare(word));
        numbers.push(Number { text: number, start: number.as_ptr().addr() - base, before, behind });
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_and_names_do_not() {
        for (one, other) in [
            ("The retry limit is 3.", "The retry limit is 5."),
            ("the gateway listens on port 8080", "the gateway listens on port 9090"),
            ("backups run every 6 hours", "backups run every 12 hours"),
            ("a lease lasts 30s here", "a lease lasts 60s here"),
            ("the rollout stops at 5% errors", "the rollout stops at 7% errors"),
            ("max_retries=3 in staging", "max_retries=4 in staging"),
            ("shard 3 keeps 7 days of events", "shard 3 keeps 30 days of events"),
        ] {
            assert!(differs(one, other), "{one:?} {other:?}");
            assert!(differs(other, one), "{other:?} {one:?}");
        }
        for (one, other) in [
            ("task 17 is done", "task 18 is done"),
            ("order 1234 was shipped", "order 1235 was shipped"),
            ("shard 3 keeps 7 days of events", "shard 4 keeps 30 days of events"),
            ("shard 3 keeps 7 days of events", "shard 4 keeps 7 days of events"),
            ("see issue #12 first", "see issue #13 first"),
            ("the limit is 3", "the limit is 3"),
            ("no numbers", "no numbers at all"),
            ("the limit is 3", "the limit is 3 of 5"),
            ("", ""),
        ] {
            assert!(!differs(one, other), "{one:?} {other:?}");
        }
    }
}
