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

use crate::config::Config;
use crate::handlers::{self, Work};
use crate::replica::fleet::Fleet;
use crate::replica::keeper::Keeper;
use crate::replica::presence::Presence;
use crate::replica::router::Router;
use crate::replica::waiters::Waiters;
use crate::rules::queue::Need;
use crate::shard::read_lease::ReadLease;
use crate::shard::snapshot::SnapshotPolicy;
use crate::shard::{OnReady, ShardPorts};
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
    let sum = move |count: fn(&crate::rules::state::ShardState) -> usize| {
        let router = router.clone();
        move || router.local().iter().map(|shard| shard.look(count)).sum::<usize>() as f64
    };
    let metrics = &context.metrics;
    let none = [];
    metrics.observed_gauge(
        "troupe_work_open_tasks",
        "Tasks of this replica's shards that are not terminal.",
        &none,
        sum(crate::rules::state::ShardState::open_tasks),
    );
    metrics.observed_gauge(
        "troupe_work_queued_tasks",
        "Tasks of this replica's shards that can be claimed now.",
        &none,
        sum(crate::rules::state::ShardState::queued),
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
    presence: Arc<Presence>,
    serving: Serving,
    keepers: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
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
        let read_lease = ReadLease::default();
        let presence = Arc::new(Presence::new(world.ulid().to_string(), read_lease.clone()));
        let events = bus.events(Service::Work, config.stream_replicas).await?;
        let router = Arc::new(Router::new(bus.clone(), config.shards));
        let waiters = Arc::new(Waiters::default());
        let fleet = Arc::new(Fleet::new(bus.clone()));
        let on_ready = on_ready(bus, &waiters, &presence);
        let stop = watch::channel(false).0;
        let stop_polls = watch::channel(false).0;
        let mut keepers = Vec::new();
        for shard in 0..config.shards {
            let log = bus
                .open_stream(&stream::work_log(shard, config.shards), config.stream_replicas)
                .await?;
            let keeper = Keeper {
                bus: bus.clone(),
                presence: presence.clone(),
                router: router.clone(),
                settings: config.settings(shard),
                ports: ShardPorts {
                    log: Arc::new(log),
                    events: Arc::new(events.clone()),
                    world: world.clone(),
                    read_lease: read_lease.clone(),
                    on_ready: on_ready.clone(),
                },
                snapshots: SnapshotPolicy { after_log_bytes: config.snapshot_after_log_bytes },
            };
            keepers.push(tokio::spawn(keeper.run(stop.subscribe())));
        }
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
        let background = background(bus, &presence, &fleet, &router, &waiters);
        let mut server = Server::new(bus, Service::Work, VERSION);
        if let Some(observer) = observer {
            server = server.observed_by(observer);
        }
        handlers::serve(&mut server, &work).await?;
        let serving = server.start().await.context("cannot serve")?;
        Ok(Self { work, presence, serving, keepers, background, stop, stop_polls })
    }

    /// Waits until every shard that this replica should own is taken over.
    pub async fn ready(&self) {
        let mut members = self.presence.members();
        let all_here = |members: &crate::replica::presence::Members| {
            let me = &self.presence.replica;
            members.owned.contains_key(me)
                && (0..self.work.router.shards())
                    .all(|s| members.owner_of(s) != Some(me) || self.work.router.find(s).is_some())
        };
        while !all_here(&members.borrow().clone()) {
            let _ =
                tokio::time::timeout(std::time::Duration::from_millis(20), members.changed()).await;
        }
    }

    /// Long polls that wait for a task at this replica.
    pub fn waiting_polls(&self) -> usize {
        self.work.waiters.len()
    }

    /// Takes no new requests, hands the shards over, and ends.
    pub async fn drain(self) {
        self.presence.leave();
        self.stop_polls.send_replace(true);
        self.serving.drain().await;
        self.stop.send_replace(true);
        for keeper in self.keepers {
            let _ = keeper.await;
        }
        self.background.iter().for_each(JoinHandle::abort);
    }
}

/// What became claimable wakes a waiter here, or else is told to the other replicas.
fn on_ready(bus: &Bus, waiters: &Arc<Waiters>, presence: &Arc<Presence>) -> OnReady {
    let (bus, waiters, members) = (bus.clone(), waiters.clone(), presence.members());
    Arc::new(move |needs| {
        let alone = members.borrow().owned.len() < 2;
        let unwanted: Vec<&Need> = needs.iter().filter(|need| !waiters.offer(need)).collect();
        if alone || unwanted.is_empty() {
            return;
        }
        let body = serde_json::to_vec(&unwanted[..unwanted.len().min(64)]).unwrap_or_default();
        let bus = bus.clone();
        tokio::spawn(async move { bus.tell(subject::work_ready(), body.into()).await });
    })
}

fn background(
    bus: &Bus,
    presence: &Arc<Presence>,
    fleet: &Arc<Fleet>,
    router: &Arc<Router>,
    waiters: &Arc<Waiters>,
) -> Vec<JoinHandle<()>> {
    let (speaks, speaker) = (bus.clone(), presence.clone());
    let (hears, registry) = (fleet.clone(), router.clone());
    let (hints, lines) = (bus.clone(), waiters.clone());
    vec![
        tokio::spawn(async move {
            if let Err(why) = speaker.run(&speaks).await {
                tracing::error!(%why, "presence ended");
            }
        }),
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
