//! Finds the agent for a message, and says why.
//!
//! Hard constraints first ([`super::filter`]), then what the message means, then room and breakers,
//! then the blended score ([`super::score`]); whoever is within a margin of the best is an equal,
//! and the balancer chooses among equals. Invariants: nobody who does not pass every filter is ever
//! in the answer; what is not understood is never guessed, the configured fallback decides; the
//! same inputs give the same answer.

mod ranking;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use troupe_contract::routing::RouteTarget;
use troupe_domain::message::{Fallback, IntentFilters};
use troupe_domain::{AgentId, Fault, Name, RequiredCapability, Timestamp};

use super::balance::Balancer;
use super::breaker::{Breakers, State};
use super::filter::roster::Roster;
use super::filter::{self, Filter, Gate, Removals};
use super::performance::Performance;
use super::score::{Parts, Weights};

/// Routes of one meaning that are followed.
pub const MAX_MATCHES: usize = 8;
/// Agents that an answer ranks: the chosen one and those to try after it.
pub const MAX_RANKED: usize = 16;
/// Words of a text that are compared with names of capabilities.
const MAX_MATCHED_WORDS: usize = 64;

/// A route that is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The route.
    pub route: Name,
    /// Where it leads.
    pub target: RouteTarget,
    /// The calibrated probability that it is meant.
    pub probability: f64,
}

/// What the message means.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// One of these routes, the likeliest first; at most [`MAX_MATCHES`] are followed.
    Understood(Vec<Match>),
    /// No route for sure.
    Abstained,
    /// Nobody asked: the constraints say it all.
    NotAsked,
}

/// How candidates are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How much each part of the score counts.
    pub weights: Weights,
    /// How far below the best an equal may be.
    pub equals_margin: f64,
    /// Who gets what was not understood, where the sender does not say.
    pub fallback: Fallback,
}

impl Default for Policy {
    fn default() -> Self {
        Self { weights: Weights::default(), equals_margin: 0.05, fallback: Fallback::default() }
    }
}

impl Policy {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        if !(0.0..=1.0).contains(&self.equals_margin) {
            return Err(Fault::invalid("equals_margin", "must be within 0 and 1"));
        }
        self.weights.check()
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the sender insists on.
    pub needs: &'a IntentFilters,
    /// What the message means.
    pub meaning: &'a Meaning,
    /// What it says.
    pub text: &'a str,
    /// Who gets it where it is not understood; the policy decides where nothing is said.
    pub fallback: Option<&'a Fallback>,
}

/// Everything that is known when a question comes.
#[derive(Debug)]
pub struct Known<'a> {
    /// The agents.
    pub roster: &'a Roster,
    /// What was measured of them.
    pub performance: &'a Performance,
    /// Their breakers.
    pub breakers: &'a Breakers,
    /// How they are compared.
    pub policy: &'a Policy,
}

/// A candidate, with everything that speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The agent.
    pub agent: AgentId,
    /// The route that led to it; absent for constraints alone and for fallbacks.
    pub route: Option<Name>,
    /// What its breaker and its success are kept under.
    pub key: Name,
    /// The blended score.
    pub score: f64,
    /// The parts of the score.
    pub parts: Parts,
    /// How its breaker lets it through. A trial needs [`Breakers::take_trial`] before it is called.
    pub gate: Gate,
    /// The state of its breaker.
    pub breaker: State,
    /// Messages on their way to it.
    pub outstanding: u32,
}

/// How the answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// By what the message means.
    Intent,
    /// By the constraints alone.
    Constraints,
    /// It was not understood, and the fallback decided.
    Fallback,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The first is chosen, the next is to be tried where it fails, and so on; at most
    /// [`MAX_RANKED`]. Empty: nobody, and `refusal` says why.
    pub ranked: Vec<Candidate>,
    /// Why there is nobody.
    pub refusal: Option<Refusal>,
    /// How the answer came about.
    pub via: Via,
    /// How many were within the margin of the best.
    pub equals: usize,
    /// How many passed every filter.
    pub passed: usize,
    /// Which filter removed the others.
    pub removals: Removals,
}

