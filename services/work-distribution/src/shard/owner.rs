//! The owner of a shard: the one writer of its log.
//!
//! Requests are carried out at once on the state in memory, and what they write is grouped: while one
//! message is on its way the next one fills (group commit). Nobody gets an answer before everything
//! that the answer rests on is stored. The message is stored only if the log's last sequence is the one
//! this owner knows; whoever took the shard over has written in between, so a former owner can write
//! nothing, and finds out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use troupe_bus::port::{AppendError, EventSink, Log, World};
use troupe_contract::subject;
use troupe_domain::{Code, Fault, Timestamp};

use super::batch::{self, Fate, MAX_BATCH_BYTES, PendingBatch};
use super::execute::{execute, only_reads};
use super::publisher::{self, Published};
pub use super::read_lease::ReadLease;
use super::request::{ShardReply, ShardRequest};
use crate::rules::commands::{DueLease, HolderLife};
use crate::rules::notice::count_of;
use crate::rules::queue::Need;
use crate::rules::record::Batch;
use crate::rules::state::ShardState;

/// Bytes that may wait to be stored; beyond it requests are refused until the log catches up.
pub const MAX_PENDING_BYTES: usize = 64 * 1024 * 1024;
/// Attempts to store a batch before the shard is given up and read anew.
const MAX_APPEND_ATTEMPTS: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Published batches that may wait for the event stream.
const MAX_UNPUBLISHED_BATCHES: usize = 1_024;
/// Timers fired at once.
const MAX_FIRED: usize = 1_024;
/// Later than any timer.
const FAR: Timestamp = Timestamp::from_millis(i64::MAX);
/// No term of a read lease: nothing was stored yet.
const UNCONFIRMED: u64 = u64::MAX;
/// How long an unanswered question about a lease waits before it is asked again.
const ASK_AGAIN_MS: u64 = 2_000;

/// Told of every need that became claimable.
pub type OnReady = Arc<dyn Fn(&[Need]) + Send + Sync>;

/// The world outside a shard.
#[derive(Clone)]
pub struct ShardPorts {
    /// The shard's stream.
    pub log: Arc<dyn Log>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// Until when (milliseconds of `world`'s monotonic tokio clock) reads need no confirmation.
    pub read_lease: ReadLease,
    /// Told of every need that became claimable.
    pub on_ready: OnReady,
}

impl std::fmt::Debug for ShardPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardPorts").finish_non_exhaustive()
    }
}

struct Inner {
    state: ShardState,
    pending: VecDeque<PendingBatch>,
    /// What the timer loop sleeps for.
    asleep_until: Option<Timestamp>,
    in_flight: Option<Arc<Fate>>,
    closed: Option<&'static str>,
}

impl Inner {
    fn enqueue_records(
        &mut self,
        records: &[crate::rules::record::Record],
        notices: Vec<crate::rules::notice::Notice>,
    ) -> Arc<Fate> {
        let encoded = batch::encode(records).unwrap_or_else(|why| {
            tracing::error!(%why, "a record cannot be written");
            Vec::new()
        });
        if encoded.len() > MAX_BATCH_BYTES {
            return self.enqueue_split(records, notices);
        }
        if self.pending.back().is_none_or(|batch| batch.is_full(encoded.len())) {
            self.pending.push_back(PendingBatch::default());
        }
        let Some(batch) = self.pending.back_mut() else { return Arc::default() };
        if !records.is_empty() {
            batch.push(&encoded, records.len(), notices);
        }
        batch.fate.clone()
    }

    /// A cascade that is too large for one message goes in several: what follows from the first can
    /// be drawn again from the state, should the others be lost.
    fn enqueue_split(
        &mut self,
        records: &[crate::rules::record::Record],
        mut notices: Vec<crate::rules::notice::Notice>,
    ) -> Arc<Fate> {
        let mut fate = Arc::default();
        for record in records {
            let encoded = batch::encode(std::slice::from_ref(record)).unwrap_or_default();
            if self.pending.back().is_none_or(|batch| batch.is_full(encoded.len())) {
                self.pending.push_back(PendingBatch::default());
            }
            // Each event goes with the record that it tells of: its id is that record's place.
            let told = count_of(record).min(notices.len());
            if let Some(batch) = self.pending.back_mut() {
                batch.push(&encoded, 1, notices.drain(..told).collect());
                fate = batch.fate.clone();
            }
        }
        fate
    }

    fn pending_bytes(&self) -> usize {
        self.pending.iter().map(PendingBatch::len).sum()
    }
}

