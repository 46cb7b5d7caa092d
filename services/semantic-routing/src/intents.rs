//! Routing by intent: from what is wanted, in words, to the agent that can do it.
//!
//! Invariants: an intent never waits for the model, for Redis or for another replica; whoever is
//! chosen passes every hard constraint at that moment, whatever a cache or an older router says; and
//! every decision says why.

mod agents;
pub mod config;
mod deciding;
mod events;
mod explain;
mod fitting;
mod following;
mod history;
mod knowledge;
mod learning;
mod memory;
mod metrics;
mod peers;
mod teaching;
mod understanding;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::{Mutex, RwLock};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use troupe_bus::Bus;
use troupe_bus::port::World;
use troupe_bus::telling::Telling;
use troupe_contract::routing::{
    DecisionTotals, FeedbackReply, FeedbackRequest, FitReply, FitRequest, Resolution,
    ResolveRequest, Route, RouteDeleted, RouteListRequest, RoutePage, RouteRef, RouteReply,
};
use troupe_contract::{Service, stream, subject};
use troupe_domain::message::Intent;
use troupe_domain::{AgentId, Fault, MessageId, Name};
use troupe_embedding::Embedder;

use crate::rules::filter::roster::Roster;
use crate::rules::flow::{Ended, Flow};
use crate::rules::unfit::Unfitness;
use crate::store::routes::RouteStore;
use crate::store::shared_cache::SharedCache;
pub use config::Config;
pub use fitting::MAX_FIT_EXAMPLES;
use knowledge::{Knowledge, Totals};
use learning::School;
use memory::Memory;
pub(crate) use memory::Routed;
use peers::Tell;
use teaching::in_time;

/// Agents that a message is handed on to, one after the other, where the chosen one fails.
pub const MAX_ALTERNATIVES: usize = 3;
/// Agents that are no longer fit and wait to be looked at.
pub const UNFIT_AGENTS: usize = 32_768;
/// How long a drain waits until every event is told.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// How long a drain waits until what is being embedded, or the model that is being opened, is done.
const EMBED_WITHIN: Duration = Duration::from_secs(5);

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

/// An agent that should not have what it has: that goes to others, or back into its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The agent.
    pub agent: AgentId,
    /// Why.
    pub why: Unfitness,
}

/// What runs beside requests, and the first of it that panicked.
#[derive(Debug)]
struct Loops {
    running: JoinSet<()>,
    broken: watch::Sender<Option<&'static str>>,
}

impl Loops {
    /// Runs a loop that ends with the replica; one that panics ends the replica.
    fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let broken = self.broken.clone();
        self.running.spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(name, "a loop of routing by intent panicked");
                broken.send_replace(Some(name));
            }
        });
    }
}

/// Routing by intent, as one replica does it.
pub struct Intents {
    knowledge: Arc<Knowledge>,
    loops: Mutex<Loops>,
    telling: Mutex<Option<Telling>>,
    unfit: Mutex<Option<mpsc::Receiver<Unfit>>>,
}

impl std::fmt::Debug for Intents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intents").field("knowledge", &self.knowledge).finish_non_exhaustive()
    }
}

