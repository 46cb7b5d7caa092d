//! The wiring: bus, shards, tiers, model, handlers; start and drain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::port::{System, World};
use troupe_bus::serve::{Observer, Server, Serving};
use troupe_contract::{Service, stream};
use troupe_embedding::Embedder;
use troupe_shard::{Presence, Setup, Shards, SnapshotPolicy};

use crate::VERSION;
use crate::config::Config;
use crate::handlers::{self, Memories, Router};
use crate::replica::compacting::Judged;
use crate::replica::cooling::Cooling;
use crate::replica::embedding::Embedding;
use crate::replica::forgetting::Forgetting;
use crate::replica::heating::Heating;
use crate::replica::learning::Learning;
use crate::replica::recovering::Recovering;
use crate::replica::telling::Telling;
use crate::rules::request::MemoryRequest;
use crate::rules::state::MemoryState;
use crate::store::cold::{self, Health};
use crate::store::hot::Hot;

/// A replica of the service that answers.
#[derive(Debug)]
pub struct Replica {
    memories: Arc<Memories>,
    shards: Shards<MemoryState>,
    serving: Serving,
    background: Vec<JoinHandle<()>>,
}

impl Replica {
    /// Opens the streams, joins the other replicas and serves. Shards are taken over in the
    /// background: see [`ready`](Self::ready).
    pub async fn start(
        bus: &Bus,
        config: &Config,
        observer: Option<Observer>,
    ) -> anyhow::Result<Self> {
        let world: Arc<dyn World> = Arc::new(System);
        let presence = Arc::new(Presence::new(Service::Memory, world.ulid().to_string()));
        let segments = cold::open(&config.cold).context("the cold tier")?;
        let hot = match &config.common.redis.url {
            Some(url) => Some(Hot::new(url.as_str()).context("the hot tier")?),
            None => None,
        };
        let embedder = match &config.model {
            Some(model) => {
                Some(Embedder::open(model.clone(), config.embedder.clone()).context("the model")?)
            }
            None => None,
        };
        let events = bus.events(Service::Memory, config.stream_replicas).await?;
        let layout = config.clone();
        let setup = Setup {
            shards: config.shards,
            stream_replicas: config.stream_replicas,
            max_log_bytes: stream::MEMORY_LOG_BYTES,
            snapshots: SnapshotPolicy { after_log_bytes: config.snapshot_after_log_bytes },
            settings: Box::new(move |shard| layout.settings(shard)),
            events: Arc::new(events),
            world: world.clone(),
            on_ready: Arc::new(|_| ()),
            ask: Arc::new(|_, _| ()),
        };
        let shards = Shards::start(bus, &presence, setup).await?;
        let memories = Arc::new(Memories {
            bus: bus.clone(),
            router: shards.router().clone(),
            embedder,
            hot,
            segments,
            cold_health: Arc::new(Health::default()),
            learns_in: config.learning.namespace.clone(),
            world,
        });
        let background = beside(&memories, config);
        let mut server = Server::new(bus, Service::Memory, VERSION);
        if let Some(observer) = observer {
            server = server.observed_by(observer);
        }
        handlers::serve(&mut server, &memories).await?;
        let serving = server.start().await.context("cannot serve")?;
        Ok(Self { memories, shards, serving, background })
    }

    /// Waits until every shard that this replica should own is taken over.
    pub async fn ready(&self) {
        self.shards.ready().await;
    }

    /// Where the shards are.
    pub fn router(&self) -> &Arc<Router> {
        &self.memories.router
    }

    /// What every handler needs.
    pub fn memories(&self) -> &Arc<Memories> {
        &self.memories
    }

    /// Takes no new requests, hands the shards over, and ends.
    pub async fn drain(self) {
        self.shards.leave();
        self.serving.drain().await;
        self.background.iter().for_each(JoinHandle::abort);
        for shard in self.memories.router.local() {
            // Counts of reads that are not written down would be lost.
            let _ = shard.call(MemoryRequest::Flush).await;
        }
        self.shards.drain().await;
        if let Some(embedder) = &self.memories.embedder {
            embedder.stop().await;
        }
    }
}

/// Starts what runs beside requests.
fn beside(memories: &Arc<Memories>, config: &Config) -> Vec<JoinHandle<()>> {
    let (router, world) = (&memories.router, &memories.world);
    let heating =
        Heating { router: router.clone(), hot: memories.hot.clone(), world: world.clone() };
    let cooling = Cooling {
        router: router.clone(),
        segments: memories.segments.clone(),
        health: memories.cold_health.clone(),
        sweep_every: Duration::from_millis(config.tiers.sweep_every_ms),
        world: world.clone(),
        judged: Judged::default(),
    };
    let telling = Telling { bus: memories.bus.clone(), router: router.clone() };
    let mut background = vec![
        tokio::spawn(heating.run()),
        tokio::spawn(cooling.run()),
        tokio::spawn(telling.run()),
        tokio::spawn(Forgetting { router: router.clone() }.run()),
    ];
    background.extend(memories.hot.clone().map(|hot| tokio::spawn(hot.run())));
    if let Some(segments) = memories.segments.clone() {
        background.push(tokio::spawn(Recovering { router: router.clone(), segments }.run()));
    }
    if let Some(embedder) = memories.embedder.clone() {
        let embedding = Embedding { router: router.clone(), embedder };
        background.push(tokio::spawn(embedding.run()));
    }
    if config.learning.enabled {
        let learning = Learning {
            bus: memories.bus.clone(),
            router: router.clone(),
            namespace: config.learning.namespace.clone(),
            stream_replicas: config.stream_replicas,
        };
        background.push(tokio::spawn(learning.run()));
    }
    background
}
