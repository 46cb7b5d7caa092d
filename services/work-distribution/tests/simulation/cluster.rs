//! The replicas: processes that take shards over, stand still, lose their way to the server, die, and
//! go on as owners of what others have taken over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use troupe_bus::model::{Chance, Faults, Link, ModelStream, ModelWorld};
use troupe_domain::{Code, Fault, TaskId};
use troupe_shard::place::shard_of;
use troupe_shard::snapshot::{self, Manifest, SnapshotPolicy};
use troupe_shard::{ShardPorts, letters, recovery};
use troupe_work_distribution::replica::archive;
use troupe_work_distribution::rules::commands::DueLease;
use troupe_work_distribution::shard::{Shard, ShardReply, ShardRequest};

use super::history::History;
use super::plan::Plan;
use super::registry::Registry;

const PRESENCE_INTERVAL: Duration = Duration::from_millis(500);
const GONE_AFTER: Duration = Duration::from_millis(2_500);
/// Former owners that clients may still believe in.
const REMEMBERED_OWNERS: usize = 4;

/// A future that stands still while its process does.
struct Gated<F> {
    link: Link,
    inner: Pin<Box<F>>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        while !self.link.is_running() {
            let link = self.link.clone();
            let waiting =
                self.waiting.get_or_insert_with(|| Box::pin(async move { link.runs().await }));
            if waiting.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.waiting = None;
        }
        self.inner.as_mut().poll(cx)
    }
}

fn gated<F: Future>(link: &Link, inner: F) -> Gated<F> {
    Gated { link: link.clone(), inner: Box::pin(inner), waiting: None }
}

/// One process that owns, or believes it owns, one shard.
pub(crate) struct Owner {
    name: String,
    link: Link,
    shard: Arc<Shard>,
    heard: Mutex<Instant>,
}

impl Owner {
    fn may_answer(&self) -> bool {
        !self.link.is_dead() && self.shard.closed().is_none()
    }
}

/// Everything that serves.
pub(crate) struct Cluster {
    pub(crate) plan: Plan,
    pub(crate) world: ModelWorld,
    pub(crate) chance: Chance,
    pub(crate) history: History,
    pub(crate) registry: Registry,
    pub(crate) logs: Vec<ModelStream>,
    pub(crate) events: ModelStream,
    owners: Vec<Mutex<Vec<Arc<Owner>>>>,
    kind: AtomicBool,
    names: AtomicU64,
}

impl Cluster {
    pub(crate) fn new(plan: Plan) -> Arc<Self> {
        let chance = Chance::new(plan.seed);
        let stream = || ModelStream::new(chance.fork(), plan.faults);
        let logs: Vec<ModelStream> = (0..plan.shards).map(|_| stream()).collect();
        for log in &logs {
            plan.defect.into_iter().for_each(|defect| log.break_promise(defect));
        }
        Arc::new(Self {
            world: ModelWorld::new(chance.fork()),
            history: History::new(plan.loud),
            registry: Registry::new(chance.fork(), plan.unknown_life),
            events: stream(),
            owners: logs.iter().map(|_| Mutex::default()).collect(),
            logs,
            chance: chance.fork(),
            plan,
            kind: AtomicBool::new(false),
            names: AtomicU64::new(0),
        })
    }

    pub(crate) fn shard_of(&self, id: &TaskId) -> u16 {
        shard_of(id.as_str(), self.plan.shards)
    }

    /// Whether nothing goes wrong any more.
    pub(crate) fn is_kind(&self) -> bool {
        self.kind.load(Ordering::Relaxed)
    }

    /// From now on nothing goes wrong.
    pub(crate) fn be_kind(&self) {
        self.kind.store(true, Ordering::Relaxed);
        self.registry.be_kind();
        self.logs.iter().chain([&self.events]).for_each(|log| log.set_faults(Faults::NONE));
        for owner in self.owners.iter().flat_map(|owners| owners.lock().clone()) {
            owner.link.resume();
            owner.link.cut(Duration::ZERO);
        }
        self.history.note(|| "--- the world is kind from now on".to_owned());
    }

