//! The keeper of a shard: takes it over when this replica should own it, lets it go when not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use troupe_bus::Bus;
use troupe_bus::peer::PeerListener;
use troupe_contract::subject;
use troupe_domain::{Code, Fault};

use super::presence::{Members, Presence};
use super::router::Router;
use super::{leases, letters};
use crate::rules::state::{Settings, ShardState};
use crate::shard::snapshot::{self, SnapshotPolicy};
use crate::shard::{Shard, ShardPorts, recovery};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Everything that keeping a shard needs.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The bus.
    pub bus: Bus,
    /// Who is there.
    pub presence: Arc<Presence>,
    /// Where shards are found.
    pub router: Arc<Router>,
    /// The shard's settings.
    pub settings: Settings,
    /// The world outside it.
    pub ports: ShardPorts,
    /// When it takes snapshots.
    pub snapshots: SnapshotPolicy,
}

impl Keeper {
    fn should_own(&self, members: &Members) -> bool {
        let (me, shard) = (&self.presence.replica, self.settings.shard);
        members.owner_of(shard) == Some(me) && !members.is_owned_by_another(me, shard)
    }

    fn should_keep(&self, members: &Members) -> bool {
        members.owner_of(self.settings.shard) == Some(&self.presence.replica)
    }

    /// Keeps the shard until `stop` says to let go.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut members = self.presence.members();
        let mut wait = FIRST_RETRY;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                found = members.wait_for(|members| self.should_own(members)) => {
                    if found.is_err() { return }
                }
            }
            match recovery::open(self.settings, &self.presence.replica, self.ports.clone()).await {
                Ok((shard, manifest)) => {
                    wait = FIRST_RETRY;
                    self.own(shard, manifest, &mut members, &mut stop).await;
                }
                Err(why) => {
                    tracing::error!(shard = self.settings.shard, %why, "the shard was not taken over");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LAST_RETRY);
                }
            }
        }
    }

    async fn own(
        &self,
        shard: Arc<Shard>,
        manifest: snapshot::Manifest,
        members: &mut watch::Receiver<Members>,
        stop: &mut watch::Receiver<bool>,
    ) {
        let number = shard.number();
        let listening = match self.answer_peers(&shard).await {
            Ok(listening) => listening,
            Err(why) => {
                tracing::error!(shard = number, %why, "peers cannot ask for the shard");
                shard.drain("it cannot be reached").await;
                return;
            }
        };
        let asking = leases::asker(self.bus.clone(), shard.clone());
        let at_work = [
            tokio::spawn(shard.clone().timer_loop(asking)),
            tokio::spawn(snapshot::run(shard.clone(), self.snapshots, manifest)),
            tokio::spawn(letters::run(shard.clone(), self.router.clone())),
        ];
        self.router.add(shard.clone());
        self.presence.owns(number, true);
        tracing::info!(shard = number, tasks = shard.look(ShardState::len), "shard taken over");
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            _ = members.wait_for(|members| !self.should_keep(members)) => {}
            () = shard.wait_closed() => {}
        }
        drop(listening);
        self.router.remove(number);
        shard.drain("it moves to another replica").await;
        self.presence.owns(number, false);
        at_work.iter().for_each(tokio::task::JoinHandle::abort);
        tracing::info!(shard = number, "shard let go");
    }

    async fn answer_peers(
        &self,
        shard: &Arc<Shard>,
    ) -> Result<PeerListener, troupe_bus::connect::ConnectError> {
        let owner = shard.clone();
        let answer = move |body: bytes::Bytes| {
            let owner = owner.clone();
            async move {
                let request =
                    serde_json::from_slice(&body).map_err(|why| Fault::invalid("body", why))?;
                let reply = owner.call(request).await?;
                serde_json::to_vec(&reply)
                    .map(Into::into)
                    .map_err(|why| Fault::new(Code::Internal, why.to_string()))
            }
        };
        self.bus.answer_peers(&subject::work_shard(shard.number()), answer).await
    }
}
