//! Agents in their stream: every change is a compare-and-set on the agent's own subject.
//!
//! Invariant: a change is decided on the newest state that this replica knows, and stored only if
//! nobody else wrote meanwhile; an answer that never came is resolved by reading. What was stored is
//! in the fleet before the caller is told.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use troupe_bus::port::{AppendError, Log, OutgoingEvent, World};
use troupe_contract::subject;
use troupe_domain::{Agent, AgentId, Code, Fault, Name, Timestamp, TraceContext};

use crate::rules::fleet::{Fleet, Registration, Seen, Source};
use crate::rules::notes::Note;
use crate::store::record::{Record, carried_on, event_of};

/// Times that a change is decided anew because somebody else wrote first.
pub const MAX_WRITE_ATTEMPTS: usize = 8;
/// Events that wait to be told; a writer waits for room.
pub const OUTBOX_EVENTS: usize = 16_384;

/// A change to be stored.
#[derive(Debug)]
pub struct Draft {
    /// The agent afterwards, or its last state.
    pub agent: Agent,
    /// Whether it leaves the directory.
    pub removed: bool,
    /// What the change means.
    pub notes: Vec<Note>,
    /// The registration, where this is one.
    pub registration: Option<Registration>,
}

/// What to do about an agent.
#[derive(Debug)]
pub enum Decision {
    /// Nothing is to be written.
    Keep,
    /// This is to be written.
    Write(Box<Draft>),
}

/// What became of a change.
#[derive(Debug)]
pub struct Changed {
    /// The agent as it was decided upon, if it was there.
    pub before: Option<Seen>,
    /// Whether something was written.
    pub wrote: bool,
}

/// The stream of agents, and the fleet that is read from it.
pub struct AgentStore {
    log: Arc<dyn Log>,
    fleet: Arc<RwLock<Fleet>>,
    world: Arc<dyn World>,
    started: Instant,
    replica: Name,
    outbox: mpsc::Sender<OutgoingEvent>,
}