    /// The newest owner of a shard that answers.
    pub(crate) fn owner(&self, shard: u16) -> Option<Arc<Shard>> {
        let owners = self.owners[usize::from(shard)].lock();
        owners.iter().rev().find(|owner| owner.may_answer()).map(|owner| owner.shard.clone())
    }

    /// Whom a client asks: mostly the newest owner, sometimes one that was.
    fn believed_owner(&self, shard: u16) -> Option<Arc<Owner>> {
        let owners = self.owners[usize::from(shard)].lock();
        if self.is_kind() {
            return owners.iter().rev().find(|owner| owner.may_answer()).cloned();
        }
        if self.chance.hits(200) { self.chance.pick(&owners) } else { owners.last() }.cloned()
    }

    /// A client asks a shard. Once sent, a request may be carried out long after its client gave up.
    /// `None`: no answer came in time.
    pub(crate) async fn call(
        self: &Arc<Self>,
        shard: u16,
        request: ShardRequest,
    ) -> Option<Result<ShardReply, Fault>> {
        let deadline = Instant::now() + self.chance.millis(500, 12_000);
        let mut wait = Duration::from_millis(10);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(owner) = self.believed_owner(shard) else {
                if left <= wait {
                    let nobody = Fault::new(Code::Unavailable, "nobody owns the shard");
                    return Some(Err(nobody));
                }
                sleep(wait).await;
                continue;
            };
            let copies = if !self.is_kind() && self.chance.hits(20) { 2 } else { 1 };
            let mut told = Vec::new();
            for _ in 0..copies {
                told.push(self.send(&owner, request.clone()));
            }
            let answer = timeout_at(deadline, told.swap_remove(0)).await.ok()?.ok()?;
            match answer {
                Err(fault) if fault.code == Code::Unavailable && left > wait => {
                    sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_millis(200));
                }
                answer => return Some(answer),
            }
        }
    }

    fn send(
        &self,
        owner: &Arc<Owner>,
        request: ShardRequest,
    ) -> oneshot::Receiver<Result<ShardReply, Fault>> {
        let (tell, told) = oneshot::channel();
        let most = self.plan.faults.max_delay_ms;
        let (there, back) = (self.chance.millis(0, most), self.chance.millis(0, most));
        let owner = owner.clone();
        tokio::spawn(async move {
            sleep(there).await;
            let answer = gated(&owner.link, owner.shard.call(request)).await;
            sleep(back).await;
            let _ = tell.send(answer);
        });
        told
    }

    /// Keeps a shard owned, and its owners uneasy, for ever.
    pub(crate) async fn keep(self: Arc<Self>, shard: u16) {
        loop {
            if !self.has_owner(shard) {
                let rivals = if self.is_kind() { 1 } else { self.chance.within(1, 2) };
                let opening = (0..rivals).map(|_| self.clone().take_over(shard));
                futures::future::join_all(opening).await;
            }
            if self.is_kind() {
                sleep(Duration::from_millis(250)).await;
                continue;
            }
            let (least, most) = self.plan.calm_ms;
            sleep(self.chance.millis(least, most)).await;
            if !self.is_kind() {
                self.strike(shard).await;
            }
        }
    }

    fn has_owner(&self, shard: u16) -> bool {
        let owners = self.owners[usize::from(shard)].lock();
        owners.iter().any(|owner| owner.may_answer() && owner.heard.lock().elapsed() < GONE_AFTER)
    }

    /// Something happens to the owners of a shard.
    async fn strike(self: &Arc<Self>, shard: u16) {
        let last = self.owners[usize::from(shard)].lock().last().cloned();
        let Some(owner) = last else { return };
        let time = self.chance.millis(100, 9_000);
        let what = self.chance.below(6);
        self.history
            .note(|| format!("strike {what} at {} of shard {shard} for {time:?}", owner.name));
        match what {
            0 => owner.link.kill(),
            1 => {
                owner.link.pause();
                tokio::spawn(async move {
                    sleep(time).await;
                    owner.link.resume();
                });
            }
            2 => owner.link.cut(time),
            3 => self.logs[usize::from(shard)].restart_server(time),
            // Somebody takes over from an owner that is well: leases of reads must not rest on presence.
            4 if self.chance.hits(500) => self.clone().take_over(shard).await,
            4 => self.events.restart_server(time),
            _ => {
                let _ = timeout(time, owner.shard.drain("it moves to another replica")).await;
            }
        }
    }

    async fn take_over(self: Arc<Self>, shard: u16) {
        let name = format!("replica-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let link = Link::default();
        let skew = self.chance.within(0, 2 * self.plan.max_skew_ms) as i64;
        let ports = ShardPorts {
            log: Arc::new(self.logs[usize::from(shard)].reached_by(&link)),
            events: Arc::new(self.events.reached_by(&link)),
            world: Arc::new(self.world.seen_by(skew - self.plan.max_skew_ms as i64)),
            on_ready: Arc::new(|_| ()),
        };
        let opening = recovery::open(self.plan.settings(shard), &name, ports);
        match timeout(Duration::from_secs(30), opening).await {
            Ok(Ok((opened, manifest))) => {
                self.history.note(|| format!("{name} owns shard {shard}"));
                let owner = Arc::new(Owner {
                    name,
                    link,
                    shard: opened,
                    heard: Mutex::new(Instant::now()),
                });
                self.clone().put_to_work(&owner, manifest);
                let mut owners = self.owners[usize::from(shard)].lock();
                owners.push(owner);
                if owners.len() > REMEMBERED_OWNERS {
                    owners.remove(0);
                }
            }
            Ok(Err(why)) => self.history.note(|| format!("{name} does not own {shard}: {why}")),
            Err(_) => {
                link.kill();
                self.history.note(|| format!("{name} gives shard {shard} up"));
            }
        }
    }

    fn put_to_work(self: Arc<Self>, owner: &Arc<Owner>, manifest: Manifest) {
        let policy = SnapshotPolicy { after_log_bytes: self.plan.snapshot_after_log_bytes };
        let (link, shard) = (&owner.link, &owner.shard);
        let asking = {
            let (this, link, shard) = (self.clone(), link.clone(), shard.clone());
            move |leases| {
                tokio::spawn(gated(&link, this.clone().judge(shard.clone(), leases)));
            }
        };
        tokio::spawn(gated(link, shard.clone().timer_loop(asking)));
        tokio::spawn(gated(link, snapshot::run(shard.clone(), policy, manifest)));
        tokio::spawn(gated(link, self.clone().deliver_letters(shard.clone())));
        let archive = self.events.reached_by(link);
        tokio::spawn(gated(link, keep_archive(shard.clone(), archive)));
        tokio::spawn(gated(link, self.clone().say_hello(owner.clone())));
    }

    async fn judge(self: Arc<Self>, shard: Arc<Shard>, leases: Vec<DueLease>) {
        sleep(self.chance.millis(0, 100)).await;
        for lease in leases {
            let life = self.registry.life_of(&lease.holder, &lease.task_id);
            shard.act(|state, now| state.judge_lease(&lease, life, now));
        }
    }

    async fn say_hello(self: Arc<Self>, owner: Arc<Owner>) {
        while owner.may_answer() {
            if owner.link.is_well() {
                *owner.heard.lock() = Instant::now();
            }
            sleep(PRESENCE_INTERVAL).await;
        }
    }

    /// Letters go from shard to shard as a replica would send them.
    async fn deliver_letters(self: Arc<Self>, shard: Arc<Shard>) {
        let silence = || Err(Fault::new(Code::DeadlineExceeded, "no answer came in time"));
        let send = |to, letter, _| {
            let this = self.clone();
            async move { this.call(to, letter).await.unwrap_or_else(silence) }
        };
        letters::run(shard, send).await;
    }
}

/// What leaves memory is brought to the archive as a replica would bring it.
async fn keep_archive(shard: Arc<Shard>, stream: ModelStream) {
    while shard.closed().is_none() {
        sleep(archive::LOOK_EVERY).await;
        // It is tried again: nothing has left memory.
        let _ = archive::bring(&shard, &stream).await;
    }
}
