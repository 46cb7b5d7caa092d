//! Decisions: what a text means, who may do it, who does it.
//!
//! Each attempt is made only where the one before found nobody: what the text means, then what the
//! sender insists on, then names of capabilities in the text where no router could be asked, then the
//! fallback. Invariant: whoever asks is never the answer.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, Span, field};
use troupe_bus::trace;
use troupe_contract::routing::{Resolution, ResolveRequest};
use troupe_domain::limits::{MAX_FILTER_NAMES, MAX_TEXT_BYTES};
use troupe_domain::message::{Fallback, Intent, IntentFilters};
use troupe_domain::task::spec::check_text;
use troupe_domain::{AgentId, Fault, Name};

use super::explain::{Found, Way, tell, way_of};
use super::knowledge::Knowledge;
use super::peers::Tell;
use super::understanding::Understood;
use super::{Choice, MAX_ALTERNATIVES};
use crate::rules::catalogue::target_of;
use crate::rules::filter::Gate;
use crate::rules::resolve::{self, Known, MAX_RANKED, Meaning, Question, resolve};

/// Candidates that are shown where nobody says how many.
const SHOWN_CANDIDATES: usize = 5;
/// Decisions that are made anew because another replica took the trial first.
const MAX_LOST_TRIALS: usize = 4;

/// What is asked.
struct Asked<'a> {
    by: &'a AgentId,
    text: &'a str,
    filters: &'a IntentFilters,
    fallback: Option<&'a Fallback>,
}

impl Knowledge {
    /// Says who can act, and changes nothing.
    pub(super) async fn resolved(
        &self,
        caller: &AgentId,
        request: ResolveRequest,
        deadline: Instant,
    ) -> Result<Resolution, Fault> {
        let limit = request.limit.unwrap_or(SHOWN_CANDIDATES);
        if !(1..=MAX_RANKED).contains(&limit) {
            return Err(Fault::invalid("limit", format!("must be within 1 and {MAX_RANKED}")));
        }
        check_text("text", &request.text, MAX_TEXT_BYTES)?;
        if request.text.trim().is_empty() {
            return Err(Fault::invalid("text", "must not be empty"));
        }
        request.filters.check("filters")?;
        let asked = Asked {
            by: caller,
            text: &request.text,
            filters: &request.filters,
            fallback: request.fallback.as_ref(),
        };
        let span = decision_span();
        let decided = async {
            let began = Instant::now();
            let understood = self.understand(asked.text, deadline).await?;
            let found = self.find(&asked, &understood);
            let resolution = tell(self, &understood, &found, limit, micros(began.elapsed()));
            record(&resolution);
            self.totals.count(&resolution);
            Ok(resolution)
        };
        decided.instrument(span).await
    }

    /// Chooses who gets a message, and counts it as under way.
    pub(super) async fn chosen(
        &self,
        sender: &AgentId,
        intent: &Intent,
        deadline: Instant,
    ) -> Result<Choice, Fault> {
        intent.check()?;
        let asked = Asked {
            by: sender,
            text: &intent.text,
            filters: &intent.filters,
            fallback: intent.fallback.as_ref(),
        };
        let decided = async {
            let began = Instant::now();
            let understood = self.understand(asked.text, deadline).await?;
            let found = self.take(&asked, &understood).await;
            let resolution =
                tell(self, &understood, &found, SHOWN_CANDIDATES, micros(began.elapsed()));
            record(&resolution);
            self.totals.count(&resolution);
            Ok(choice(resolution, &found.resolution))
        };
        decided.instrument(decision_span()).await
    }

    /// Finds somebody and takes the trial where the choice is one; another replica may be faster.
    async fn take(&self, asked: &Asked<'_>, understood: &Understood) -> Found {
        for _ in 0..MAX_LOST_TRIALS {
            let found = self.find(asked, understood);
            let Some(first) = found.resolution.ranked.first() else { return found };
            let now = self.now();
            let taken = {
                let mut flow = self.flow.lock();
                match first.gate {
                    Gate::Trial => flow.take_trial(&first.agent, &first.key, now),
                    Gate::Closed | Gate::Spared => None,
                }
            };
            match (first.gate, taken) {
                (Gate::Closed | Gate::Spared, _) => {}
                // Somebody took it between the look and the grasp.
                (Gate::Trial, None) => continue,
                (Gate::Trial, Some(change)) => {
                    let stored = match &self.shared {
                        Some(shared) => shared.store_breaker(&change).await,
                        None => None,
                    };
                    if let Some(stored) = stored {
                        self.flow.lock().lost_trial(&stored);
                        continue;
                    }
                    self.tell(Tell::Breaker(change));
                }
            }
            self.flow.lock().started(&first.agent, now);
            self.tell(Tell::Started(first.agent.clone()));
            return found;
        }
        let mut found = self.find(asked, understood);
        found.resolution.ranked.retain(|one| one.gate != Gate::Trial);
        if let Some(first) = found.resolution.ranked.first() {
            self.flow.lock().started(&first.agent, self.now());
            self.tell(Tell::Started(first.agent.clone()));
        }
        found
    }