impl std::fmt::Debug for AgentStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentStore").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl AgentStore {
    /// A store over `log` that keeps `fleet` current and hands events to `outbox`.
    pub fn new(
        log: Arc<dyn Log>,
        fleet: Arc<RwLock<Fleet>>,
        world: Arc<dyn World>,
        replica: Name,
        started: Instant,
        outbox: mpsc::Sender<OutgoingEvent>,
    ) -> Self {
        Self { log, fleet, world, started, replica, outbox }
    }

    /// The name of this replica, new with each start.
    pub fn replica(&self) -> &Name {
        &self.replica
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// A new id.
    pub fn new_id(&self) -> ulid::Ulid {
        self.world.ulid()
    }

    /// Milliseconds on a clock that never goes back.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What is to be told.
    pub fn outbox(&self) -> &mpsc::Sender<OutgoingEvent> {
        &self.outbox
    }

    /// Decides about `id` with `decide` and stores the outcome.
    pub async fn change(
        &self,
        id: &AgentId,
        trace: Option<TraceContext>,
        decide: impl Fn(Option<&Seen>, Timestamp) -> Result<Decision, Fault>,
    ) -> Result<Changed, Fault> {
        let write_id = name_of(self.new_id());
        for _ in 0..MAX_WRITE_ATTEMPTS {
            let now = self.now();
            let (before, expected, told) = {
                let fleet = self.fleet.read();
                (fleet.get(id), fleet.sequence(id), fleet.told(id))
            };
            let draft = match decide(before.as_ref(), now)? {
                Decision::Keep => return Ok(Changed { before, wrote: false }),
                Decision::Write(draft) => *draft,
            };
            let known = before.as_ref().map(|seen| seen.version.registration.clone());
            let registration = draft
                .registration
                .or(known)
                .unwrap_or(Registration { command_id: None, created: false });
            let record = Record {
                agent: draft.agent,
                removed: draft.removed,
                at: now,
                writer: self.replica.clone(),
                write_id: write_id.clone(),
                notes: draft.notes,
                carried: carried_on(&told, now),
                registration,
                trace: trace.clone(),
            };
            let body = record.encode()?;
            let bytes = body.len();
            let stored = match self.log.append(&subject::agent_state(id), body, expected).await {
                Ok(sequence) => {
                    let version = record.version(sequence, bytes);
                    self.fleet.write().apply(version, Source::Live, self.now_ms());
                    Some((sequence, record))
                }
                Err(AppendError::Refused(why)) => {
                    return Err(Fault::new(Code::Unavailable, format!("not stored: {why}")));
                }
                Err(AppendError::Conflict) => self.own_write(id, &write_id).await?,
                Err(AppendError::Unknown(why)) => {
                    tracing::warn!(agent = id.as_str(), why, "a write got no answer; reading");
                    self.own_write(id, &write_id).await?
                }
            };
            if let Some((sequence, record)) = stored {
                self.tell(sequence, &record).await;
                return Ok(Changed { before, wrote: true });
            }
        }
        Err(Fault::new(Code::Conflict, format!("others keep changing {id}; try again")))
    }

    /// Reads `id` anew: whether the newest state is the write that got no answer.
    async fn own_write(
        &self,
        id: &AgentId,
        write_id: &Name,
    ) -> Result<Option<(u64, Record)>, Fault> {
        let newest = self.refresh(id).await.map_err(|fault| {
            Fault::new(Code::DeadlineExceeded, format!("the outcome is unknown: {}", fault.message))
        })?;
        Ok(newest.filter(|(_, record)| record.write_id == *write_id))
    }

    /// Reads `id` from the stream's leader, and takes it in.
    pub async fn refresh(&self, id: &AgentId) -> Result<Option<(u64, Record)>, Fault> {
        let unavailable = |why: String| Fault::new(Code::Unavailable, why);
        let last = self.log.last(&subject::agent_state(id)).await;
        let Some(entry) = last.map_err(|why| unavailable(why.to_string()))? else {
            self.fleet.write().absent(id);
            return Ok(None);
        };
        let record = Record::decode(&entry)
            .map_err(|why| unavailable(format!("the state of {id} cannot be read: {why}")))?;
        let version = record.version(entry.sequence, entry.body.len());
        self.fleet.write().apply(version, Source::Live, self.now_ms());
        Ok(Some((entry.sequence, record)))
    }

    /// One agent; asks the stream where this replica does not know it, so that an agent that another
    /// replica registered a moment ago is found.
    pub async fn find(&self, id: &AgentId) -> Result<Option<Seen>, Fault> {
        let known = self.fleet.read().get(id);
        if known.is_some() {
            return Ok(known);
        }
        self.refresh(id).await?;
        Ok(self.fleet.read().get(id))
    }

    async fn tell(&self, sequence: u64, record: &Record) {
        for told in record.told(sequence).iter().filter(|told| told.sequence == sequence) {
            let event = event_of(told, &record.agent, record.trace.clone());
            if self.outbox.send(event).await.is_err() {
                tracing::warn!("the outbox is closed; another replica tells the event");
            }
        }
    }

    /// Removes what is left of agents that were removed before `moment`. Gives how many.
    pub async fn purge_removed(&self, moment: Timestamp) -> usize {
        let old = self.fleet.read().removed_before(moment);
        let mut purged = 0;
        for (id, sequence) in old {
            match self.log.purge_below(&subject::agent_state(&id), sequence + 1).await {
                Ok(()) => {
                    self.fleet.write().clear_removed(&id, sequence);
                    purged += 1;
                }
                Err(why) => {
                    tracing::debug!(%why, "purging what was removed; later again");
                    break;
                }
            }
        }
        purged
    }
}

/// A ULID as a name.
pub fn name_of(id: ulid::Ulid) -> Name {
    Name::parse(&id.to_string()).unwrap_or_else(|_| unreachable!("a ULID is a name"))
}
