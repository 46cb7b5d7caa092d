//! Routes in their stream: every change is a compare-and-set on the route's own subject.
//!
//! Invariant: a change is decided on the newest table that this replica knows, and stored only if
//! nobody else changed the route meanwhile; an answer that never came is resolved by reading. What was
//! stored is in the table before the caller is told.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use troupe_bus::follow::Follower;
use troupe_bus::log::StreamLog;
use troupe_bus::port::{AppendError, Entry, Log, ReadError, World};
use troupe_contract::subject;
use troupe_domain::{AgentId, Code, Fault, Name, Timestamp};

use crate::rules::routes::{RouteEntry, RouteTable};

/// Times that a change is decided anew because somebody else wrote first.
pub const MAX_WRITE_ATTEMPTS: usize = 8;
/// How long the stream remembers that a route was removed: for replicas that were cut off.
pub const REMOVED_FOR_MS: u64 = 24 * 3_600 * 1_000;

/// One stored version of a route.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    id: Name,
    /// Absent where it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<RouteEntry>,
    /// Who changed it.
    by: AgentId,
    at: Timestamp,
    /// The operation that wrote it.
    write_id: Name,
}

impl Record {
    fn decode(entry: &Entry) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(&entry.body).map_err(|why| why.to_string())?;
        let about = record.entry.as_ref().map_or(&record.id, |entry| &entry.declared.id);
        if entry.subject != subject::route_state(&record.id) || *about != record.id {
            return Err(format!("it is about {about}"));
        }
        Ok(record)
    }
}

/// What to do about a route.
#[derive(Debug)]
pub enum Decision<T> {
    /// Nothing is to be written.
    Keep(T),
    /// This is to be written.
    Write(Box<RouteEntry>, T),
    /// It is to be removed.
    Remove(T),
}

/// What became of it.
#[derive(Debug)]
pub struct Changed<T> {
    /// What the decision gave.
    pub value: T,
    /// The place of the write in the stream, and when it was; absent where nothing was written.
    pub written: Option<(u64, Timestamp)>,
}

/// The table and where each route was last written.
#[derive(Debug, Default)]
struct Known {
    table: RouteTable,
    sequences: HashMap<Name, u64>,
}

/// The stream of routes, and the table that is read from it.
pub struct RouteStore {
    log: StreamLog,
    known: RwLock<Known>,
    world: Arc<dyn World>,
    /// Told when the table changes.
    changed: Arc<Notify>,
}

impl std::fmt::Debug for RouteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteStore").finish_non_exhaustive()
    }
}

impl RouteStore {
    /// Reads every route. Gives the store and a follower of what comes after.
    pub async fn open(
        log: StreamLog,
        world: Arc<dyn World>,
        changed: Arc<Notify>,
    ) -> Result<(Self, Follower), ReadError> {
        let store = Self { log: log.clone(), known: RwLock::default(), world, changed };
        let mut last = 0;
        let mut removed = Vec::new();
        let now = store.world.now();
        let mut each = |entry: Entry| {
            last = last.max(entry.sequence);
            if let Some(record) = store.take(&entry)
                && record.entry.is_none()
                && now.millis_since(record.at) > REMOVED_FOR_MS
            {
                removed.push((record.id, entry.sequence));
            }
        };
        log.read(&subject::route_states(), 0, &mut each).await?;
        for (id, sequence) in removed {
            if let Err(why) = log.purge_below(&subject::route_state(&id), sequence + 1).await {
                tracing::debug!(%why, "purging removed routes; at the next start again");
                break;
            }
        }
        let follower = log.follow(subject::route_states(), last + 1);
        Ok((store, follower))
    }

    /// Takes in what is written from now on.
    pub async fn follow(&self, mut follower: Follower) {
        loop {
            let entry = follower.next().await;
            self.take(&entry);
        }
    }

    /// Looks at the table.
    pub fn look<T>(&self, look: impl FnOnce(&RouteTable) -> T) -> T {
        look(&self.known.read().table)
    }