    /// Finds somebody: one attempt after the other, until one finds somebody. Where none does, the
    /// first says why.
    fn find(&self, asked: &Asked<'_>, understood: &Understood) -> Found {
        let policy = &self.config.policy;
        let constrains = asked.filters.role.is_some() || !asked.filters.capabilities.is_empty();
        let last = asked.fallback.unwrap_or(&policy.fallback);
        let meaning = self.routes.look(|table| {
            let roster = self.roster.read();
            understood.verdict.meaning(|route| target_of(route, table, roster.offers()))
        });
        let mut attempts: Vec<(Meaning, &Fallback, Option<Way>)> = Vec::with_capacity(4);
        if matches!(meaning, Meaning::Understood(_)) {
            attempts.push((meaning, &Fallback::Refuse, None));
        }
        // Who names what is needed has said who it is for, unless a fallback says otherwise.
        if constrains && (asked.fallback.is_none() || !understood.asked) {
            attempts.push((Meaning::NotAsked, &Fallback::Refuse, None));
        }
        if !understood.asked && !constrains {
            attempts.push((Meaning::Abstained, &Fallback::Capability, Some(Way::Names)));
        }
        attempts.push((Meaning::Abstained, last, None));
        let needs = needs(asked);
        let mut first: Option<Found> = None;
        for (meaning, fallback, way) in attempts {
            let question = Question {
                needs: &needs,
                meaning: &meaning,
                text: asked.text,
                fallback: Some(fallback),
            };
            let resolution = self.resolve(&question);
            let way = way.unwrap_or_else(|| way_of(resolution.via, fallback));
            let found = Found { resolution, way };
            if !found.resolution.ranked.is_empty() {
                return found;
            }
            first.get_or_insert(found);
        }
        first.unwrap_or_else(|| unreachable!("the fallback is always tried"))
    }

    fn resolve(&self, question: &Question<'_>) -> resolve::Resolution {
        let (now, chance) = (self.now(), self.world.random() as u64);
        let roster = self.roster.read();
        let mut flow = self.flow.lock();
        let flow = &mut *flow;
        let known = Known {
            roster: &roster,
            performance: &flow.performance,
            breakers: &flow.breakers,
            policy: &self.config.policy,
        };
        resolve(&known, &mut flow.balancer, question, now, chance)
    }
}

/// The filters, without whoever asks.
fn needs(asked: &Asked<'_>) -> IntentFilters {
    let mut needs = asked.filters.clone();
    let excluded = &mut needs.exclude_agent_ids;
    if excluded.len() <= MAX_FILTER_NAMES && !excluded.contains(asked.by) {
        excluded.push(asked.by.clone());
    }
    needs
}

fn choice(resolution: Resolution, ranked: &resolve::Resolution) -> Choice {
    let (first, others) = match ranked.ranked.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, &[][..]),
    };
    let others = others.iter().filter(|one| one.gate != Gate::Trial);
    Choice {
        agent: first.map(|one| one.agent.clone()),
        alternatives: others.take(MAX_ALTERNATIVES).map(|one| one.agent.clone()).collect(),
        key: first.map_or_else(nothing, |one| one.key.clone()),
        resolution,
    }
}

/// What nothing is kept under.
fn nothing() -> Name {
    Name::parse("none").unwrap_or_else(|_| unreachable!("a constant that is a name"))
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// The span of a decision; [`record`] fills it in.
fn decision_span() -> Span {
    let span = tracing::info_span!(
        target: trace::TARGET,
        "routing.resolve",
        otel.kind = "internal",
        troupe.routing.outcome = field::Empty,
        troupe.routing.agent = field::Empty,
        troupe.routing.route = field::Empty,
        troupe.routing.probability = field::Empty,
        troupe.routing.threshold = field::Empty,
        troupe.routing.margin = field::Empty,
        troupe.routing.cache = field::Empty,
        troupe.routing.reason = field::Empty,
        troupe.routing.candidates = field::Empty,
    );
    if trace::of_span(&Span::current()).is_none()
        && let Some(context) = trace::current()
    {
        trace::set_parent(&span, &context);
    }
    span
}

/// The name of a choice on the wire.
fn token(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn record(resolution: &Resolution) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("troupe.routing.outcome", token(&resolution.outcome));
    span.record("troupe.routing.cache", token(&resolution.cache));
    span.record("troupe.routing.probability", resolution.probability);
    span.record("troupe.routing.threshold", resolution.threshold);
    span.record("troupe.routing.margin", resolution.margin);
    span.record("troupe.routing.reason", resolution.reason.as_str());
    if let Some(agent) = &resolution.agent_id {
        span.record("troupe.routing.agent", agent.as_str());
    }
    if let Some(route) = &resolution.route_id {
        span.record("troupe.routing.route", route.as_str());
    }
    let candidates = serde_json::to_string(&resolution.candidates).unwrap_or_default();
    span.record("troupe.routing.candidates", candidates);
}
