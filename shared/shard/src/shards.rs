//! All shards of a service, as one replica takes part in them: start, ready, leave, drain.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_bus::port::{EventSink, World};
use troupe_contract::stream;

use crate::keeper::{Ask, Keeper};
use crate::machine::Machine;
use crate::owner::{OnReady, ShardPorts};
use crate::presence::{Members, Presence};
use crate::router::Router;
use crate::snapshot::SnapshotPolicy;

/// How often [`Shards::ready`] looks, should nothing tell it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the shards of a service are like.
pub struct Setup<M: Machine> {
    /// How many there are. Fixed for the life of the streams.
    pub shards: u16,
    /// Replicas of each stream in the NATS cluster.
    pub stream_replicas: usize,
    /// Bytes that the log of one shard may take.
    pub max_log_bytes: i64,
    /// When a shard takes snapshots.
    pub snapshots: SnapshotPolicy,
    /// The settings of each shard.
    pub settings: Box<dyn Fn(u16) -> M::Settings + Send + Sync>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// Told of everything that became ready.
    pub on_ready: OnReady<M>,
    /// Asks outside what timers want to know.
    pub ask: Ask<M>,
}

impl<M: Machine> std::fmt::Debug for Setup<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// This replica's part in the shards of a service.
#[derive(Debug)]
pub struct Shards<M: Machine> {
    presence: Arc<Presence>,
    router: Arc<Router<M>>,
    keepers: Vec<JoinHandle<()>>,
    speaking: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl<M: Machine> Shards<M> {
    /// Opens the streams and joins the other replicas as `presence`. Shards are taken over in the
    /// background: see [`ready`](Self::ready).
    pub async fn start(
        bus: &Bus,
        presence: &Arc<Presence>,
        setup: Setup<M>,
    ) -> Result<Self, ConnectError> {
        let router = Arc::new(Router::new(bus.clone(), setup.shards));
        let stop = watch::channel(false).0;
        let mut logs = Vec::with_capacity(usize::from(setup.shards));
        for shard in 0..setup.shards {
            let spec = stream::shard_log(M::SERVICE, shard, setup.shards, setup.max_log_bytes);
            logs.push(bus.open_stream(&spec, setup.stream_replicas).await?);
        }
        let keep = |(shard, log)| {
            let keeper = Keeper {
                bus: bus.clone(),
                presence: presence.clone(),
                router: router.clone(),
                settings: (setup.settings)(shard),
                ports: ShardPorts {
                    log: Arc::new(log),
                    events: setup.events.clone(),
                    world: setup.world.clone(),
                    on_ready: setup.on_ready.clone(),
                },
                snapshots: setup.snapshots,
                ask: setup.ask.clone(),
            };
            tokio::spawn(keeper.run(stop.subscribe()))
        };
        let keepers = (0..setup.shards).zip(logs).map(keep).collect();
        let (speaker, speaks) = (presence.clone(), bus.clone());
        let speaking = tokio::spawn(async move {
            if let Err(why) = speaker.run(&speaks).await {
                tracing::error!(%why, "presence ended");
            }
        });
        Ok(Self { presence: presence.clone(), router, keepers, speaking, stop })
    }

    /// Where the shards are.
    pub fn router(&self) -> &Arc<Router<M>> {
        &self.router
    }

    /// Waits until every shard that this replica should own is taken over.
    pub async fn ready(&self) {
        let mut members = self.presence.members();
        let all_here = |members: &Members| {
            let me = &self.presence.replica;
            members.owned.contains_key(me)
                && (0..self.router.shards())
                    .all(|s| members.owner_of(s) != Some(me) || self.router.find(s).is_some())
        };
        while !all_here(&members.borrow().clone()) {
            let _ = tokio::time::timeout(LOOK_AGAIN, members.changed()).await;
        }
    }

    /// Says goodbye: others take over what this replica lets go.
    pub fn leave(&self) {
        self.presence.leave();
    }

    /// Hands every shard over, and ends.
    pub async fn drain(self) {
        self.presence.leave();
        self.stop.send_replace(true);
        for keeper in self.keepers {
            let _ = keeper.await;
        }
        self.speaking.abort();
    }
}
