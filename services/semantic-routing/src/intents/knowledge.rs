//! What one replica knows and shares between its requests and its loops.
//!
//! Invariant: locks are taken in the order of the fields, and none is held while something is waited
//! for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;
use troupe_bus::port::{OutgoingEvent, World};
use troupe_contract::routing::{self, CacheUse, DecisionTotals, FeedbackRequest};
use troupe_domain::{AgentId, Name, Timestamp};

use super::learning::School;
use super::memory::Memory;
use super::peers::Tell;
use super::{Config, Unfit};
use crate::rules::breaker::State;
use crate::rules::breaker::fleet::Change;
use crate::rules::cache_index::Generation;
use crate::rules::filter::roster::Roster;
use crate::rules::flow::Flow;
use crate::rules::unfit::Unfitness;
use crate::store::routes::RouteStore;
use crate::store::shared_cache::SharedCache;

/// Everything that requests and loops share.
pub(super) struct Knowledge {
    /// What was told.
    pub(super) config: Config,
    /// Time and chance.
    pub(super) world: Arc<dyn World>,
    /// This replica.
    pub(super) me: Name,
    /// The routes.
    pub(super) routes: RouteStore,
    /// The agents.
    pub(super) roster: RwLock<Roster>,
    /// What is under way, and how it ended so far.
    pub(super) flow: Mutex<Flow>,
    /// The cache in memory.
    pub(super) memory: Mutex<Memory>,
    /// What makes routers.
    pub(super) school: School,
    /// What replicas share.
    pub(super) shared: Option<Arc<SharedCache>>,
    /// To the other replicas.
    pub(super) peers: mpsc::Sender<Tell>,
    /// To whoever wants to know.
    pub(super) events: mpsc::Sender<OutgoingEvent>,
    /// To whoever hands messages on.
    pub(super) unfit: mpsc::Sender<Unfit>,
    /// Counts.
    pub(super) totals: Totals,
}

impl std::fmt::Debug for Knowledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Knowledge").field("me", &self.me).finish_non_exhaustive()
    }
}

/// Decisions since the start.
#[derive(Debug, Default)]
pub(super) struct Totals {
    chosen: AtomicU64,
    abstained: AtomicU64,
    fallbacks: AtomicU64,
    exact: AtomicU64,
    near: AtomicU64,
    missed: AtomicU64,
}

impl Totals {
    pub(super) fn count(&self, resolution: &routing::Resolution) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Relaxed);
        add(if resolution.agent_id.is_some() { &self.chosen } else { &self.abstained });
        if resolution.fallback.is_some() {
            add(&self.fallbacks);
        }
        add(match resolution.cache {
            CacheUse::Exact => &self.exact,
            CacheUse::Near => &self.near,
            CacheUse::Miss => &self.missed,
        });
    }
}

impl Knowledge {
    /// The moment.
    pub(super) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// What a decision rests on now, with `model`.
    pub(super) fn generation(&self, model: &str) -> Generation {
        let routes = self.routes.look(crate::rules::routes::RouteTable::fingerprint);
        let fleet = self.roster.read().offers().fingerprint();
        Generation { fleet, routes, model: model.to_owned() }
    }

    /// Tells the other replicas, without any promise.
    pub(super) fn tell(&self, tell: Tell) {
        if self.peers.try_send(tell).is_err() {
            tracing::debug!("too much waits to be told to the other replicas");
        }
    }

    /// Says that an agent should not have what it has.
    pub(super) fn is_unfit(&self, agent: &AgentId, why: Unfitness) {
        let unfit = Unfit { agent: agent.clone(), why };
        if self.unfit.try_send(unfit).is_err() {
            tracing::warn!(agent = agent.as_str(), "too many unfit agents wait; its messages stay");
        }
    }

    /// A breaker changed here: the others are told, and what the agent has is handed on where it opened.
    pub(super) fn breaker_changed(&self, change: Change) {
        if change.shared.state == State::Open {
            self.is_unfit(&change.agent, Unfitness::Failing(change.capability.clone()));
        }
        if let Some(event) = super::events::of_breaker(&change, self.now())
            && self.events.try_send(event).is_err()
        {
            tracing::warn!(agent = change.agent.as_str(), "an event of its breaker is not told");
        }
        if let Some(shared) = &self.shared {
            let (shared, change) = (shared.clone(), change.clone());
            tokio::spawn(async move { shared.store_breaker(&change).await });
        }
        self.tell(Tell::Breaker(change));
    }

    /// Feedback becomes an event, for whoever learns from it.
    pub(super) fn tell_feedback(&self, by: &AgentId, request: &FeedbackRequest) {
        let id = self.world.ulid().to_string();
        let event = super::events::of_feedback(id, by, request, self.now());
        if self.events.try_send(event).is_err() {
            tracing::warn!(agent = request.agent_id.as_str(), "an event of feedback is not told");
        }
    }

    /// The counts, and the breakers as they are.
    pub(super) fn statistics(&self) -> DecisionTotals {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let mut statistics = DecisionTotals {
            chosen: read(&self.totals.chosen),
            abstained: read(&self.totals.abstained),
            fallbacks: read(&self.totals.fallbacks),
            cache_exact: read(&self.totals.exact),
            cache_near: read(&self.totals.near),
            cache_misses: read(&self.totals.missed),
            routes: self.routes.look(|table| table.len_declared() as u64),
            ..DecisionTotals::default()
        };
        for (_, _, breaker) in self.flow.lock().breakers.not_closed() {
            let state = super::explain::breaker_state(breaker.state());
            *statistics.breakers.entry(state).or_default() += 1;
        }
        statistics
    }
}
