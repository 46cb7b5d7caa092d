//! A decision as it is told: the candidates with what speaks for them, who was removed, and why.

use troupe_contract::routing::{
    BreakerState, Candidate, RemovedBy, RemovedCandidate, Resolution, ResolveOutcome, ScoreParts,
};
use troupe_domain::message::Fallback;
use troupe_domain::{AgentId, Timestamp};

use super::knowledge::Knowledge;
use super::understanding::Understood;
use crate::rules::breaker::State;
use crate::rules::filter::Filter;
use crate::rules::filter::roster::Row;
use crate::rules::resolve::{self, Refusal, Via};
use crate::rules::score::{Parts, Weights};

/// A breaker's state on the wire.
pub(super) fn breaker_state(state: State) -> BreakerState {
    match state {
        State::Closed => BreakerState::Closed,
        State::HalfOpen => BreakerState::HalfOpen,
        State::Open => BreakerState::Open,
    }
}

fn removed_by(filter: Filter) -> RemovedBy {
    match filter {
        Filter::Alive => RemovedBy::Offline,
        Filter::Role => RemovedBy::Role,
        Filter::Capability => RemovedBy::Capability,
        Filter::Surface => RemovedBy::Surface,
        Filter::Exclude => RemovedBy::Excluded,
        Filter::Intent => RemovedBy::Intent,
        Filter::Capacity => RemovedBy::Load,
        Filter::Breaker => RemovedBy::Breaker,
    }
}

/// How an attempt to find somebody came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// What the text means decided.
    Intent,
    /// The filters alone did.
    Filters,
    /// Names of capabilities in the text did, because no router could be asked.
    Names,
    /// The fallback did.
    Fallback(Fallback),
}

/// What was found.
pub(super) struct Found {
    pub(super) resolution: resolve::Resolution,
    pub(super) way: Way,
}

/// Tells a decision, with at most `limit` candidates.
pub(super) fn tell(
    knowledge: &Knowledge,
    understood: &Understood,
    found: &Found,
    limit: usize,
    took_us: u64,
) -> Resolution {
    let ranked = &found.resolution.ranked;
    let weights = &knowledge.config.policy.weights;
    let chosen = ranked.first();
    let verdict = &understood.verdict;
    let fallback = match &found.way {
        Way::Fallback(fallback) if chosen.is_some() => Some(fallback.clone()),
        Way::Names if chosen.is_some() => Some(Fallback::Capability),
        _ => None,
    };
    let candidates = ranked.iter().take(limit).map(|one| Candidate {
        agent_id: one.agent.clone(),
        route_id: one.route.clone(),
        score: one.score,
        parts: weighted(&one.parts, weights),
        breaker: breaker_state(one.breaker),
    });
    Resolution {
        outcome: if chosen.is_some() { ResolveOutcome::Chosen } else { ResolveOutcome::Abstained },
        agent_id: chosen.map(|one| one.agent.clone()),
        route_id: chosen.and_then(|one| one.route.clone()),
        probability: verdict.probability,
        threshold: verdict.threshold,
        margin: verdict.margin,
        reason: reason(understood, found),
        candidates: candidates.collect(),
        removed: removed(knowledge, found),
        cache: understood.cache,
        fallback,
        took_us,
    }
}

/// Each part with its weight, so that they add up to the score.
fn weighted(parts: &Parts, weights: &Weights) -> ScoreParts {
    let sum =
        weights.semantic + weights.proficiency + weights.success + weights.load + weights.latency;
    ScoreParts {
        semantic: weights.semantic * parts.semantic / sum,
        proficiency: weights.proficiency * parts.proficiency / sum,
        success: weights.success * parts.success / sum,
        load: weights.load * parts.load / sum,
        latency: weights.latency * parts.latency / sum,
    }
}

fn reason(understood: &Understood, found: &Found) -> String {
    let resolution = &found.resolution;
    let meant = &understood.verdict.reason;
    let Some(chosen) = resolution.ranked.first() else {
        return match resolution.refusal {
            Some(Refusal::NotUnderstood) => meant.clone(),
            _ => format!("{meant}; nobody who could do it is left ({})", losses(resolution)),
        };
    };
    let how = match &found.way {
        Way::Intent => String::new(),
        Way::Filters => "; the filters alone decide".to_owned(),
        Way::Names => "; a capability that the text names decides".to_owned(),
        Way::Fallback(fallback) => format!("; the fallback ({}) decides", fallback_words(fallback)),
    };
    let among = match (resolution.via, resolution.equals, resolution.passed) {
        (_, _, 1) => "the only one who can".to_owned(),
        (_, 0 | 1, passed) => format!("the best of {passed}"),
        (_, equals, passed) => format!("balanced among the {equals} best of {passed}"),
    };
    format!("{meant}{how}: {} is {among}", chosen.agent)
}

fn fallback_words(fallback: &Fallback) -> String {
    match fallback {
        Fallback::Refuse => "refuse".to_owned(),
        Fallback::Capability => "capability".to_owned(),
        Fallback::Role(role) => format!("role {role}"),
        Fallback::Agent(agent) => format!("agent {agent}"),
    }
}

fn losses(resolution: &resolve::Resolution) -> String {
    let each = resolution.removals.0.iter();
    let each: Vec<String> =
        each.map(|one| format!("{} {}", one.count, one.filter.as_str())).collect();
    if each.is_empty() { "no agents are known".to_owned() } else { each.join(", ") }
}

fn removed(knowledge: &Knowledge, found: &Found) -> Vec<RemovedCandidate> {
    let now = knowledge.now();
    let roster = knowledge.roster.read();
    let flow = knowledge.flow.lock();
    let breaker_words = |agent: &AgentId| {
        let open = flow.breakers.not_closed().find(|(whose, _, _)| *whose == agent);
        open.map_or_else(String::new, |(_, capability, breaker)| {
            let until: Timestamp = breaker.shared().until;
            format!("{capability}: tried again in {} ms", until.millis_since(now))
        })
    };
    let detail = |filter: Filter, agent: &AgentId, row: Option<&Row>| match (filter, row) {
        (Filter::Alive, Some(row)) => row.status.as_str().to_owned(),
        (Filter::Role, Some(row)) => row.role.to_string(),
        (Filter::Capacity, Some(row)) => format!("{} of {}", row.running, row.max_concurrent),
        (Filter::Breaker, _) => breaker_words(agent),
        _ => String::new(),
    };
    let all = found.resolution.removals.0.iter();
    all.flat_map(|removed| {
        removed.agents.iter().map(|agent| RemovedCandidate {
            agent_id: agent.clone(),
            by: removed_by(removed.filter),
            detail: detail(removed.filter, agent, roster.get(agent)),
        })
    })
    .collect()
}

/// The way of a resolution that needs no other word.
pub(super) fn way_of(via: Via, fallback: &Fallback) -> Way {
    match via {
        Via::Intent => Way::Intent,
        Via::Constraints => Way::Filters,
        Via::Fallback => Way::Fallback(fallback.clone()),
    }
}
