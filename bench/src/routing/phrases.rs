//! Texts for a run: what people say again, in other words, or for the first time.

use std::collections::BTreeMap;

use troupe_domain::Name;

use super::fleet::Wanted;
use super::sets::IntentSet;

/// Routes that are made of a set, at most.
const ROUTES_MAX: usize = 200;
/// What is said of each, at most.
const UTTERANCES_MAX: usize = 10;

/// What stands before a text, and changes nothing about what is wanted.
const BEFORE: [&str; 12] = [
    "",
    "please ",
    "hi, ",
    "hello, ",
    "hey, ",
    "could you please ",
    "can you ",
    "kindly ",
    "good morning, ",
    "would you ",
    "dear team, ",
    "ok, ",
];
/// What stands behind it.
const BEHIND: [&str; 12] = [
    "",
    ", please",
    ", thanks",
    ", thank you",
    " now",
    ", if you can",
    " for me",
    ", cheers",
    ", thank you very much",
    " please",
    ", many thanks",
    ", would you",
];

/// How often a text can be said in other words.
pub(super) const VARIANTS: usize = BEFORE.len() * BEHIND.len();

/// A text in other words that ask for the same; number 0 is the text itself.
pub(super) fn variant(text: &str, number: usize) -> String {
    let (before, behind) = (number / BEHIND.len() % BEFORE.len(), number % BEHIND.len());
    if before == 0 {
        return format!("{text}{}", BEHIND[behind]);
    }
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_lowercase().to_string());
    let rest = letters.as_str();
    format!("{}{}{rest}{}", BEFORE[before], first.unwrap_or_default(), BEHIND[behind])
}

/// A text that was never said: about another number of the same thing.
pub(super) fn new(text: &str, number: usize) -> String {
    format!("{text}, number {number}")
}

/// A route for each intent of a set, to the capability of its name, with examples.
pub(super) fn routes(set: &IntentSet) -> Vec<Wanted> {
    let mut routes = BTreeMap::<Name, Vec<String>>::new();
    for one in &set.train {
        let Some(name) = route(&one.label) else { continue };
        if routes.len() == ROUTES_MAX && !routes.contains_key(&name) {
            continue;
        }
        let said = routes.entry(name).or_default();
        if said.len() < UTTERANCES_MAX {
            said.push(one.text.clone());
        }
    }
    routes.into_iter().map(|(name, said)| (name.clone(), name, said)).collect()
}

/// The route of an intent: its name, with what a name may have.
pub(super) fn route(label: &str) -> Option<Name> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    Name::parse(&label.chars().map(plain).collect::<String>()).ok()
}

/// What is said of a route of a fleet without a set: each route is about something else.
pub(super) fn made(number: usize) -> [String; 3] {
    const DOES: [&str; 20] = [
        "translate",
        "summarise",
        "deploy",
        "review",
        "measure",
        "archive",
        "encrypt",
        "schedule",
        "cancel",
        "restore",
        "publish",
        "approve",
        "compare",
        "migrate",
        "rename",
        "index",
        "estimate",
        "reject",
        "monitor",
        "repair",
    ];
    const WHAT: [&str; 25] = [
        "invoices",
        "contracts",
        "photographs",
        "log files",
        "release notes",
        "meetings",
        "customer letters",
        "database tables",
        "test reports",
        "payments",
        "holiday requests",
        "mobile apps",
        "network routers",
        "spreadsheets",
        "podcasts",
        "job applications",
        "shopping carts",
        "medical records",
        "train tickets",
        "recipes",
        "legal opinions",
        "sensor readings",
        "video clips",
        "passwords",
        "street maps",
    ];
    const WHERE: [&str; 20] = [
        "Berlin",
        "the finance department",
        "the mobile team",
        "a hospital",
        "our partners",
        "Brazil",
        "the night shift",
        "the warehouse",
        "new customers",
        "the school",
        "Tokyo",
        "the board",
        "the data centre",
        "retail shops",
        "the legal office",
        "farmers",
        "the airport",
        "Nairobi",
        "volunteers",
        "the archive of 1998",
    ];
    let (does, what) = (number % DOES.len(), number / DOES.len() % WHAT.len());
    let place = number / (DOES.len() * WHAT.len()) % WHERE.len();
    let (does, what, place) = (DOES[does], WHAT[what], WHERE[place]);
    [
        format!("{does} {what} for {place}"),
        format!("could somebody {does} the {what} of {place}"),
        format!("{place} wants us to {does} {what}"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_texts_are_the_same() {
        let variants: BTreeSet<String> = (0..VARIANTS).map(|n| variant("Fix it", n)).collect();
        assert_eq!(variants.len(), VARIANTS);
        assert_eq!(variant("Fix it", 0), "Fix it");
        assert!(variants.contains("please fix it, thanks"));
        let made: BTreeSet<String> = (0..10_000).flat_map(made).collect();
        assert_eq!(made.len(), 30_000);
    }
}