    /// Decides about `id` with `decide` and stores the outcome.
    pub async fn change<T>(
        &self,
        id: &Name,
        by: &AgentId,
        decide: impl Fn(&RouteTable, Timestamp) -> Result<Decision<T>, Fault>,
    ) -> Result<Changed<T>, Fault> {
        let write_id = Name::parse_field("write_id", &self.world.ulid().to_string())?;
        for _ in 0..MAX_WRITE_ATTEMPTS {
            let now = self.world.now();
            let (decision, expected) = {
                let known = self.known.read();
                let expected = known.sequences.get(id).copied().unwrap_or(0);
                (decide(&known.table, now)?, expected)
            };
            let (entry, value) = match decision {
                Decision::Keep(value) => return Ok(Changed { value, written: None }),
                Decision::Write(entry, value) => (Some(*entry), value),
                Decision::Remove(value) => (None, value),
            };
            let record = Record {
                id: id.clone(),
                entry,
                by: by.clone(),
                at: now,
                write_id: write_id.clone(),
            };
            if let Some(sequence) = self.write(record, expected).await? {
                return Ok(Changed { value, written: Some((sequence, now)) });
            }
        }
        Err(Fault::new(Code::Conflict, format!("others keep changing {id}; try again")))
    }

    /// Stores a record; `None` where somebody else wrote first, whose write is now known.
    async fn write(&self, record: Record, expected: u64) -> Result<Option<u64>, Fault> {
        let on = subject::route_state(&record.id);
        let body = serde_json::to_vec(&record).map_err(|why| Fault::invalid("route", why))?;
        match self.log.append(&on, Bytes::from(body), expected).await {
            Ok(sequence) => {
                self.apply(record, sequence);
                Ok(Some(sequence))
            }
            Err(AppendError::Refused(why)) => {
                Err(Fault::new(Code::Unavailable, format!("not stored: {why}")))
            }
            Err(AppendError::Conflict | AppendError::Unknown(_)) => {
                let newest = self.refresh(&record.id).await.map_err(|why| {
                    Fault::new(Code::DeadlineExceeded, format!("the outcome is unknown: {why}"))
                })?;
                let own = newest.filter(|(_, newest)| newest.write_id == record.write_id);
                Ok(own.map(|(sequence, _)| sequence))
            }
        }
    }

    /// Reads a route from the stream's leader, and takes it in.
    async fn refresh(&self, id: &Name) -> Result<Option<(u64, Record)>, ReadError> {
        let Some(entry) = self.log.last(&subject::route_state(id)).await? else {
            self.known.write().sequences.remove(id);
            return Ok(None);
        };
        Ok(self.take(&entry).map(|record| (entry.sequence, record)))
    }

    fn take(&self, entry: &Entry) -> Option<Record> {
        match Record::decode(entry) {
            Ok(record) => {
                self.apply(record.clone(), entry.sequence);
                Some(record)
            }
            Err(why) => {
                tracing::error!(subject = entry.subject, why, "not a route; passed over");
                self.lose(entry);
                None
            }
        }
    }

    /// What is no route took the place of one: it is gone for every replica, and can be declared anew.
    fn lose(&self, entry: &Entry) {
        let Some(id) = subject::caller_of(&entry.subject) else { return };
        let mut known = self.known.write();
        let last = known.sequences.entry(id.clone()).or_default();
        *last = entry.sequence.max(*last);
        // Without an expected version nothing is refused.
        if known.table.delete(&id, None).unwrap_or_default() {
            self.changed.notify_one();
        }
    }

    fn apply(&self, record: Record, sequence: u64) {
        let mut known = self.known.write();
        let last = known.sequences.entry(record.id.clone()).or_default();
        if sequence <= *last {
            return;
        }
        *last = sequence;
        let before = known.table.fingerprint();
        let id = record.id;
        let taken = match record.entry {
            Some(entry) => known.table.load(entry),
            None => known.table.delete(&id, None).map(|_| ()),
        };
        if let Err(fault) = taken {
            tracing::error!(route = id.as_str(), %fault, "a stored route is passed over");
        }
        if known.table.fingerprint() != before {
            self.changed.notify_one();
        }
    }
}
