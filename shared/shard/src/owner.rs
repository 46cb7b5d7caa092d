//! The owner of a shard: the one writer of its log.
//!
//! Requests are carried out at once on the state in memory, and what they write is grouped: while one
//! message is on its way the next one fills (group commit). Nobody gets an answer before everything
//! that the answer rests on is stored. The message is stored only if the log's last sequence is the one
//! this owner knows; whoever took the shard over has written in between, so a former owner can write
//! nothing, and finds out.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use troupe_bus::port::{EventSink, Log, World};
use troupe_contract::subject;
use troupe_domain::{Code, Fault, Timestamp};

use crate::batch::{Fate, Pending};
use crate::lease::ReadLease;
use crate::machine::{Drafts, Machine};
use crate::publisher::{Parcel, Published, Publisher};
use crate::snapshot::Wanted;

/// Bytes that may wait to be stored; beyond it requests are refused until the log catches up.
pub const MAX_PENDING_BYTES: usize = 64 * 1024 * 1024;
/// Published batches that may wait for the event stream.
const MAX_UNPUBLISHED_BATCHES: usize = 1_024;
/// Timers fired at once.
const MAX_FIRED: usize = 1_024;
/// Later than any timer.
const FAR: Timestamp = Timestamp::from_millis(i64::MAX);
/// A clock that was set is looked at again after this.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Told of everything that became ready, in the middle of a request: it must not wait.
pub type OnReady<M> = Arc<dyn Fn(&[<M as Machine>::Ready]) + Send + Sync>;

/// The world outside a shard.
pub struct ShardPorts<M: Machine> {
    /// The shard's stream.
    pub log: Arc<dyn Log>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// Told of everything that became ready.
    pub on_ready: OnReady<M>,
}

impl<M: Machine> Clone for ShardPorts<M> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            events: self.events.clone(),
            world: self.world.clone(),
            on_ready: self.on_ready.clone(),
        }
    }
}

impl<M: Machine> std::fmt::Debug for ShardPorts<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardPorts").finish_non_exhaustive()
    }
}

pub(crate) struct Inner<M> {
    pub(crate) machine: M,
    pub(crate) pending: Pending,
    /// What the timer loop sleeps for.
    asleep_until: Option<Timestamp>,
    pub(crate) in_flight: Option<Arc<Fate>>,
    pub(crate) closed: Option<&'static str>,
}

/// A shard that this process owns.
pub struct Shard<M: Machine> {
    pub(crate) number: u16,
    pub(crate) owner: String,
    pub(crate) ports: ShardPorts<M>,
    /// Where its records are stored.
    pub(crate) subject: String,
    pub(crate) inner: Mutex<Inner<M>>,
    pub(crate) wake: Notify,
    /// Something was stored: what it says to other shards can go.
    pub(crate) stored: Notify,
    timers_changed: Notify,
    pub(crate) published: Arc<Published>,
    pub(crate) lease: ReadLease,
    /// Bytes written since the last snapshot.
    pub(crate) log_bytes: AtomicU64,
    /// Snapshots that somebody wants now, and those of them that were taken.
    pub(crate) wanted: Wanted,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) ended: Notify,
}

impl<M: Machine> std::fmt::Debug for Shard<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A shard as it was read from its log.
pub(crate) struct Recovered<M> {
    pub(crate) machine: M,
    /// The last message, the fence.
    pub(crate) sequence: u64,
    /// Every event up to here was published.
    pub(crate) published: u64,
    /// The events that may not have been published.
    pub(crate) unpublished: Vec<Parcel>,
    /// Bytes of the log that no snapshot covers yet.
    pub(crate) bytes: u64,
}

fn not_owner(why: &str) -> Fault {
    Fault::new(Code::Unavailable, format!("the shard is changing hands: {why}"))
}

