//! The client's side: one process's way to the stream, with everything that may happen on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::chance::Chance;
use super::faults::{Defect, Faults};
use super::store::{PublishedEvent, Store, Stored};
use crate::log::APPEND_TIMEOUT;
use crate::port::{AppendError, Entry, EventSink, Log, OutgoingEvent, ReadError};

/// Messages that a read gets at once; what happens in between may be seen or not.
const READ_STEP: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// The process stands still: nothing goes out, nothing comes in.
    Paused,
    /// The process is dead.
    Dead,
}

/// How one process is connected. Clones are the same way.
#[derive(Debug, Clone)]
pub struct Link {
    way: Arc<Mutex<Way>>,
    /// Those who wait are woken in the order in which they came, so that a seed tells one story.
    changed: Arc<Notify>,
    cut_until: Arc<Mutex<Option<Instant>>>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            way: Arc::new(Mutex::new(Way::Open)),
            changed: Arc::default(),
            cut_until: Arc::default(),
        }
    }
}

impl Link {
    /// The process stands still until [`resume`](Self::resume).
    pub fn pause(&self) {
        let mut way = self.way.lock();
        if *way == Way::Open {
            *way = Way::Paused;
        }
    }

    /// The process goes on.
    pub fn resume(&self) {
        let mut way = self.way.lock();
        if *way == Way::Paused {
            *way = Way::Open;
            self.changed.notify_waiters();
        }
    }

    /// The process is dead: none of its calls ever returns. What it sent is still on its way.
    pub fn kill(&self) {
        *self.way.lock() = Way::Dead;
    }

    /// Nothing it sends arrives for `time`.
    pub fn cut(&self, time: Duration) {
        *self.cut_until.lock() = Some(Instant::now() + time);
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        *self.way.lock() == Way::Dead
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        *self.way.lock() == Way::Open
    }

    /// Whether the process runs and reaches the server.
    pub fn is_well(&self) -> bool {
        self.is_running() && !self.is_cut()
    }

    fn is_cut(&self) -> bool {
        self.cut_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the process runs; for ever where it is dead.
    pub async fn runs(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_running() {
                return;
            }
            changed.await;
        }
    }
}

struct Server {
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    chance: Chance,
}

/// One stream, as one process reaches it. It is a [`Log`] and an [`EventSink`].
#[derive(Clone)]
pub struct ModelStream {
    server: Arc<Server>,
    link: Link,
}

impl std::fmt::Debug for ModelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelStream").finish_non_exhaustive()
    }
}

/// What becomes of one message.
enum Journey {
    Refused,
    Lost,
    /// It arrives after a time, perhaps twice, and is acknowledged after another, or never.
    Arrives {
        after: Duration,
        again: Option<Duration>,
        ack: Option<Duration>,
    },
}

impl ModelStream {
    /// An empty stream, reached without trouble except for `faults`.
    pub fn new(chance: Chance, faults: Faults) -> Self {
        let server = Server { store: Mutex::default(), faults: Mutex::new(faults), chance };
        Self { server: Arc::new(server), link: Link::default() }
    }

    /// The same stream, reached by another process.
    pub fn reached_by(&self, link: &Link) -> Self {
        Self { server: self.server.clone(), link: link.clone() }
    }

    /// Changes the odds.
    pub fn set_faults(&self, faults: Faults) {
        *self.server.faults.lock() = faults;
    }

    /// Breaks a promise from now on.
    pub fn break_promise(&self, defect: Defect) {
        self.server.store.lock().defect = Some(defect);
    }

    /// The server is gone for `time`, and comes back with everything it had stored.
    pub fn restart_server(&self, time: Duration) {
        self.server.store.lock().down_until = Some(Instant::now() + time);
    }

    /// Everything that was ever stored, purged or not.
    pub fn history(&self) -> Vec<Stored> {
        self.server.store.lock().history.clone()
    }

    /// Every event that was ever stored, as often as it was.
    pub fn events(&self) -> Vec<PublishedEvent> {
        self.server.store.lock().events.clone()
    }

    /// How many messages are kept.
    pub fn event_count(&self) -> usize {
        self.server.store.lock().events.len()
    }

    fn journey(&self) -> Journey {
        let (faults, chance) = (*self.server.faults.lock(), &self.server.chance);
        let delay = || chance.millis(0, faults.max_delay_ms);
        if self.link.is_cut() || chance.hits(faults.lost_request) {
            return Journey::Lost;
        }
        if chance.hits(faults.refused) {
            return Journey::Refused;
        }
        let late = chance.hits(faults.late);
        let after = if late { chance.millis(0, faults.max_late_ms) } else { delay() };
        let again =
            chance.hits(faults.duplicate).then(|| chance.millis(0, faults.max_late_ms.max(1)));
        let ack = (!chance.hits(faults.lost_ack)).then(delay);
        Journey::Arrives { after, again, ack }
    }

