//! The state of one shard of messaging: the fold of its records, and the indexes that derive from it.
//!
//! Invariants: [`RoutingState::apply`](super::apply) decides nothing, so that a replay gives the same
//! state; a mailbox changes only through [`RoutingState::touch`], which keeps timers and counts right.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::ingress::{Way, shard_of_agent};
use troupe_contract::routing::MessageTotals;
use troupe_domain::retry::Backoff;
use troupe_domain::session::{Conversation, SessionId, SessionLimits};
use troupe_domain::{AgentId, Name, Timestamp};
use troupe_shard::{Drafts, Machine};

use super::hint::Hint;
use super::mailbox::Mailbox;
use super::memory::{DeadLetters, Seen};
use super::outbox::Outbox;
use super::record::{IngressPlace, Record};
use super::timers::{Timer, Timers};
use super::topics::Followers;

/// What a shard needs to know of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Its number.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// How long a recipient has for a message before it is delivered again.
    pub ack_wait_ms: u64,
    /// Deliveries of one message.
    pub max_deliver: u32,
    /// The wait before another delivery.
    pub backoff: Backoff,
    /// Mailboxes.
    pub max_mailboxes: usize,
    /// Messages in one mailbox.
    pub max_messages_per_mailbox: usize,
    /// Bytes of messages in one mailbox.
    pub max_bytes_per_mailbox: usize,
    /// Bytes of messages in all mailboxes.
    pub max_mailbox_bytes: usize,
    /// Patterns that one agent may follow.
    pub max_patterns_per_mailbox: usize,
    /// Requests of one agent that wait for their responses.
    pub max_requests_per_mailbox: usize,
    /// An empty mailbox that nobody used for so long is let go of, with what its owner follows.
    pub mailbox_idle_ms: u64,
    /// Sessions that go on.
    pub max_open_sessions: usize,
    /// Bytes of the transcripts of sessions that go on.
    pub max_session_bytes: usize,
    /// How large one session may become.
    pub session: SessionLimits,
}

/// The default wait before a message is delivered again: 100 ms, twice as long each time, at most 5 s.
pub const DEFAULT_BACKOFF: Backoff = Backoff { initial_ms: 100, max_ms: 5_000, multiplier: 2.0 };

impl Settings {
    /// The defaults, for one of `shards` shards.
    pub fn new(shard: u16, shards: u16) -> Self {
        Self {
            shard,
            shards,
            ack_wait_ms: 30_000,
            max_deliver: 3,
            backoff: DEFAULT_BACKOFF,
            max_mailboxes: 25_000,
            max_messages_per_mailbox: 10_000,
            max_bytes_per_mailbox: 16 * 1024 * 1024,
            max_mailbox_bytes: 256 * 1024 * 1024,
            max_patterns_per_mailbox: 256,
            max_requests_per_mailbox: 1_024,
            mailbox_idle_ms: 7 * 24 * 60 * 60 * 1000,
            max_open_sessions: 1_000,
            max_session_bytes: 128 * 1024 * 1024,
            session: SessionLimits::default(),
        }
    }
}

/// One shard.
#[derive(Debug)]
pub struct RoutingState {
    pub(super) settings: Settings,
    pub(super) mailboxes: BTreeMap<AgentId, Mailbox>,
    pub(super) followers: Followers,
    pub(super) seen: Seen,
    pub(super) dead: DeadLetters,
    pub(super) sessions: BTreeMap<SessionId, Conversation>,
    /// Sessions that ended, oldest first.
    pub(super) ended: VecDeque<SessionId>,
    pub(super) outbox: Outbox,
    /// How far each way in was taken in.
    pub(super) ingested: BTreeMap<Way, IngressPlace>,
    pub(super) timers: Timers,
    pub(super) totals: MessageTotals,
    pub(super) next_seq: u64,
    pub(super) next_dead: u64,
    /// Bytes of messages in all mailboxes.
    pub(super) bytes: usize,
    pub(super) open_session_bytes: usize,
    pub(super) ended_session_bytes: usize,
    pub(super) drafts: Drafts<Self>,
}