impl Intents {
    /// Reads agents and routes, and begins to follow them; starts without a model and without Redis.
    pub async fn start(bus: &Bus, setup: Setup) -> anyhow::Result<Arc<Self>> {
        let Setup { config, redis_url, stream_replicas, world } = setup;
        let me = Name::parse(&world.ulid().to_string())?;
        let agents = bus.open_stream(&stream::agents(), stream_replicas).await?;
        let routes = bus.open_stream(&stream::routes(), stream_replicas).await?;
        let sink = Arc::new(bus.events(Service::Routing, stream_replicas).await?);
        let listener = bus.listen(&subject::routing_peers()).await?;
        let embedder = Embedder::open(config.model.clone(), config.embedder.clone())?;
        let shared = redis_url.map(|url| SharedCache::new(&url, config.cache.shared_for_ms));
        let changed = Arc::new(Notify::new());
        let (routes, route_changes) =
            RouteStore::open(routes, world.clone(), changed.clone()).await?;
        let (tell, tells) = mpsc::channel(peers::WAITING_TELLS);
        let (event, events) = mpsc::channel(events::WAITING_EVENTS);
        let (unfit, unfit_agents) = mpsc::channel(UNFIT_AGENTS);
        let (performance, breaker) = (config.performance.clone(), config.breaker.clone());
        let knowledge = Arc::new(Knowledge {
            flow: Mutex::new(Flow::new(performance, breaker, config.balancing, me.clone())),
            memory: Mutex::new(Memory::new(config.cache.max_entries)),
            school: School::new(embedder, changed),
            config,
            world,
            me: me.clone(),
            routes,
            roster: RwLock::new(Roster::default()),
            shared: shared.transpose()?,
            peers: tell,
            events: event,
            unfit,
            totals: Totals::default(),
        });
        let agent_changes = agents::read(&knowledge, &agents).await?;
        let mut loops = Loops { running: JoinSet::new(), broken: watch::channel(None).0 };
        let k = || knowledge.clone();
        loops.spawn("agents", agents::follow(k(), agent_changes));
        loops.spawn("work of agents", agents::ask_for_work(k(), bus.clone()));
        loops.spawn("history of agents", history::ask(k(), bus.clone()));
        let follows = k();
        let follow = async move { follows.routes.follow(route_changes).await };
        loops.spawn("routes", follow);
        loops.spawn("learning", learning::run(k()));
        loops.spawn("telling peers", peers::tell(bus.clone(), me, tells));
        loops.spawn("hearing peers", peers::hear(k(), listener));
        loops.spawn("breakers", peers::look_after(k()));
        if let Some(shared) = knowledge.shared.clone() {
            loops.spawn("Redis", shared.clone().run());
            loops.spawn("shared cache", following::run(k(), shared));
        }
        Ok(Arc::new(Self {
            knowledge,
            loops: Mutex::new(loops),
            telling: Mutex::new(Some(Telling::start(sink, events))),
            unfit: Mutex::new(Some(unfit_agents)),
        }))
    }

    /// Waits until the first router is there, or it is known that there is no model; at most for
    /// `patience`. Decisions are made before that, too.
    pub async fn ready(&self, patience: Duration) {
        self.knowledge.school.settled(patience).await;
    }

    /// Says who can act on an intent, and why; changes nothing.
    pub async fn resolve(
        &self,
        caller: &AgentId,
        request: ResolveRequest,
        deadline: Instant,
    ) -> Result<Resolution, Fault> {
        self.knowledge.resolved(caller, request, deadline).await
    }

    /// Chooses who gets a message. The choice counts as work under way until [`heard`](Self::heard)
    /// says how it ended.
    pub async fn choose(
        &self,
        sender: &AgentId,
        intent: &Intent,
        deadline: Instant,
    ) -> Result<Choice, Fault> {
        self.knowledge.chosen(sender, intent, deadline).await
    }

    /// Remembers what a message wanted and where it went, for feedback that knows no more than its id:
    /// here, and with Redis for every replica.
    pub fn remember(&self, message: &MessageId, intent: &Intent, resolution: &Resolution) {
        let routed = Routed { text: intent.text.clone(), route: resolution.route_id.clone() };
        if let Some(shared) = self.knowledge.shared.clone().filter(|shared| shared.is_healthy()) {
            let (message, routed) = (message.clone(), routed.clone());
            tokio::spawn(async move { shared.put_routed(&message, &routed).await });
        }
        self.knowledge.memory.lock().remember(message.clone(), routed);
    }

    /// Declares a route, or changes it.
    pub async fn route_put(
        &self,
        caller: &AgentId,
        route: Route,
        deadline: Instant,
    ) -> Result<RouteReply, Fault> {
        in_time(deadline, self.knowledge.put_route(caller, route)).await
    }

