//! The wiring: bus, shards, handlers; start and drain.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use troupe_bus::port::{System, World};
use troupe_bus::serve::{Observer, Server, Serving};
use troupe_bus::{Bus, Settings};
use troupe_contract::{Service, stream, subject};
use troupe_domain::Name;
use troupe_runtime::ServiceContext;
use troupe_shard::{OnReady, Presence, Setup, Shards, SnapshotPolicy};

use crate::config::Config;
use crate::handlers::{self, Work};
use crate::replica::archive;
use crate::replica::fleet::Fleet;
use crate::replica::leases;
use crate::replica::waiters::Waiters;
use crate::rules::queue::Need;
use crate::rules::state::ShardState;
use crate::shard::Router;
use crate::{NAME, VERSION};

/// Runs the service until it is told to stop.
pub async fn run(context: ServiceContext, config: Config) -> anyhow::Result<()> {
    config.check().map_err(|fault| anyhow::anyhow!("configuration: {}", fault.message))?;
    let nats = &config.common.nats;
    let settings = Settings {
        url: nats.url.as_str().to_owned(),
        user: nats.user.clone(),
        password: nats.password.as_ref().map(|secret| secret.expose().to_owned()),
        credentials_file: nats.credentials_file.clone(),
    };
    let bus = Bus::connect(&settings, Name::parse(NAME)?).await?;
    bus.check_server().await?;
    let replica = Replica::start(&bus, &config, Some(observer(&context))).await?;
    replica.ready().await;
    observe_shards(&context, &replica);
    context.serving();
    context.shutdown.cancelled().await;
    replica.drain().await;
    bus.close().await;
    Ok(())
}

/// Counts and times every request.
fn observer(context: &ServiceContext) -> Observer {
    let requests = troupe_runtime::requests::Requests::new(&context.metrics);
    Arc::new(move |operation, seconds, code| {
        requests.record(operation, seconds, code.map(troupe_domain::Code::as_str));
    })
}

fn observe_shards(context: &ServiceContext, replica: &Replica) {
    let router = replica.work.router.clone();
    let sum = move |count: fn(&ShardState) -> usize| {
        let router = router.clone();
        move || router.local().iter().map(|shard| shard.look(count)).sum::<usize>() as f64
    };
    let metrics = &context.metrics;
    let none = [];
    metrics.observed_gauge(
        "troupe_work_open_tasks",
        "Tasks of this replica's shards that are not terminal.",
        &none,
        sum(ShardState::open_tasks),
    );
    metrics.observed_gauge(
        "troupe_work_queued_tasks",
        "Tasks of this replica's shards that can be claimed now.",
        &none,
        sum(ShardState::queued),
    );
    let router = replica.work.router.clone();
    metrics.observed_gauge(
        "troupe_work_owned_shards",
        "Shards that this replica owns.",
        &none,
        move || router.local().len() as f64,
    );
    let waiters = replica.work.waiters.clone();
    metrics.observed_gauge(
        "troupe_work_waiting_polls",
        "Long polls that wait for a task here.",
        &none,
        move || waiters.len() as f64,
    );
}

/// A replica of the service that answers.
#[derive(Debug)]
pub struct Replica {
    work: Arc<Work>,
    shards: Shards<ShardState>,
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
        let presence = Arc::new(Presence::new(Service::Work, world.ulid().to_string()));
        let events = bus.events(Service::Work, config.stream_replicas).await?;
        let waiters = Arc::new(Waiters::default());
        let fleet = Arc::new(Fleet::new(bus.clone()));
        let stop_polls = watch::channel(false).0;
        let layout = config.clone();
        let setup = Setup {
            shards: config.shards,
            stream_replicas: config.stream_replicas,
            max_log_bytes: stream::WORK_LOG_BYTES,
            snapshots: SnapshotPolicy { after_log_bytes: config.snapshot_after_log_bytes },
            settings: Box::new(move |shard| layout.settings(shard)),
            events: Arc::new(events.clone()),
            world: world.clone(),
            on_ready: on_ready(bus, &waiters, &presence),
            ask: leases::asker(bus),
        };
        let shards = Shards::start(bus, &presence, setup).await?;
        let router = shards.router().clone();
        let work = Arc::new(Work {
            bus: bus.clone(),
            router: router.clone(),
            fleet: fleet.clone(),
            waiters: waiters.clone(),
            archive: Arc::new(events.log),
            world,
            default_lease_ms: config.default_lease_ms,
            draining: stop_polls.subscribe(),
        });
        let mut background = background(bus, &fleet, &router, &waiters);
        background.push(tokio::spawn(archive::run(router, work.archive.clone())));
        let mut server = Server::new(bus, Service::Work, VERSION);
        if let Some(observer) = observer {
            server = server.observed_by(observer);
        }
        handlers::serve(&mut server, &work).await?;
        let serving = server.start().await.context("cannot serve")?;
        Ok(Self { work, shards, serving, background, stop_polls })
    }

    /// Waits until every shard that this replica should own is taken over.
    pub async fn ready(&self) {
        self.shards.ready().await;
    }

    /// Long polls that wait for a task at this replica.
    pub fn waiting_polls(&self) -> usize {
        self.work.waiters.len()
    }

    /// Takes no new requests, hands the shards over, and ends.
    pub async fn drain(self) {
        self.shards.leave();
        self.stop_polls.send_replace(true);
        self.serving.drain().await;
        self.shards.drain().await;
        self.background.iter().for_each(JoinHandle::abort);
    }
}

/// What became claimable wakes a waiter here, or else is told to the other replicas.
fn on_ready(bus: &Bus, waiters: &Arc<Waiters>, presence: &Arc<Presence>) -> OnReady<ShardState> {
    let (bus, waiters, presence) = (bus.clone(), waiters.clone(), presence.clone());
    Arc::new(move |needs| {
        let unwanted: Vec<&Need> = needs.iter().filter(|need| !waiters.offer(need)).collect();
        if unwanted.is_empty() || presence.is_alone() {
            return;
        }
        let body = serde_json::to_vec(&unwanted[..unwanted.len().min(64)]).unwrap_or_default();
        let bus = bus.clone();
        tokio::spawn(async move { bus.tell(subject::work_ready(), body.into()).await });
    })
}

fn background(
    bus: &Bus,
    fleet: &Arc<Fleet>,
    router: &Arc<Router>,
    waiters: &Arc<Waiters>,
) -> Vec<JoinHandle<()>> {
    let (hears, registry) = (fleet.clone(), router.clone());
    let (hints, lines) = (bus.clone(), waiters.clone());
    vec![
        tokio::spawn(async move {
            if let Err(why) = hears.run(registry).await {
                tracing::error!(%why, "agents' events are not heard");
            }
        }),
        tokio::spawn(async move {
            let Ok(mut hints) = hints.listen(&subject::work_ready()).await else { return };
            while let Some(hint) = hints.next().await {
                let Ok(needs) = hint.decode::<Vec<Need>>() else { continue };
                for need in &needs {
                    lines.offer(need);
                }
            }
        }),
    ]
}