/// Why there is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The message was not understood, and no fallback took it.
    NotUnderstood,
    /// Nobody passes every filter now; [`Resolution::removals`] tells which removed whom.
    Nobody,
}

/// What is looked for among those who pass the constraints.
struct Sought<'a> {
    via: Via,
    /// The targets with their routes and probabilities; none is everybody.
    targets: Vec<(Option<&'a Name>, RouteTarget, f64)>,
}

/// Finds the agent. `chance` is 64 random bits.
pub fn resolve(
    known: &Known<'_>,
    balancer: &mut Balancer,
    question: &Question<'_>,
    now: Timestamp,
    chance: u64,
) -> Resolution {
    let mut removals = Removals::default();
    let left = filter::pass(known.roster, question.needs, &mut removals);
    let Some(sought) = sought(known, question) else {
        return Resolution {
            ranked: Vec::new(),
            refusal: Some(Refusal::NotUnderstood),
            via: Via::Fallback,
            equals: 0,
            passed: 0,
            removals,
        };
    };
    let fits = ranking::fit(known.roster, &sought, &left);
    let left = removals.narrow(known.roster, Filter::Intent, &left, fits.all());
    let parties = (known.roster, known.performance, known.breakers);
    let passed = filter::ready(parties, &left, |slot, row| fits.key(slot, row), now, &mut removals);
    let order = ranking::order(known, balancer, &fits, &passed, now, chance);
    Resolution {
        refusal: order.ranked.is_empty().then_some(Refusal::Nobody),
        ranked: order.ranked,
        via: sought.via,
        equals: order.equals,
        passed: passed.len(),
        removals,
    }
}

/// Whether the sender says what it needs, and not only who and where.
fn constrains(needs: &IntentFilters) -> bool {
    !needs.capabilities.is_empty() || needs.role.is_some()
}

/// What is looked for; `None` where nothing was understood and no fallback takes it.
fn sought<'a>(known: &Known<'_>, question: &Question<'a>) -> Option<Sought<'a>> {
    // The first capability that the sender insists on stands for all of them.
    let constrained = |via| {
        let first = question.needs.capabilities.first().cloned();
        let targets = first.map(|need| (None, RouteTarget::Capability(need), 0.0));
        Sought { via, targets: targets.into_iter().collect() }
    };
    let fallback = question.fallback.unwrap_or(&known.policy.fallback);
    let only = |target| Sought { via: Via::Fallback, targets: vec![(None, target, 0.0)] };
    match question.meaning {
        Meaning::NotAsked => Some(constrained(Via::Constraints)),
        Meaning::Understood(matches) if !matches.is_empty() => {
            let followed = matches.iter().take(MAX_MATCHES);
            let targets = followed.map(|m| (Some(&m.route), m.target.clone(), m.probability));
            Some(Sought { via: Via::Intent, targets: targets.collect() })
        }
        Meaning::Understood(_) | Meaning::Abstained => match fallback {
            Fallback::Refuse => None,
            Fallback::Agent(id) => Some(only(RouteTarget::Agent(id.clone()))),
            Fallback::Role(role) => Some(only(RouteTarget::Role(role.clone()))),
            // Without constraints anybody would meet them: what the text names must do.
            Fallback::Capability if constrains(question.needs) => Some(constrained(Via::Fallback)),
            Fallback::Capability => {
                let named = known.roster.named_in(question.text, MAX_MATCHED_WORDS);
                let targets: Vec<_> = named
                    .into_iter()
                    .take(MAX_MATCHES)
                    .map(|name| RequiredCapability { name, min_proficiency: 0.0 })
                    .map(|need| (None, RouteTarget::Capability(need), 0.0))
                    .collect();
                (!targets.is_empty()).then_some(Sought { via: Via::Fallback, targets })
            }
        },
    }
}
