//! The wiring: bus, shards, archive, handlers; start and drain.

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
use crate::handlers::{self, Plans, Router};
use crate::replica::alike::Alike;
use crate::replica::archiving::Archivist;
use crate::replica::following::Following;
use crate::replica::telling::Telling;
use crate::rules::state::PlanState;
use crate::store::archive::Archive;

/// A replica of the service that answers.
#[derive(Debug)]
pub struct Replica {
    plans: Arc<Plans>,
    shards: Shards<PlanState>,
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
        let presence = Arc::new(Presence::new(Service::Plan, world.ulid().to_string()));
        let archive = Archive::open(&config.archive).context("archive")?;
        let events = bus.events(Service::Plan, config.stream_replicas).await?;
        let event_log = events.log.clone();
        let (layout, chance) = (config.clone(), world.clone());
        let (tell, news) = watch::channel(0_u64);
        let setup = Setup {
            shards: config.shards,
            stream_replicas: config.stream_replicas,
            max_log_bytes: stream::PLAN_LOG_BYTES,
            snapshots: SnapshotPolicy { after_log_bytes: config.snapshot_after_log_bytes },
            settings: Box::new(move |shard| layout.settings(shard, seed(&*chance))),
            events: Arc::new(events),
            world: world.clone(),
            on_ready: Arc::new(move |_| tell.send_modify(|count| *count += 1)),
            ask: Arc::new(|_, _| ()),
        };
        let shards = Shards::start(bus, &presence, setup).await?;
        let router = shards.router().clone();
        let plans = Arc::new(Plans {
            bus: bus.clone(),
            router: router.clone(),
            archive: archive.clone(),
            events: event_log.clone(),
            world: world.clone(),
        });
        let following = Following { plans: plans.clone(), events: event_log };
        let telling = Telling { bus: bus.clone(), router: router.clone(), news };
        let mut background = vec![tokio::spawn(following.run()), tokio::spawn(telling.run())];
        let alike = Alike::open(&router, &config.alike).context("the model")?;
        background.push(tokio::spawn(alike.run()));
        if let Some(archive) = archive {
            background.push(tokio::spawn(Archivist { router, archive, world }.run()));
        }
        let mut server = Server::new(bus, Service::Plan, VERSION);
        if let Some(observer) = observer {
            server = server.observed_by(observer);
        }
        handlers::serve(&mut server, &plans).await?;
        let serving = server.start().await.context("cannot serve")?;
        Ok(Self { plans, shards, serving, background })
    }

    /// Waits until every shard that this replica should own is taken over.
    pub async fn ready(&self) {
        self.shards.ready().await;
    }

    /// Where the shards are.
    pub fn router(&self) -> &Arc<Router> {
        &self.plans.router
    }

    /// Takes no new requests, hands the shards over, and ends.
    pub async fn drain(self) {
        self.shards.leave();
        self.serving.drain().await;
        self.background.iter().for_each(JoinHandle::abort);
        self.shards.drain().await;
    }
}

fn seed(world: &dyn World) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&world.random().to_le_bytes());
    seed[16..].copy_from_slice(&world.random().to_le_bytes());
    seed
}
