//! The wiring: bus, state, events, handlers; start and drain.

use std::sync::Arc;

use anyhow::Context;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::port::{System, World};
use troupe_bus::serve::{Observer, Server, Serving};
use troupe_contract::{Service, stream};
use troupe_shard::{Presence, Setup, Shards, SnapshotPolicy};

use crate::VERSION;
use crate::config::Config;
use crate::handlers::{self, Progress, Router};
use crate::replica::asking;
use crate::replica::following::Following;
use crate::rules::state::ProgressState;

/// A replica of the service that answers.
#[derive(Debug)]
pub struct Replica {
    progress: Arc<Progress>,
    shards: Shards<ProgressState>,
    serving: Serving,
    following: JoinHandle<()>,
}

impl Replica {
    /// Opens the streams, joins the other replicas and serves. The state is taken over in the
    /// background: see [`ready`](Self::ready).
    pub async fn start(
        bus: &Bus,
        config: &Config,
        observer: Option<Observer>,
    ) -> anyhow::Result<Self> {
        let world: Arc<dyn World> = Arc::new(System);
        let presence = Arc::new(Presence::new(Service::Progress, world.ulid().to_string()));
        let events = bus.events(Service::Progress, config.stream_replicas).await?;
        let settings = config.settings();
        let setup = Setup {
            shards: stream::PROGRESS_SHARDS,
            stream_replicas: config.stream_replicas,
            max_log_bytes: stream::PROGRESS_LOG_BYTES,
            snapshots: SnapshotPolicy { after_log_bytes: config.snapshot_after_log_bytes },
            settings: Box::new(move |_| settings.clone()),
            events: Arc::new(events),
            world: world.clone(),
            on_ready: Arc::new(|_| ()),
            ask: asking::asker(bus),
        };
        let shards = Shards::start(bus, &presence, setup).await?;
        let router = shards.router().clone();
        let following = Following {
            bus: bus.clone(),
            router: router.clone(),
            stream_replicas: config.stream_replicas,
        };
        let following = tokio::spawn(following.run());
        let progress = Arc::new(Progress { bus: bus.clone(), router, world });
        let mut server = Server::new(bus, Service::Progress, VERSION);
        if let Some(observer) = observer {
            server = server.observed_by(observer);
        }
        handlers::serve(&mut server, &progress).await?;
        let serving = server.start().await.context("cannot serve")?;
        Ok(Self { progress, shards, serving, following })
    }

    /// Waits until the state is taken over, where this replica should own it.
    pub async fn ready(&self) {
        self.shards.ready().await;
    }

    /// Where the state is.
    pub fn router(&self) -> &Arc<Router> {
        &self.progress.router
    }

    /// Takes no new requests, hands the state over, and ends.
    pub async fn drain(self) {
        self.shards.leave();
        self.serving.drain().await;
        self.following.abort();
        self.shards.drain().await;
    }
}
