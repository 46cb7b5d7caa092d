//! Made-up reports of a software fleet, about as long and as various as those of real agents.
//!
//! The same seed gives the same texts. Words come as often as in any language: a few in most texts,
//! most in a few; and each text has names and numbers that hardly any other has.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WHO: [&str; 12] = [
    "ada",
    "bob",
    "cleo",
    "dan",
    "eve",
    "fay",
    "gus",
    "hana",
    "ivan",
    "jo",
    "the nightly auditor",
    "the release agent",
];
const DID: [&str; 16] = [
    "deployed",
    "rolled back",
    "restarted",
    "migrated",
    "reviewed",
    "measured",
    "rewrote",
    "benchmarked",
    "patched",
    "tested",
    "archived",
    "renamed",
    "split",
    "merged",
    "disabled",
    "documented",
];
const WHAT: [&str; 24] = [
    "payment gateway",
    "mail worker",
    "search index",
    "order database",
    "login service",
    "image resizer",
    "invoice renderer",
    "event stream",
    "rate limiter",
    "feature flags",
    "message broker",
    "build cache",
    "price list importer",
    "mobile app",
    "session store",
    "data warehouse",
    "task scheduler",
    "vector index",
    "certificate authority",
    "load balancer",
    "audit log",
    "translation memory",
    "stock forecast",
    "customer portal",
];
const WHERE: [&str; 8] = [
    "in production",
    "in staging",
    "on the arm builders",
    "in the Lisbon region",
    "on the canary",
    "for the largest tenant",
    "in the test lab",
    "behind the new proxy",
];
const BECAUSE: [&str; 16] = [
    "it ran out of memory after every third import",
    "its certificate was about to expire and nobody had an alert",
    "two jobs waited for each other's locks once a day",
    "the query plan showed a full scan of the largest table",
    "retries without a pause kept the provider down for another hour",
    "a customer sent files in an encoding that nobody expected",
    "the clock of one machine was forty seconds behind",
    "a release changed the default without saying so",
    "the disk was full of logs that should have been rotated",
    "an agent had claimed the same work twice under two names",
    "the schema in the registry was one version behind",
    "the cache had no bound and grew until the kernel ended it",
    "dates were cut at midnight of the wrong time zone",
    "the licence of a library changed with its last version",
    "a screen reader could not find the labels of the form",
    "the budget of tokens for the month was used up on the ninth day",
];
const THEN: [&str; 12] = [
    "Latency is back to what it was before.",
    "Memory stays flat since then.",
    "The check runs before every release from now on.",
    "It must be looked at again after the summer sale.",
    "The handbook says so now.",
    "Nobody outside noticed anything.",
    "Throughput went down a little, which is fine.",
    "Three hundred runs in a row were green.",
    "The old name works until the end of the quarter.",
    "Support was told what to answer.",
    "The next step is to do the same for the other regions.",
    "An alert would have told us a week earlier.",
];

/// The report with a number, of any so many.
pub(super) fn report(number: usize) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(number as u64);
    let mut from = |list: &[&'static str]| list.choose(&mut random).copied().unwrap_or_default();
    let (who, did, what, place) = (from(&WHO), from(&DID), from(&WHAT), from(&WHERE));
    let (because, then, other) = (from(&BECAUSE), from(&THEN), from(&WHAT));
    let commit: u32 = random.random_range(0..1 << 28);
    let ticket = random.random_range(100..90_000);
    let took = random.random_range(2..900);
    // A subject that few others have: made of syllables, by rank.
    let rank = (1.0 / random.random_range(1e-5_f64..1.0)) as usize;
    let subject = word(rank);
    format!(
        "{who} {did} the {what} {place}, because {because}. It took {took} minutes, see ticket \
         OPS-{ticket} and commit {commit:07x}; the {subject} module and the {other} depend on it. {then}"
    )
}

/// What somebody might ask about the report with a number.
pub(super) fn question(number: usize) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(number as u64 ^ 0x5eed);
    let mut from = |list: &[&'static str]| list.choose(&mut random).copied().unwrap_or_default();
    let (what, place, because) = (from(&WHAT), from(&WHERE), from(&BECAUSE));
    match number % 3 {
        0 => format!("What happened to the {what} {place}?"),
        1 => format!("Which service was changed because {because}?"),
        _ => format!("Who looked after the {what} and how long did it take {place}?"),
    }
}

/// A word of its own for each rank.
fn word(mut rank: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ka", "lo", "mi", "ne", "ro", "sa", "ti", "vu", "ba", "de", "fi", "go", "hu", "ja", "pe",
        "zo",
    ];
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
        rank /= SYLLABLES.len();
        if rank == 0 && word.len() >= 4 {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reports_are_various_and_stay_the_same() {
        let reports: BTreeSet<String> = (0..2_000).map(report).collect();
        assert_eq!(reports.len(), 2_000);
        assert_eq!(report(7), report(7));
        let words = |text: &String| text.split_whitespace().count();
        assert!(reports.iter().map(words).all(|words| (30..=65).contains(&words)));
        let questions: BTreeSet<String> = (0..300).map(question).collect();
        assert!(questions.len() > 100, "{} different ones", questions.len());
        assert_eq!(question(7), question(7));
    }
}