/// A shard that this process owns.
pub struct Shard {
    number: u16,
    owner: String,
    ports: ShardPorts,
    inner: Mutex<Inner>,
    wake: Notify,
    timers_changed: Notify,
    published: Arc<Published>,
    /// The term of the read lease in which a message was last stored. While the lease had run out
    /// somebody else may have taken over, so that a later term counts only after another message.
    confirmed_term: AtomicU64,
    /// Bytes written since the last snapshot.
    pub(super) log_bytes: AtomicU64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    ended: Notify,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("number", &self.number).finish_non_exhaustive()
    }
}

fn not_owner(why: &str) -> Fault {
    Fault::new(Code::Unavailable, format!("the shard is changing hands: {why}"))
}

impl Shard {
    /// Starts a shard whose log was read up to `sequence` and fenced. `unpublished` are the events
    /// that may not have been published.
    pub(super) fn start(
        number: u16,
        owner: String,
        state: ShardState,
        sequence: u64,
        unpublished: Vec<publisher::Parcel>,
        published: u64,
        ports: ShardPorts,
    ) -> Arc<Self> {
        let (parcels, queue) = mpsc::channel(MAX_UNPUBLISHED_BATCHES);
        let published = Arc::new(Published::new(published));
        let shard = Arc::new(Self {
            number,
            owner,
            ports: ports.clone(),
            inner: Mutex::new(Inner {
                state,
                pending: VecDeque::new(),
                asleep_until: None,
                in_flight: None,
                closed: None,
            }),
            wake: Notify::new(),
            timers_changed: Notify::new(),
            published: published.clone(),
            confirmed_term: AtomicU64::new(UNCONFIRMED),
            log_bytes: AtomicU64::new(0),
            tasks: Mutex::default(),
            ended: Notify::new(),
        });
        let publishing = publisher::run(number, ports.events, queue, unpublished, published);
        let tasks = vec![
            tokio::spawn(publishing),
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
    pub async fn call(&self, request: ShardRequest) -> Result<ShardReply, Fault> {
        self.try_call(request).await.unwrap_or_else(|(_, why)| Err(not_owner(why)))
    }

    /// Like [`call`](Self::call), but gives the request back, with the reason, if the shard is
    /// closed: nothing was carried out.
    pub async fn try_call(
        &self,
        request: ShardRequest,
    ) -> Result<Result<ShardReply, Fault>, (Box<ShardRequest>, &'static str)> {
        let reads = only_reads(&request);
        let (result, fate) = {
            let mut inner = self.inner.lock();
            if let Some(why) = inner.closed {
                return Err((Box::new(request), why));
            }
            if !reads && inner.pending_bytes() > MAX_PENDING_BYTES {
                return Ok(Err(Fault::exhausted("MAX_PENDING_BYTES", MAX_PENDING_BYTES)));
            }
            let (now, jitter) = (self.ports.world.now(), self.ports.world.fraction());
            let result = execute(&mut inner.state, request, now, jitter);
            // What is in flight may have been stored before somebody else took over: only a message
            // that is still to be sent confirms an answer that is given now.
            let unconfirmed = inner.pending.is_empty() && !self.is_sure_to_own();
            let wrote = self.enqueue(&mut inner, unconfirmed);
            (result, wrote)
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

    /// Whether nobody else can have taken over.
    fn is_sure_to_own(&self) -> bool {
        let lease = &self.ports.read_lease;
        lease.holds() && lease.term() == self.confirmed_term.load(Ordering::Acquire)
    }

    /// Moves what was drafted into the pending batch. Gives the fate of what the caller's answer
    /// rests on; `confirm` asks for an empty batch where there is nothing to wait for.
    fn enqueue(&self, inner: &mut Inner, confirm: bool) -> Option<Arc<Fate>> {
        inner.state.evict();
        let records = inner.state.take_drafts();
        let notices = inner.state.take_notices();
        let ready = inner.state.take_ready();
        if !ready.is_empty() {
            (self.ports.on_ready)(&ready);
        }
        let next = inner.state.timers().next().unwrap_or(FAR);
        if inner.asleep_until.is_none_or(|asleep| next < asleep) {
            inner.asleep_until = Some(next);
            self.timers_changed.notify_one();
        }
        if records.is_empty() && !confirm {
            let pending = inner.pending.back().map(|batch| batch.fate.clone());
            return pending.or_else(|| inner.in_flight.clone());
        }
        let fate = inner.enqueue_records(&records, notices);
        self.wake.notify_one();
        Some(fate)
    }

    async fn commit_loop(
        self: Arc<Self>,
        mut sequence: u64,
        parcels: mpsc::Sender<publisher::Parcel>,
    ) {
        loop {
            let next = {
                let mut inner = self.inner.lock();
                let next = inner.pending.pop_front();
                inner.in_flight = next.as_ref().map(|batch| batch.fate.clone());
                match (&next, inner.closed) {
                    (None, Some(_)) => break,
                    _ => next,
                }
            };
            let Some(batch) = next else {
                self.wake.notified().await;
                continue;
            };
            match self.store(&batch, sequence).await {
                Ok(stored) => {
                    sequence = stored;
                    batch.fate.decide(Some(sequence));
                    let parcel = publisher::Parcel { sequence, notices: batch.notices };
                    if parcels.send(parcel).await.is_err() {
                        self.close("its events cannot be published");
                    }
                }
                Err(why) => {
                    self.close(why);
                    batch.fate.decide(None);
                    break;
                }
            }
        }
        self.abandon_pending();
        self.ended.notify_waiters();
    }

    fn abandon_pending(&self) {
        let mut inner = self.inner.lock();
        inner.closed = Some(inner.closed.unwrap_or("it ended"));
        inner.in_flight = None;
        for batch in inner.pending.drain(..) {
            batch.fate.decide(None);
        }
    }

    /// Stores a batch after `expected`. An append whose outcome is unknown is sent again as it is: if
    /// the first one was stored, the second one meets it.
    async fn store(&self, batch: &PendingBatch, expected: u64) -> Result<u64, &'static str> {
        let subject = subject::work_log(self.number);
        let id = self.ports.world.ulid().to_string();
        let body = batch.message(&id, &self.owner, self.published.get(), expected);
        self.log_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let mut wait = FIRST_RETRY;
        for _ in 0..MAX_APPEND_ATTEMPTS {
            let term = self.ports.read_lease.term();
            match self.ports.log.append(&subject, body.clone(), expected).await {
                Ok(sequence) => {
                    self.confirmed_term.store(term, Ordering::Release);
                    return Ok(sequence);
                }
                Err(AppendError::Conflict) => {
                    return self
                        .find_own(&subject, &id)
                        .await
                        .ok_or("another replica took it over");
                }
                Err(AppendError::Unknown(why) | AppendError::Refused(why)) => {
                    tracing::warn!(shard = self.number, why, "a batch was not acknowledged");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(2));
        }
        Err("its log does not answer")
    }

    /// The sequence of our own batch, where it is the last one stored.
    async fn find_own(&self, subject: &str, id: &str) -> Option<u64> {
        let last = self.ports.log.last(subject).await.ok().flatten()?;
        let batch: Batch = serde_json::from_slice(&last.body).ok()?;
        (batch.batch == id).then_some(last.sequence)
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

    /// Closes, and waits until what was pending is stored and its events are published.
    pub async fn drain(&self, why: &'static str) {
        self.close(why);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks.into_iter().rev() {
            let _ = task.await;
        }
    }

    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&ShardState) -> T) -> T {
        look(&self.inner.lock().state)
    }

    /// Changes the state for an internal reason, in the order of everything else.
    pub fn act<T>(
        &self,
        act: impl FnOnce(&mut ShardState, troupe_domain::Timestamp) -> T,
    ) -> Option<T> {
        let mut inner = self.inner.lock();
        if inner.closed.is_some() {
            return None;
        }
        let result = act(&mut inner.state, self.ports.world.now());
        self.enqueue(&mut inner, false);
        Some(result)
    }

    /// Fires timers as they come due, and hands leases to `ask`, until the shard is closed.
    pub async fn timer_loop(self: Arc<Self>, mut ask: impl FnMut(Vec<DueLease>)) {
        loop {
            let changed = self.timers_changed.notified();
            let Some(leases) = self.act(|state, now| state.fire(now, MAX_FIRED, ASK_AGAIN_MS))
            else {
                return;
            };
            if !leases.is_empty() {
                ask(leases);
            }
            let now = self.ports.world.now();
            let next = {
                let mut inner = self.inner.lock();
                inner.asleep_until = inner.state.timers().next().or(Some(FAR));
                inner.asleep_until
            };
            let wait = next.map_or(Duration::from_mins(1), |at| {
                Duration::from_millis(at.millis_since(now).max(1)).min(Duration::from_mins(1))
            });
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Judges a lease.
    pub fn judge(&self, lease: &DueLease, life: HolderLife) {
        self.act(|state, now| state.judge_lease(lease, life, now));
    }

    pub(super) fn ports(&self) -> &ShardPorts {
        &self.ports
    }

    pub(super) fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Cuts between two batches: everything applied so far, and the fate of the last batch of it.
    pub(super) fn cut<T>(&self, take: impl FnOnce(&ShardState) -> T) -> Option<(T, Arc<Fate>)> {
        let mut inner = self.inner.lock();
        if inner.closed.is_some() {
            return None;
        }
        let taken = take(&inner.state);
        // What is applied is stored with the last pending batch at the latest; nothing joins it now.
        if inner.pending.is_empty() {
            inner.pending.push_back(PendingBatch::default());
        }
        let last = inner.pending.back_mut()?;
        last.sealed = true;
        let fate = last.fate.clone();
        self.wake.notify_one();
        Some((taken, fate))
    }
}