    /// Removes a route.
    pub async fn route_delete(
        &self,
        caller: &AgentId,
        request: RouteRef,
        deadline: Instant,
    ) -> Result<RouteDeleted, Fault> {
        in_time(deadline, self.knowledge.delete_route(caller, request)).await
    }

    /// Lists routes that somebody declared.
    pub fn route_list(&self, request: &RouteListRequest) -> Result<RoutePage, Fault> {
        self.knowledge.list_routes(request)
    }

    /// Fits thresholds.
    pub async fn fit(
        &self,
        caller: &AgentId,
        request: FitRequest,
        deadline: Instant,
    ) -> Result<FitReply, Fault> {
        in_time(deadline, self.knowledge.fit(caller, request)).await
    }

    /// Learns how a decision turned out.
    pub async fn feedback(
        &self,
        caller: &AgentId,
        request: FeedbackRequest,
        deadline: Instant,
    ) -> Result<FeedbackReply, Fault> {
        in_time(deadline, self.knowledge.hear_feedback(caller, request)).await
    }

    /// Every agent that the registry knows: for broadcasts.
    pub fn everybody(&self) -> Vec<AgentId> {
        self.knowledge.roster.read().agents().cloned().collect()
    }

    /// Why an agent should have nothing by intent now, as far as the registry says so.
    pub fn unfitness(&self, agent: &AgentId) -> Option<Unfitness> {
        let roster = self.knowledge.roster.read();
        roster.get(agent).and_then(|row| agents::unfitness(row.status))
    }

    /// What was decided so far, here.
    pub fn statistics(&self) -> DecisionTotals {
        self.knowledge.statistics()
    }

    /// What became of a delivery; feeds success, latency and breakers.
    pub fn heard(&self, outcome: Outcome) {
        let knowledge = &self.knowledge;
        let Outcome { agent, key, end, latency_ms, handed_to } = outcome;
        let success = match end {
            End::Answered => Some(true),
            End::Failed => Some(false),
            End::Dropped => None,
        };
        let latency_us = latency_ms.unwrap_or_default().saturating_mul(1_000);
        let now = knowledge.now();
        let change = {
            let mut flow = knowledge.flow.lock();
            let change = flow.ended(&agent, &key, Ended { success, latency_us }, now);
            if let Some(next) = &handed_to {
                flow.started(next, now);
            }
            change
        };
        if let Some(change) = change {
            knowledge.breaker_changed(change);
        }
        knowledge.tell(Tell::Ended(agent, key, success, latency_us));
        if let Some(next) = handed_to {
            knowledge.tell(Tell::Started(next));
        }
    }

    /// Who is no longer fit, to be taken once.
    pub fn unfit(&self) -> Option<mpsc::Receiver<Unfit>> {
        self.unfit.lock().take()
    }

    /// Shows the cache, the breakers and the router in metrics.
    pub fn observe(&self, metrics: &troupe_runtime::metrics::Metrics) {
        metrics::observe(&self.knowledge, metrics);
    }

    /// Waits until a loop panics, which it must not, and gives its name.
    pub async fn broken(&self) -> &'static str {
        let mut broken = self.loops.lock().broken.subscribe();
        loop {
            if let Some(name) = *broken.borrow_and_update() {
                return name;
            }
            if broken.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Ends what runs beside requests, once every event is told.
    pub async fn drain(&self) {
        let telling = self.telling.lock().take();
        if let Some(telling) = telling {
            telling.drain(TELL_WITHIN).await;
        }
        self.loops.lock().running.abort_all();
        // A process that ends while a thread is inside ONNX Runtime may die of it.
        if timeout(EMBED_WITHIN, self.knowledge.school.embedder.stop()).await.is_err() {
            tracing::warn!("texts were still being embedded when the drain ended");
        }
    }
}
