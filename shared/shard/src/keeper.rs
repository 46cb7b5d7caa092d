//! The keeper of a shard: takes it over when this replica should own it, lets it go when not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_bus::peer::PeerListener;
use troupe_contract::subject;
use troupe_domain::{Code, Fault};

use crate::machine::Machine;
use crate::owner::{Shard, ShardPorts};
use crate::presence::{Members, Presence};
use crate::router::Router;
use crate::snapshot::{Manifest, SnapshotPolicy};
use crate::{letters, recovery, snapshot};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Has asked outside what the timers of a shard want to know. It must not wait: it spawns.
pub type Ask<M> = Arc<dyn Fn(&Arc<Shard<M>>, Vec<<M as Machine>::Question>) + Send + Sync>;

/// Everything that keeping a shard needs.
pub(crate) struct Keeper<M: Machine> {
    pub(crate) bus: Bus,
    pub(crate) presence: Arc<Presence>,
    pub(crate) router: Arc<Router<M>>,
    pub(crate) settings: M::Settings,
    pub(crate) ports: ShardPorts<M>,
    pub(crate) snapshots: SnapshotPolicy,
    pub(crate) ask: Ask<M>,
}

impl<M: Machine> Keeper<M> {
    fn number(&self) -> u16 {
        M::shard(&self.settings)
    }

    fn should_own(&self, members: &Members) -> bool {
        self.should_keep(members)
            && !members.is_owned_by_another(&self.presence.replica, self.number())
    }

    fn should_keep(&self, members: &Members) -> bool {
        members.owner_of(self.number()) == Some(&self.presence.replica)
    }

    /// Keeps the shard until `stop` says to let go.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
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
            let (settings, ports) = (self.settings.clone(), self.ports.clone());
            match recovery::open(settings, &self.presence.replica, ports).await {
                Ok((shard, manifest)) => {
                    wait = FIRST_RETRY;
                    self.own(shard, manifest, &mut members, &mut stop).await;
                }
                Err(why) => {
                    tracing::error!(shard = self.number(), %why, "the shard was not taken over");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LAST_RETRY);
                }
            }
        }
    }

    async fn own(
        &self,
        shard: Arc<Shard<M>>,
        manifest: Manifest,
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
        let (ask, asking) = (self.ask.clone(), shard.clone());
        let (router, sender) = (self.router.clone(), shard.clone());
        let at_work = [
            tokio::spawn(shard.clone().timer_loop(move |questions| ask(&asking, questions))),
            tokio::spawn(snapshot::run(shard.clone(), self.snapshots, manifest)),
            tokio::spawn(async move {
                letters::run(sender, |to, request, until| router.call(to, request, until)).await;
            }),
        ];
        self.router.add(shard.clone());
        self.presence.owns(number, true);
        tracing::info!(shard = number, "shard taken over");
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

    async fn answer_peers(&self, shard: &Arc<Shard<M>>) -> Result<PeerListener, ConnectError> {
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
        self.bus.answer_peers(&subject::shard_owner(M::SERVICE, shard.number()), answer).await
    }
}