    /// Sends something to the server. Once it is sent it arrives or not, whatever becomes of the
    /// caller.
    async fn send<T: Send + 'static>(
        &self,
        carry: impl Fn(&mut Store) -> Result<T, AppendError> + Send + Sync + 'static,
    ) -> Result<T, AppendError> {
        self.link.runs().await;
        let unknown = || AppendError::Unknown("no acknowledgement came in time".to_owned());
        let result = match self.journey() {
            Journey::Refused => {
                sleep(Duration::from_millis(1)).await;
                Err(AppendError::Refused("the model refuses".to_owned()))
            }
            Journey::Lost => {
                sleep(APPEND_TIMEOUT).await;
                Err(unknown())
            }
            Journey::Arrives { after, again, ack } => {
                let (tell, told) = oneshot::channel();
                let server = self.server.clone();
                tokio::spawn(async move {
                    sleep(after).await;
                    let result = server.arrive(&carry);
                    if let (Some(ack), Some(result)) = (ack, result) {
                        sleep(ack).await;
                        let _ = tell.send(result);
                    } else {
                        // The answer is lost, and the caller does not learn that it is.
                        sleep(APPEND_TIMEOUT).await;
                    }
                    if let Some(again) = again {
                        sleep(again).await;
                        server.arrive(&carry);
                    }
                });
                match timeout(APPEND_TIMEOUT, told).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_)) | Err(_) => Err(unknown()),
                }
            }
        };
        self.link.runs().await;
        result
    }

    /// Answers of reads: whether this one is answered, and as of which sequence.
    async fn bound(&self) -> Result<u64, ReadError> {
        self.link.runs().await;
        let (faults, chance) = (*self.server.faults.lock(), &self.server.chance);
        sleep(chance.millis(0, faults.max_delay_ms)).await;
        let down = self.server.store.lock().is_down();
        if down || self.link.is_cut() || chance.hits(faults.read_error) {
            sleep(Duration::from_millis(200)).await;
            return Err(ReadError("the model does not answer".to_owned()));
        }
        let last = self.server.store.lock().last_sequence();
        if chance.hits(faults.stale_read) {
            return Ok(last.saturating_sub(chance.within(1, faults.max_stale_entries)));
        }
        Ok(last)
    }
}

impl Server {
    /// The message reaches the server; `None` where it is down.
    fn arrive<T>(
        &self,
        carry: &impl Fn(&mut Store) -> Result<T, AppendError>,
    ) -> Option<Result<T, AppendError>> {
        let mut store = self.store.lock();
        (!store.is_down()).then(|| carry(&mut store))
    }
}

#[async_trait]
impl Log for ModelStream {
    async fn append(&self, subject: &str, body: Bytes, expected: u64) -> Result<u64, AppendError> {
        let subject = subject.to_owned();
        self.send(move |store| store.store(&subject, body.clone(), Some(expected))).await
    }

    async fn put(&self, subject: &str, body: Bytes) -> Result<u64, AppendError> {
        let subject = subject.to_owned();
        self.send(move |store| store.store(&subject, body.clone(), None)).await
    }

    async fn last(&self, subject: &str) -> Result<Option<Entry>, ReadError> {
        let bound = self.bound().await?;
        let found = self.server.store.lock().last(subject, bound).cloned();
        self.link.runs().await;
        Ok(found)
    }

    async fn read(
        &self,
        filter: &str,
        from: u64,
        each: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<(), ReadError> {
        let bound = self.bound().await?;
        let mut next = from;
        loop {
            let some = self.server.store.lock().some(filter, next, bound, READ_STEP);
            let Some(last) = some.last().map(|entry| entry.sequence) else { return Ok(()) };
            next = last + 1;
            some.into_iter().for_each(&mut *each);
            let faults = *self.server.faults.lock();
            if self.server.chance.hits(faults.broken_read) {
                return Err(ReadError("the model broke off".to_owned()));
            }
            sleep(self.server.chance.millis(0, faults.max_delay_ms)).await;
            self.link.runs().await;
        }
    }

    async fn purge_below(&self, filter: &str, sequence: u64) -> Result<(), ReadError> {
        let filter = filter.to_owned();
        self.send(move |store| {
            store.purge_below(&filter, sequence);
            Ok(())
        })
        .await
        .map_err(|why| ReadError(why.to_string()))
    }
}

#[async_trait]
impl EventSink for ModelStream {
    async fn publish(&self, events: &[OutgoingEvent]) -> Result<(), AppendError> {
        // They go out in order over one connection: where it breaks, the first ones are stored.
        let whole = events.len() as u64;
        let breaks = self.server.chance.hits(self.server.faults.lock().broken_read);
        let reached = if breaks { self.server.chance.below(whole + 1) } else { whole };
        let sent: Vec<OutgoingEvent> = events[..reached as usize].to_vec();
        self.send(move |store| {
            for event in &sent {
                store.publish(event);
            }
            Ok(())
        })
        .await?;
        if breaks {
            return Err(AppendError::Unknown("the model broke off".to_owned()));
        }
        Ok(())
    }
}
