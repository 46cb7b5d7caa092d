//! One replica of the registry, wired: streams, loops, endpoints.
//!
//! Invariant: it serves only after it has read every agent, and tells every event that its writes
//! mean before it is drained.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_bus::port::{EventSink, Log, OutgoingEvent, System};
use troupe_bus::serve::{Observer, Serving};
use troupe_bus::telling::{self, Telling};
use troupe_contract::{Service, stream};
use troupe_domain::agent::Timing;

use crate::handlers;
use crate::loops::{following, hearing, judging, saving, sweeping};
use crate::rules::fleet::Fleet;
use crate::store::agents::{AgentStore, OUTBOX_EVENTS, name_of};
use crate::store::mailboxes::{Counting, Mailboxes};
use crate::store::redis::{HotTier, HotTierError};

/// How long a drain waits until every event is told.
const TELL_LIMIT: Duration = Duration::from_secs(5);

/// What a replica must know to start.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// When silence means something.
    pub timing: Timing,
    /// Replicas of each stream in the cluster of servers.
    pub stream_replicas: usize,
    /// The hot tier, where there is one: `redis://host:port`.
    pub redis_url: Option<String>,
}

/// Why a replica did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The bus is not as it must be.
    #[error(transparent)]
    Bus(#[from] ConnectError),
    /// The stream of agents cannot be read.
    #[error(transparent)]
    Read(#[from] troupe_bus::port::ReadError),
    /// The hot tier's address is wrong.
    #[error(transparent)]
    HotTier(#[from] HotTierError),
    /// A loop ended that must not end.
    #[error("the loop {0} ended")]
    LoopEnded(&'static str),
    /// A loop failed.
    #[error("a loop panicked: {0}")]
    LoopPanicked(String),
}

/// What handlers and loops share.
#[derive(Debug)]
pub struct Registry {
    /// The connection.
    pub bus: Bus,
    /// The stored agents.
    pub store: AgentStore,
    /// The fleet in memory.
    pub fleet: Arc<RwLock<Fleet>>,
    /// When silence means something.
    pub timing: Timing,
    /// The counter of waiting messages.
    pub mailboxes: Mailboxes,
    /// Heartbeats heard since the start.
    pub heartbeats: AtomicU64,
}

/// A replica that serves.
#[derive(Debug)]
pub struct Replica {
    /// What it knows.
    pub registry: Arc<Registry>,
    /// The hot tier, where there is one.
    pub hot_tier: Option<Arc<HotTier>>,
    serving: Serving,
    loops: JoinSet<&'static str>,
    telling: Telling,
}

impl Replica {
    /// Reads the fleet, begins to listen, and serves. `observer` is told of every request.
    pub async fn start(
        bus: &Bus,
        settings: &Settings,
        observer: Option<Observer>,
    ) -> Result<Self, Failed> {
        let copies = settings.stream_replicas.max(1);
        let agents = bus.open_stream(&stream::agents(), copies).await?;
        let events = bus.events(Service::Registry, copies).await?;
        let hot_tier = settings.redis_url.as_ref().map(|url| {
            let ttl = Duration::from_millis(settings.timing.crashed_retention_ms);
            HotTier::new(url, ttl).map(Arc::new)
        });
        let hot_tier = hot_tier.transpose()?;

        let (outbox, told) = mpsc::channel(OUTBOX_EVENTS);
        let (registry, counting) = registry(bus, settings.timing, Arc::new(agents.clone()), outbox);
        let (last, untold) = fill(&registry, &agents, hot_tier.as_deref()).await?;

        let sink: Arc<dyn EventSink> = Arc::new(events.clone());
        let telling = Telling::start(sink, told);
        let mut replica = Self {
            serving: handlers::serve(&registry, observer).await?,
            registry,
            hot_tier,
            loops: JoinSet::new(),
            telling,
        };
        let follower = agents.follow(following::subjects(), last + 1);
        spawn(&mut replica.loops, "counting", counting.run());
        replica.start_loops(follower, Arc::new(events.log), untold).await?;
        Ok(replica)
    }

    async fn start_loops(
        &mut self,
        follower: troupe_bus::follow::Follower,
        events: Arc<dyn Log>,
        untold: Vec<OutgoingEvent>,
    ) -> Result<(), Failed> {
        let registry = &self.registry;
        let (retell, foreign) = mpsc::channel(telling::RETELL_EVENTS);
        for event in untold.into_iter().take(telling::RETELL_EVENTS) {
            // There is room for all of them: nobody else writes to it yet.
            let _ = retell.try_send(event);
        }
        let (judge, verdicts) = mpsc::channel(judging::WAITING_VERDICTS);
        let ears = hearing::Ears::open(registry).await?;
        let outbox = registry.store.outbox().clone();
        let loops = &mut self.loops;
        spawn(loops, "hearing", hearing::run(registry.clone(), ears, judge));
        spawn(loops, "following", following::run(registry.clone(), follower, retell));
        spawn(loops, "judging", judging::run(registry.clone(), verdicts));
        spawn(loops, "retelling", telling::retell(events, foreign, outbox));
        spawn(loops, "purging", sweeping::purge(registry.clone()));
        if let Some(hot_tier) = &self.hot_tier {
            spawn(loops, "saving", saving::run(registry.clone(), hot_tier.clone()));
        }
        Ok(())
    }

    /// Waits until something ends that must not end.
    pub async fn failed(&mut self) -> Failed {
        match self.loops.join_next().await {
            Some(Ok(name)) => Failed::LoopEnded(name),
            Some(Err(why)) => Failed::LoopPanicked(why.to_string()),
            None => Failed::LoopEnded("of all loops"),
        }
    }

    /// Takes no new requests, finishes those at work, tells what is to be told.
    pub async fn drain(mut self) {
        self.serving.drain().await;
        self.loops.shutdown().await;
        if let Some(hot_tier) = &self.hot_tier {
            saving::save(&self.registry, hot_tier).await;
        }
        // What is not told in time is told by the next replica.
        self.telling.drain(TELL_LIMIT).await;
    }
}

fn spawn(
    loops: &mut JoinSet<&'static str>,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    loops.spawn(async move {
        work.await;
        name
    });
}

fn registry(
    bus: &Bus,
    timing: Timing,
    log: Arc<dyn Log>,
    outbox: mpsc::Sender<OutgoingEvent>,
) -> (Arc<Registry>, Counting) {
    let started = Instant::now();
    let fleet = Arc::new(RwLock::new(Fleet::new(timing, 0)));
    let world = Arc::new(System);
    let replica = name_of(troupe_bus::port::World::ulid(&System));
    let store = AgentStore::new(log, fleet.clone(), world, replica, started, outbox);
    let (mailboxes, counting) = Mailboxes::new(bus);
    let registry = Registry {
        bus: bus.clone(),
        store,
        fleet,
        timing,
        mailboxes,
        heartbeats: AtomicU64::new(0),
    };
    (Arc::new(registry), counting)
}

/// Reads every agent and what the hot tier remembers. Gives the last sequence read, and the events
/// that may not have been told.
async fn fill(
    registry: &Registry,
    agents: &dyn Log,
    hot_tier: Option<&HotTier>,
) -> Result<(u64, Vec<OutgoingEvent>), Failed> {
    let mut fleet = Fleet::new(registry.timing, 0);
    let now = registry.store.now();
    let read = following::replay(agents, &mut fleet, now, 0).await?;
    // The timers begin now, not when the reading began.
    fleet.detector.pulse(registry.store.now_ms());
    tracing::info!(agents = fleet.len(), "the fleet is read");
    if hot_tier.is_some() {
        fleet.remember_unsaved();
    }
    *registry.fleet.write() = fleet;
    if let Some(hot_tier) = hot_tier {
        saving::restore(registry, hot_tier).await;
    }
    Ok(read)
}
