//! The wiring: bus, shards, intents, handlers; start and drain.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::port::{System, World};
use troupe_bus::serve::{Observer, Server, Serving};
use troupe_contract::{Service, stream};
use troupe_shard::{Presence, Setup, Shards, SnapshotPolicy};

use crate::VERSION;
use crate::config::Config;
use crate::handlers::{self, Router, Routing};
use crate::intents::{self, Intents};
use crate::replica::admission::Admission;
use crate::replica::ingress::Ingress;
use crate::replica::waiters::Waiters;
use crate::replica::{hints, ingress, unfit};
use crate::rules::state::RoutingState;

/// A replica of the service that answers.
#[derive(Debug)]
pub struct Replica {
    routing: Arc<Routing>,
    shards: Shards<RoutingState>,
    serving: Serving,
    background: Vec<JoinHandle<()>>,
    stop_polls: watch::Sender<bool>,
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
        let presence = Arc::new(Presence::new(Service::Routing, world.ulid().to_string()));
        let waiters = Arc::new(Waiters::default());
        let stop_polls = watch::channel(false).0;
        ingress::open_streams(bus, config.shards, config.stream_replicas).await?;
        let intents = Intents::start(bus, intents_setup(config, &world)).await?;
        let events = bus.events(Service::Routing, config.stream_replicas).await?;
        let layout = config.clone();
        let setup = Setup {
            shards: config.shards,
            stream_replicas: config.stream_replicas,
            max_log_bytes: stream::ROUTING_LOG_BYTES,
            snapshots: SnapshotPolicy { after_log_bytes: config.snapshot_after_log_bytes },
            settings: Box::new(move |shard| layout.settings(shard)),
            events: Arc::new(events),
            world: world.clone(),
            on_ready: hints::on_ready(bus, &waiters, &intents, &presence),
            ask: Arc::new(|_, _| ()),
        };
        let shards = Shards::start(bus, &presence, setup).await?;
        let router = shards.router().clone();
        let admission = Admission { intents: intents.clone() };
        let ingress = Ingress {
            bus: bus.clone(),
            router: router.clone(),
            admission,
            stream_replicas: config.stream_replicas,
        };
        let mut background = vec![
            tokio::spawn(hints::hear(bus.clone(), waiters.clone())),
            tokio::spawn(ingress.run()),
        ];
        if let Some(told) = intents.unfit() {
            background.push(tokio::spawn(unfit::run(router.clone(), intents.clone(), told)));
        }
        let routing =
            Arc::new(Routing { router, waiters, intents, world, draining: stop_polls.subscribe() });
        let mut server = Server::new(bus, Service::Routing, VERSION);
        if let Some(observer) = observer {
            server = server.observed_by(observer);
        }
        handlers::serve(&mut server, &routing).await?;
        let serving = server.start().await.context("cannot serve")?;
        Ok(Self { routing, shards, serving, background, stop_polls })
    }

    /// Waits until every shard that this replica should own is taken over.
    pub async fn ready(&self) {
        self.shards.ready().await;
    }

    /// Where the shards are.
    pub fn router(&self) -> &Arc<Router> {
        &self.routing.router
    }

    /// Who waits for messages here.
    pub fn waiters(&self) -> &Arc<Waiters> {
        &self.routing.waiters
    }

    /// Who can act on what.
    pub fn intents(&self) -> &Arc<Intents> {
        &self.routing.intents
    }

    /// Takes no new requests, hands the shards over, and ends.
    pub async fn drain(self) {
        self.shards.leave();
        self.stop_polls.send_replace(true);
        self.serving.drain().await;
        self.shards.drain().await;
        self.background.iter().for_each(JoinHandle::abort);
        self.routing.intents.drain().await;
    }
}

fn intents_setup(config: &Config, world: &Arc<dyn World>) -> intents::Setup {
    intents::Setup {
        config: config.intents.clone(),
        redis_url: config.common.redis.url.as_ref().map(|url| url.as_str().to_owned()),
        stream_replicas: config.stream_replicas,
        world: world.clone(),
    }
}
