//! What a text means, as it is remembered and told: the routes, how sure, and why.
//!
//! Routes that lead to the same place do not compete: what is probable for them together is what
//! counts. Invariant: a route that leads nowhere any more is never named.

use serde::{Deserialize, Serialize};
use troupe_contract::routing::RouteTarget;
use troupe_domain::Name;
use troupe_intent::{Decision, Outcome, Ranked, Reason};

use super::resolve::{MAX_MATCHES, Match, Meaning};

/// Runners-up that are told.
const MAX_TOLD: usize = 5;

/// A route with its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probable {
    /// The route.
    pub route: Name,
    /// The calibrated probability that it is meant.
    pub probability: f64,
}

/// What a text means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The routes that are meant, the likeliest first; empty where nothing is understood.
    pub meant: Vec<Probable>,
    /// The likeliest routes, whatever came of it.
    pub likeliest: Vec<Probable>,
    /// How probable it is that what is meant is that.
    pub probability: f64,
    /// What was needed.
    pub threshold: f64,
    /// How far it is ahead of what leads elsewhere.
    pub margin: f64,
    /// Why, in words.
    pub reason: String,
}

impl Verdict {
    /// Nothing is understood, and no route was asked.
    pub fn unasked(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    /// The text is an example of `route`, to the letter: whatever else it looks like, that is meant.
    #[must_use]
    pub fn to_the_letter(self, route: &Name) -> Self {
        Self {
            meant: vec![Probable { route: route.clone(), probability: 1.0 }],
            probability: 1.0,
            margin: 1.0,
            reason: format!("{route} is meant: the text is one of its examples"),
            ..self
        }
    }

    /// The route that is meant.
    pub fn route(&self) -> Option<&Name> {
        self.meant.first().map(|one| &one.route)
    }

    /// What is looked for; routes that lead nowhere any more are left out.
    pub fn meaning(&self, target_of: impl Fn(&str) -> Option<RouteTarget>) -> Meaning {
        let matches: Vec<Match> = self
            .meant
            .iter()
            .filter_map(|one| {
                let target = target_of(one.route.as_str())?;
                Some(Match { route: one.route.clone(), target, probability: one.probability })
            })
            .collect();
        if matches.is_empty() { Meaning::Abstained } else { Meaning::Understood(matches) }
    }
}

/// What follows from a decision. `margin_min` is how far ahead a place must be.
pub fn judge(
    decision: &Decision,
    threshold_of: impl Fn(&str) -> f64,
    target_of: impl Fn(&str) -> Option<RouteTarget>,
    margin_min: f64,
) -> Verdict {
    let live: Vec<(&Ranked, RouteTarget)> = decision
        .ranked
        .iter()
        .filter_map(|ranked| Some((ranked, target_of(&ranked.route)?)))
        .collect();
    let likeliest = live.iter().take(MAX_TOLD).filter_map(|(ranked, _)| probable(ranked)).collect();
    let Some((first, place)) = live.first() else {
        let reason = words(decision);
        return Verdict { reason, ..Verdict::default() };
    };
    let there = || live.iter().filter(|(_, target)| same_place(target, place));
    let elsewhere = live.iter().find(|(_, target)| !same_place(target, place));
    let probability =
        there().map(|(ranked, _)| f64::from(ranked.probability)).sum::<f64>().min(1.0);
    let runner_up = elsewhere.map_or(0.0, |(_, target)| {
        let same = live.iter().filter(|(_, other)| same_place(other, target));
        same.map(|(ranked, _)| f64::from(ranked.probability)).sum()
    });
    let threshold = threshold_of(&first.route);
    let margin = probability - runner_up;
    let sure = probability >= threshold && margin >= margin_min;
    let understood = match &decision.outcome {
        Outcome::Chosen { .. } => true,
        // What was held against the first route may be a route to the same place.
        Outcome::Abstain { reason: Reason::Unsure { .. } | Reason::Close { .. } } => sure,
        Outcome::Abstain { reason: Reason::Excluded { route } } => {
            sure && there().any(|(ranked, _)| ranked.route == *route)
        }
        Outcome::Abstain { .. } => false,
    };
    let meant: Vec<Probable> = if understood {
        there().take(MAX_MATCHES).filter_map(|(ranked, _)| probable(ranked)).collect()
    } else {
        Vec::new()
    };
    let reason = if understood {
        format!(
            "{} is meant with a probability of {probability:.2} ({threshold:.2} is needed), \
             {margin:.2} ahead of the next",
            first.route
        )
    } else {
        words(decision)
    };
    Verdict { meant, likeliest, probability, threshold, margin, reason }
}

fn probable(ranked: &Ranked) -> Option<Probable> {
    let route = Name::parse(&ranked.route).ok()?;
    Some(Probable { route, probability: f64::from(ranked.probability) })
}

/// Whether two targets mean the same agents, but for how good they must be.
fn same_place(one: &RouteTarget, other: &RouteTarget) -> bool {
    match (one, other) {
        (RouteTarget::Capability(one), RouteTarget::Capability(other)) => one.name == other.name,
        _ => one == other,
    }
}

/// Why nothing is understood.
fn words(decision: &Decision) -> String {
    let first = decision.ranked.first().map_or("none", |ranked| &*ranked.route);
    match &decision.outcome {
        Outcome::Chosen { route } => format!("{route} leads nowhere any more"),
        Outcome::Abstain { reason } => match reason {
            Reason::NoRoute => "there is no route to choose".to_owned(),
            Reason::Empty => "the text says nothing".to_owned(),
            Reason::OutOfScope { scope, limit } => format!(
                "out of scope: it is meant for some route with a probability of {scope:.2} \
                 ({limit:.2} is needed); {first} is nearest"
            ),
            Reason::Excluded { route } => {
                format!("{route} is nearest, and was said not to be meant or is gone")
            }
            Reason::Unsure { probability, threshold } => format!(
                "unsure: {first} is meant with a probability of {probability:.2} \
                 ({threshold:.2} is needed)"
            ),
            Reason::Close { margin, wanted } => {
                format!("ambiguous: {first} is ahead by {margin:.2} only ({wanted:.2} is needed)")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(ranked: &[(&str, f32)], outcome: Outcome) -> Decision {
        let ranked = ranked.iter().map(|(route, probability)| Ranked {
            route: (*route).into(),
            probability: *probability,
            similarity: 0.5,
        });
        Decision { ranked: ranked.collect(), scope: 0.9, outcome }
    }

    /// `x-…` leads to the capability `x`; what begins with `gone` leads nowhere.
    fn target(route: &str) -> Option<RouteTarget> {
        let (capability, _) = route.split_once('-').unwrap();
        let target = RouteTarget::Capability(capability.parse().unwrap());
        (capability != "gone").then_some(target)
    }

    fn judged(ranked: &[(&str, f32)], outcome: Outcome) -> Verdict {
        judge(&decision(ranked, outcome), |_| 0.6, target, 0.05)
    }

    fn unsure(probability: f32) -> Outcome {
        Outcome::Abstain { reason: Reason::Unsure { probability, threshold: 0.6 } }
    }

    #[test]
    fn two_ways_to_one_place_are_sure_together() {
        let split = [("rust-a", 0.45), ("rust-b", 0.4), ("go-a", 0.1)];
        let verdict = judged(&split, unsure(0.45));
        assert_eq!(verdict.meant.len(), 2);
        assert!((verdict.probability - 0.85).abs() < 1e-6 && (verdict.margin - 0.75).abs() < 1e-6);
        assert!(verdict.reason.contains("rust-a is meant"), "{}", verdict.reason);
        let apart = [("rust-a", 0.45), ("go-b", 0.4), ("go-a", 0.1)];
        let verdict = judged(&apart, unsure(0.45));
        assert!(verdict.meant.is_empty() && verdict.reason.starts_with("unsure"), "{verdict:?}");
        assert!(matches!(verdict.meaning(target), Meaning::Abstained));
    }

    #[test]
    fn what_is_gone_is_not_named() {
        let chosen = Outcome::Chosen { route: "gone-a".into() };
        let verdict = judged(&[("gone-a", 0.9)], chosen);
        assert!(verdict.meant.is_empty() && verdict.likeliest.is_empty());
        assert!(verdict.reason.contains("leads nowhere"), "{}", verdict.reason);
        let chosen = Outcome::Chosen { route: "rust-a".into() };
        let kept = judged(&[("rust-a", 0.9), ("gone-a", 0.1)], chosen);
        assert_eq!(kept.route().unwrap().as_str(), "rust-a");
        assert!(matches!(kept.meaning(|_| None), Meaning::Abstained), "gone since then");
    }

    #[test]
    fn every_reason_has_words() {
        for (reason, word) in [
            (Reason::NoRoute, "no route"),
            (Reason::Empty, "nothing"),
            (Reason::OutOfScope { scope: 0.1, limit: 0.5 }, "out of scope"),
            (Reason::Excluded { route: "go-x".into() }, "said not to be meant"),
            (Reason::Close { margin: 0.01, wanted: 0.05 }, "ambiguous"),
        ] {
            let told = judged(&[("rust-a", 0.3)], Outcome::Abstain { reason });
            assert!(told.reason.contains(word) && told.meant.is_empty(), "{told:?}");
        }
    }
}
