//! What travels for routing by intent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_domain::message::{Fallback, IntentFilters};
use troupe_domain::{AgentId, MessageId, Name, RequiredCapability, Role};

/// The id of a route.
pub type RouteId = Name;

/// A declared way from what is wanted to who does it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its id.
    pub id: RouteId,
    /// Who does it.
    pub target: RouteTarget,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What people say who want it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub utterances: Vec<String>,
    /// The least probability at which it is chosen, 0 to 1; fitted where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// Who does what a route is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteTarget {
    /// This agent.
    Agent(AgentId),
    /// Any agent with this role.
    Role(Role),
    /// Any agent with this capability.
    Capability(RequiredCapability),
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteReply {
    /// The route.
    pub route: Route,
    /// Whether it was not there before.
    pub created: bool,
}

/// One route by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteRef {
    /// The route.
    #[serde(alias = "id")]
    pub route_id: RouteId,
}

/// The answer to a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteDeleted {
    /// Whether there was one.
    pub removed: bool,
}

/// Which routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteListRequest {
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RouteId>,
}

/// Routes in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoutePage {
    /// The routes.
    pub routes: Vec<Route>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<RouteId>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// What is wanted, in words.
    pub text: String,
    /// Who may do it.
    #[serde(default)]
    pub filters: IntentFilters,
    /// How many candidates to show; 5 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// What happens when nobody fits; the service's own setting where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// Whether somebody was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolveOutcome {
    /// Somebody was.
    Chosen,
    /// Nobody fits well enough.
    Abstained,
}

/// Who can act on an intent, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resolution {
    /// Whether somebody was chosen.
    pub outcome: ResolveOutcome,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// By which route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<RouteId>,
    /// How probable it is that the route is what is wanted, 0 to 1, calibrated.
    pub probability: f64,
    /// The probability at which the route would have been chosen.
    pub threshold: f64,
    /// How far the best route is ahead of the second.
    pub margin: f64,
    /// Why it was decided so, in words.
    pub reason: String,
    /// The candidates, the chosen one first.
    pub candidates: Vec<Candidate>,
    /// Who was no candidate, and which filter says so.
    pub removed: Vec<RemovedCandidate>,
    /// Whether the answer was known.
    pub cache: CacheUse,
    /// The fallback that chose, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Somebody who could act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// The agent.
    pub agent_id: AgentId,
    /// The route that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<RouteId>,
    /// The sum of its parts.
    pub score: f64,
    /// What the score is made of, each weighted.
    pub parts: ScoreParts,
    /// The state of its breaker.
    pub breaker: BreakerState,
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreParts {
    /// How well what it offers fits what is wanted.
    pub semantic: f64,
    /// How proficient it says it is.
    pub proficiency: f64,
    /// How often it succeeded.
    pub success: f64,
    /// How much room it has.
    pub load: f64,
    /// How fast it answers.
    pub latency: f64,
}

/// Somebody who could not act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovedCandidate {
    /// The agent.
    pub agent_id: AgentId,
    /// What removed it.
    pub by: RemovedBy,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What removes a candidate.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RemovedBy {
    /// It has another role.
    Role,
    /// It lacks a capability, or the proficiency.
    Capability,
    /// It meets its people elsewhere.
    Surface,
    /// It was excluded by name, or asks itself.
    Excluded,
    /// What it offers is not what is wanted.
    Intent,
    /// It is not there.
    Offline,
    /// Its breaker is open.
    Breaker,
    /// It has no room.
    Load,
}

/// Whether an answer was known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// The same text was asked before.
    Exact,
    /// A text that means the same was asked before.
    Near,
    /// Neither was.
    Miss,
}

/// The state of an agent's breaker.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// It gets messages.
    Closed,
    /// It gets none for a while: too many failed.
    Open,
    /// It gets a few, to find out.
    HalfOpen,
}

/// Labelled examples, to fit thresholds to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FitRequest {
    /// The examples; the routes' own utterances where there are none.
    pub examples: Vec<LabelledText>,
    /// Only these routes; all where none is named.
    pub route_ids: Vec<RouteId>,
    /// The share of right ones that is wanted among what a route is chosen for, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Whether the thresholds are kept, or only shown.
    pub dry_run: bool,
}

/// A text and the route that it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelledText {
    /// The text.
    pub text: String,
    /// The route; absent where it wants none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<RouteId>,
}

/// What was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FitReply {
    /// By route.
    pub routes: Vec<FittedRoute>,
    /// The share of examples for which the right route came first.
    pub accuracy: f64,
    /// How well texts that want no route are told apart; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_scope_auroc: Option<f64>,
    /// How far probabilities are from what happened, on average.
    pub calibration_error: f64,
}

/// What was fitted for one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FittedRoute {
    /// The route.
    pub route_id: RouteId,
    /// The threshold.
    pub threshold: f64,
    /// The share of right ones among what it is chosen for.
    pub precision: f64,
    /// The share of what wants it for which it is chosen.
    pub recall: f64,
    /// Examples of it.
    pub examples: u64,
}

/// How a decision turned out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// What was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The message that was routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// Who got it.
    pub agent_id: AgentId,
    /// The route that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<RouteId>,
    /// Whether it could act on it.
    pub success: bool,
    /// The route that should have been taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_route_id: Option<RouteId>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// What was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackReply {
    /// Whether it changed what routing knows.
    pub learnt: bool,
}

/// What routing decided so far, on the replica that answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionTotals {
    /// Intents for which somebody was chosen.
    pub chosen: u64,
    /// Intents for which nobody was.
    pub abstained: u64,
    /// Decisions that a fallback took.
    pub fallbacks: u64,
    /// Answers that were known to the letter.
    pub cache_exact: u64,
    /// Answers that were known by meaning.
    pub cache_near: u64,
    /// Answers that were not known.
    pub cache_misses: u64,
    /// Declared routes.
    pub routes: u64,
    /// Breakers by state.
    pub breakers: BTreeMap<BreakerState, u64>,
}