impl<M: Machine> Shard<M> {
    /// Starts a shard whose log was read and fenced.
    pub(crate) fn start(
        number: u16,
        owner: String,
        recovered: Recovered<M>,
        ports: ShardPorts<M>,
    ) -> Arc<Self> {
        let Recovered { machine, sequence, published, unpublished, bytes } = recovered;
        let (parcels, queue) = mpsc::channel(MAX_UNPUBLISHED_BATCHES);
        let published = Arc::new(Published::new(published));
        let publisher = Publisher {
            service: M::SERVICE,
            shard: number,
            events: ports.events.clone(),
            published: published.clone(),
        };
        let shard = Arc::new(Self {
            number,
            owner,
            ports,
            subject: subject::shard_log(M::SERVICE, number),
            inner: Mutex::new(Inner {
                machine,
                pending: Pending::default(),
                asleep_until: None,
                in_flight: None,
                closed: None,
            }),
            wake: Notify::new(),
            stored: Notify::new(),
            timers_changed: Notify::new(),
            published,
            lease: ReadLease::default(),
            log_bytes: AtomicU64::new(bytes),
            wanted: Wanted::default(),
            tasks: Mutex::default(),
            ended: Notify::new(),
        });
        let tasks = vec![
            tokio::spawn(publisher.run(unpublished, queue)),
            tokio::spawn(shard.clone().commit_loop(sequence, parcels)),
        ];
        shard.tasks.lock().extend(tasks);
        shard
    }

    /// The shard's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Carries a request out, and answers when everything that the answer rests on is stored.
    pub async fn call(&self, request: M::Request) -> Result<M::Reply, Fault> {
        self.try_call(request).await.unwrap_or_else(|(_, why)| Err(not_owner(why)))
    }

    /// Like [`call`](Self::call), but gives the request back, with the reason, if the shard is
    /// closed: nothing was carried out.
    pub async fn try_call(
        &self,
        request: M::Request,
    ) -> Result<Result<M::Reply, Fault>, (Box<M::Request>, &'static str)> {
        let reads = M::only_reads(&request);
        let (result, fate) = {
            let mut inner = self.inner.lock();
            if let Some(why) = inner.closed {
                return Err((Box::new(request), why));
            }
            if !reads && inner.pending.bytes() > MAX_PENDING_BYTES {
                return Ok(Err(Fault::exhausted("MAX_PENDING_BYTES", MAX_PENDING_BYTES)));
            }
            let world = &self.ports.world;
            let jitter = if reads { 0.0 } else { world.fraction() };
            let result = inner.machine.execute(request, world.now(), jitter);
            let stored = if reads { None } else { self.enqueue(&mut inner) };
            (result, stored.or_else(|| self.confirmation(&mut inner)))
        };
        Ok(match fate {
            None => result,
            Some(fate) if fate.wait().await.is_some() => result,
            Some(_) => Err(Fault::new(
                Code::DeadlineExceeded,
                "the shard changed hands in between; the outcome is unknown, read to find out",
            )),
        })
    }

    /// Moves what was drafted into the pending batch. Gives its fate, if there was anything.
    fn enqueue(&self, inner: &mut Inner<M>) -> Option<Arc<Fate>> {
        inner.machine.evict();
        let next = inner.machine.next_timer().unwrap_or(FAR);
        if inner.asleep_until.is_none_or(|asleep| next < asleep) {
            inner.asleep_until = Some(next);
            self.timers_changed.notify_one();
        }
        let drafts = inner.machine.drafts();
        if !drafts.ready.is_empty() {
            (self.ports.on_ready)(&drafts.ready);
            drafts.ready.clear();
        }
        let Drafts { records, notices, .. } = drafts;
        if records.is_empty() {
            return None;
        }
        let fate = inner.pending.push(records, notices, M::notices_of).unwrap_or_else(|why| {
            // Memory is ahead of the log for good: whoever reads the log anew is right.
            tracing::error!(shard = self.number, %why, "a record cannot be written");
            inner.closed = inner.closed.or(Some("a record cannot be written"));
            let lost = Fate::default();
            lost.decide(None);
            Arc::new(lost)
        });
        self.wake.notify_one();
        Some(fate)
    }

