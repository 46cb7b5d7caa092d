//! Routing by intent: from what is wanted, in words, to the agent that can do it.
//!
//! Invariants: an intent never waits for the model, for Redis or for another replica; whoever is
//! chosen passes every hard constraint at that moment, whatever a cache or an older router says; and
//! every decision says why.

pub mod config;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_bus::port::World;
use troupe_contract::routing::{
    DecisionTotals, FeedbackReply, FeedbackRequest, FitReply, FitRequest, Resolution,
    ResolveRequest, Route, RouteDeleted, RouteListRequest, RoutePage, RouteRef, RouteReply,
};
use troupe_domain::message::Intent;
use troupe_domain::{AgentId, Code, Fault, Name};

pub use config::Config;

/// Agents that a message is handed on to, one after the other, where the chosen one fails.
pub const MAX_ALTERNATIVES: usize = 3;
/// Agents that are no longer fit and wait to be looked at.
pub const UNFIT_AGENTS: usize = 32_768;

/// What intents stand on.
#[derive(Clone)]
pub struct Setup {
    /// What they were told.
    pub config: Config,
    /// The hot tier, where there is one.
    pub redis_url: Option<String>,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// Time and chance.
    pub world: Arc<dyn World>,
}

/// The agent for a message, and those after it.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The decision, explained.
    pub resolution: Resolution,
    /// Who gets it; absent where nobody does, and the resolution says why.
    pub agent: Option<AgentId>,
    /// Who gets it where that one fails; at most [`MAX_ALTERNATIVES`].
    pub alternatives: Vec<AgentId>,
    /// What breakers and success are kept under.
    pub key: Name,
}

/// How a message that came by intent ended at one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was handled.
    Answered,
    /// It was refused, given back, or not acknowledged in time.
    Failed,
    /// It was taken back, or ran out of time before the agent had it: that says nothing of the agent.
    Dropped,
}

/// What became of a delivery of an intent message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whose it was.
    pub agent: AgentId,
    /// What it was chosen under: [`Choice::key`].
    pub key: Name,
    /// How it ended there.
    pub end: End,
    /// From the hand-out to the end, where it was handed out.
    pub latency_ms: Option<u64>,
    /// Who has it next, where it was handed on.
    pub handed_to: Option<AgentId>,
}

/// An agent that should get nothing more for now: what waits for it by intent goes to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The agent.
    pub agent: AgentId,
    /// Only what was chosen under this; everything where it is absent.
    pub key: Option<Name>,
}

/// Routing by intent, as one replica does it.
#[derive(Debug)]
pub struct Intents {
    unfit: parking_lot::Mutex<Option<mpsc::Receiver<Unfit>>>,
}

fn not_yet() -> Fault {
    Fault::new(Code::Unavailable, "routing by intent is not ready")
}

impl Intents {
    /// Reads agents and routes, and begins to follow them; starts without a model and without Redis.
    pub async fn start(bus: &Bus, setup: Setup) -> anyhow::Result<Arc<Self>> {
        let _ = (bus, setup);
        let (_, unfit) = mpsc::channel(UNFIT_AGENTS);
        Ok(Arc::new(Self { unfit: parking_lot::Mutex::new(Some(unfit)) }))
    }

    /// Says who can act on an intent, and why; changes nothing.
    pub async fn resolve(
        &self,
        caller: &AgentId,
        request: ResolveRequest,
        deadline: Instant,
    ) -> Result<Resolution, Fault> {
        let _ = (caller, request, deadline);
        Err(not_yet())
    }

    /// Chooses who gets a message. The choice counts as work under way until [`heard`](Self::heard)
    /// says how it ended.
    pub async fn choose(
        &self,
        sender: &AgentId,
        intent: &Intent,
        deadline: Instant,
    ) -> Result<Choice, Fault> {
        let _ = (sender, intent, deadline);
        Err(not_yet())
    }

    /// Declares a route, or changes it.
    pub async fn route_put(
        &self,
        caller: &AgentId,
        route: Route,
        deadline: Instant,
    ) -> Result<RouteReply, Fault> {
        let _ = (caller, route, deadline);
        Err(not_yet())
    }

    /// Removes a route.
    pub async fn route_delete(
        &self,
        caller: &AgentId,
        request: RouteRef,
        deadline: Instant,
    ) -> Result<RouteDeleted, Fault> {
        let _ = (caller, request, deadline);
        Err(not_yet())
    }

    /// Lists routes.
    pub async fn route_list(&self, request: RouteListRequest) -> Result<RoutePage, Fault> {
        let _ = request;
        Err(not_yet())
    }

    /// Fits thresholds.
    pub async fn fit(
        &self,
        caller: &AgentId,
        request: FitRequest,
        deadline: Instant,
    ) -> Result<FitReply, Fault> {
        let _ = (caller, request, deadline);
        Err(not_yet())
    }

    /// Learns how a decision turned out.
    pub async fn feedback(
        &self,
        caller: &AgentId,
        request: FeedbackRequest,
        deadline: Instant,
    ) -> Result<FeedbackReply, Fault> {
        let _ = (caller, request, deadline);
        Err(not_yet())
    }

    /// Every agent that the registry knows: for broadcasts.
    pub fn everybody(&self) -> Vec<AgentId> {
        Vec::new()
    }

    /// What was decided so far, here.
    pub fn statistics(&self) -> DecisionTotals {
        DecisionTotals::default()
    }

    /// What became of a delivery; feeds success, latency and breakers.
    pub fn heard(&self, outcome: Outcome) {
        let _ = outcome;
    }

    /// Who is no longer fit, to be taken once: what waits for them by intent is to be handed on.
    pub fn unfit(&self) -> Option<mpsc::Receiver<Unfit>> {
        self.unfit.lock().take()
    }

    /// Ends what runs beside requests.
    pub async fn drain(&self) {}
}