impl RoutingState {
    /// An empty shard.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            mailboxes: BTreeMap::new(),
            followers: Followers::default(),
            seen: Seen::default(),
            dead: DeadLetters::default(),
            sessions: BTreeMap::new(),
            ended: VecDeque::new(),
            outbox: Outbox::default(),
            ingested: BTreeMap::new(),
            timers: Timers::default(),
            totals: MessageTotals::default(),
            next_seq: 1,
            next_dead: 1,
            bytes: 0,
            open_session_bytes: 0,
            ended_session_bytes: 0,
            drafts: Drafts::default(),
        }
    }

    /// The name under which the service itself speaks.
    pub fn service_name() -> Name {
        Name::parse(<Self as Machine>::SERVICE.full_name())
            .unwrap_or_else(|_| unreachable!("the names of services are names"))
    }

    /// The shard of an agent's mailbox.
    pub fn home_of(&self, agent: &AgentId) -> u16 {
        shard_of_agent(agent, self.settings.shards)
    }

    /// Whether an agent's mailbox is in this shard.
    pub fn is_here(&self, agent: &AgentId) -> bool {
        self.home_of(agent) == self.settings.shard
    }

    /// One mailbox.
    pub fn mailbox(&self, agent: &AgentId) -> Option<&Mailbox> {
        self.mailboxes.get(agent)
    }

    /// One session.
    pub fn conversation(&self, id: &SessionId) -> Option<&Conversation> {
        self.sessions.get(id)
    }

    /// Letters that wait.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// How far a way in was taken in.
    pub fn ingested(&self, way: Way) -> IngressPlace {
        self.ingested.get(&way).copied().unwrap_or_default()
    }

    /// What happened to messages so far.
    pub fn totals(&self) -> &MessageTotals {
        &self.totals
    }

    /// How many mailboxes there are.
    pub fn mailbox_count(&self) -> usize {
        self.mailboxes.len()
    }

    /// Bytes of messages in all mailboxes.
    pub fn mailbox_bytes(&self) -> usize {
        self.bytes
    }

    /// How many sessions go on.
    pub fn open_session_count(&self) -> usize {
        self.sessions.len() - self.ended.len()
    }

    /// The timers.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Drafts a record: it is applied now, and stored with everything that was drafted since.
    pub(super) fn draft(&mut self, record: Record) {
        self.apply_record(&record);
        self.drafts.records.push(record);
    }

    /// Changes a mailbox, which comes to be if it is not there, and brings what derives from it up to
    /// date.
    pub(super) fn touch<T>(
        &mut self,
        agent: &AgentId,
        at: Timestamp,
        change: impl FnOnce(&mut Mailbox) -> T,
    ) -> T {
        if !self.mailboxes.contains_key(agent) {
            self.mailboxes.insert(agent.clone(), Mailbox::default());
            let idle_at = at.plus_millis(self.settings.mailbox_idle_ms);
            self.timers.arm(Timer::Idle(agent.clone()), Some(idle_at));
        }
        let Some(mailbox) = self.mailboxes.get_mut(agent) else {
            unreachable!("it was put there above")
        };
        let (bytes, ready) = (mailbox.bytes(), mailbox.ready_lanes());
        mailbox.touched = at;
        let result = change(mailbox);
        self.bytes = self.bytes + mailbox.bytes() - bytes;
        self.timers.arm(Timer::Wake(agent.clone()), mailbox.next_wake());
        // Also where others were ready before: somebody may wait for just this lane.
        if mailbox.ready_lanes() > ready {
            self.drafts.ready.push(Hint::Mailbox(agent.clone()));
        }
        result
    }

    /// Brings the timer of a message up to date.
    pub(super) fn arm_entry(&mut self, agent: &AgentId, seq: u64) {
        let entry = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(seq));
        let at = entry.map(super::mailbox::Entry::due);
        self.timers.arm(Timer::Entry(agent.clone(), seq), at);
    }

    /// Brings the timer of a request up to date.
    pub(super) fn arm_request(&mut self, agent: &AgentId, id: &Name) {
        let request = self.mailboxes.get(agent).and_then(|mailbox| mailbox.requests.get(id));
        let at = request.map(|request| request.deadline);
        self.timers.arm(Timer::Request(agent.clone(), id.clone()), at);
    }

    /// Brings the timer of a session up to date.
    pub(super) fn arm_session(&mut self, id: &SessionId) {
        let open = self.sessions.get(id).filter(|talk| talk.is_open());
        let at = open.map(|talk| {
            let held = talk.held_since();
            let held = held.map(|since| since.plus_millis(self.settings.session.max_held_ms));
            held.map_or(talk.idle_at(), |held| held.min(talk.idle_at()))
        });
        self.timers.arm(Timer::Session(id.clone()), at);
    }

    /// A session of this shard.
    pub(super) fn known_session(
        &self,
        id: &SessionId,
    ) -> Result<&Conversation, troupe_domain::Fault> {
        self.sessions.get(id).ok_or_else(|| troupe_domain::Fault::not_found("session", id))
    }

    /// A dead letter's number is its place among those of the shard.
    pub(super) fn number_dead(&mut self) -> u64 {
        self.next_dead += 1;
        self.next_dead - 1
    }

    /// Puts a line of a transcript back.
    pub(super) fn restore_line(
        &mut self,
        id: &SessionId,
        entry: Arc<troupe_domain::session::TranscriptEntry>,
    ) {
        if let Some(talk) = self.sessions.get_mut(id) {
            let before = talk.bytes();
            talk.restore(entry);
            let more = talk.bytes() - before;
            if talk.is_open() {
                self.open_session_bytes += more;
            } else {
                self.ended_session_bytes += more;
            }
        }
    }
}