    /// What an answer rests on that wrote nothing: everything applied so far is stored, and nobody
    /// else serves the shard.
    fn confirmation(&self, inner: &mut Inner<M>) -> Option<Arc<Fate>> {
        if let Some(last) = inner.pending.last() {
            return Some(last.clone());
        }
        if self.lease.holds() {
            return inner.in_flight.clone();
        }
        // What is in flight may have been stored before somebody else took over: only a message that
        // is still to be sent confirms an answer that is given now.
        let fate = inner.pending.confirm();
        self.wake.notify_one();
        Some(fate)
    }

    /// Takes no new requests; what is pending is still stored.
    pub fn close(&self, why: &'static str) {
        let mut inner = self.inner.lock();
        if inner.closed.is_none() {
            inner.closed = Some(why);
            self.wake.notify_one();
            self.timers_changed.notify_one();
        }
    }

    /// Waits until the shard takes no requests any more.
    pub async fn wait_closed(&self) {
        loop {
            let ended = self.ended.notified();
            if self.closed().is_some() {
                return;
            }
            ended.await;
        }
    }

    /// Why the shard is closed, if it is.
    pub fn closed(&self) -> Option<&'static str> {
        self.inner.lock().closed
    }

    /// Closes, and waits until what was pending is stored, the log says that nobody owns the shard,
    /// and all events are published.
    pub async fn drain(&self, why: &'static str) {
        self.close(why);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks.into_iter().rev() {
            let _ = task.await;
        }
    }

    /// Looks at the state. What is seen may not be stored yet, and somebody else may own the shard.
    pub fn look<T>(&self, look: impl FnOnce(&M) -> T) -> T {
        look(&self.inner.lock().machine)
    }

    /// Looks at the state, and gives what was seen once all of it is stored; `None` if it is not.
    pub async fn look_stored<T>(&self, look: impl FnOnce(&M) -> T) -> Option<T> {
        let (seen, fate) = {
            let inner = self.inner.lock();
            let last = inner.pending.last().or(inner.in_flight.as_ref());
            (look(&inner.machine), last.cloned())
        };
        match fate {
            Some(fate) => fate.wait().await.map(|_| seen),
            None => self.closed().is_none().then_some(seen),
        }
    }

    /// Changes the state for an internal reason, in the order of everything else; `None` if the shard
    /// is closed.
    pub fn act<T>(&self, act: impl FnOnce(&mut M, Timestamp) -> T) -> Option<T> {
        let mut inner = self.inner.lock();
        if inner.closed.is_some() {
            return None;
        }
        let result = act(&mut inner.machine, self.ports.world.now());
        self.enqueue(&mut inner);
        Some(result)
    }

    /// Fires timers as they come due, and hands what must be asked outside to `ask`, until the shard
    /// is closed.
    pub async fn timer_loop(self: Arc<Self>, mut ask: impl FnMut(Vec<M::Question>)) {
        loop {
            let changed = self.timers_changed.notified();
            let Some(questions) = self.act(|machine, now| machine.fire(now, MAX_FIRED)) else {
                return;
            };
            if !questions.is_empty() {
                ask(questions);
            }
            let now = self.ports.world.now();
            let next = {
                let mut inner = self.inner.lock();
                let next = inner.machine.next_timer().unwrap_or(FAR);
                inner.asleep_until = Some(next);
                next
            };
            let wait = Duration::from_millis(next.millis_since(now).max(1)).min(LONGEST_SLEEP);
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Cuts between two batches: everything applied so far, and the fate of the last batch of it.
    pub(crate) fn cut<T>(&self, take: impl FnOnce(&M) -> T) -> Option<(T, Arc<Fate>)> {
        let mut inner = self.inner.lock();
        if inner.closed.is_some() {
            return None;
        }
        let taken = take(&inner.machine);
        let fate = inner.pending.seal();
        self.wake.notify_one();
        Some((taken, fate))
    }
}
