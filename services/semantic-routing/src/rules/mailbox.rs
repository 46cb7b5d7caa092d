//! One mailbox: messages that wait for their recipient, and those that are out.
//!
//! Order: each sender has a lane, each session one, and so has what is said to each request: whoever
//! waits for an answer while it has another message of the same sender in its hands gets it. A lane
//! hands its messages out in the order in which they came; while one of them is out no later one is
//! handed out to another pull, so that a message that comes back is not overtaken. Between lanes the
//! most urgent waiting message decides: a lane inherits the urgency of everything that waits in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_domain::session::SessionId;
use troupe_domain::{AgentId, AgentMessage, MessageId, MessageType, Timestamp, TopicPattern};

mod lanes;

use lanes::Lanes;

/// Ended requests that a mailbox remembers, to know a late response.
pub const MAX_ENDED_REQUESTS: usize = 256;

/// What keeps its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKey {
    /// What one sender says.
    Sender(AgentId),
    /// What is said in a session, by whomever.
    Session(SessionId),
    /// What is said to a request: responses, and why there is none.
    Request(MessageId),
}

/// What of a mailbox a pull may get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Everything.
    #[default]
    Everything,
    /// All but what is said to requests: somebody else waits for that.
    NoAnswers,
    /// Only what is said to this request.
    AnswersTo(MessageId),
}

impl LaneKey {
    fn of(message: &AgentMessage) -> Self {
        let ends = matches!(message.kind, MessageType::Response | MessageType::Error);
        match (&message.session, &message.request_id) {
            (Some(session), _) => Self::Session(session.session_id.clone()),
            (None, Some(request)) if ends => Self::Request(request.clone()),
            (None, _) => Self::Sender(message.sender_id.clone()),
        }
    }
}

/// Where a message in a mailbox stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// It waits; after a failed delivery not before a time.
    Queued {
        /// When it may be delivered again.
        not_before: Option<Timestamp>,
    },
    /// Handed out.
    Out {
        /// Since when.
        since: Timestamp,
        /// It comes back then.
        until: Timestamp,
        /// How long its recipient has for it, from one word to the next.
        wait_ms: u64,
        /// The pull that got it.
        pull: Option<String>,
        /// Since when the recipient says that it has seen it.
        read_at: Option<Timestamp>,
    },
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The message.
    pub message: Arc<AgentMessage>,
    /// How often it was handed out.
    pub attempts: u32,
    /// Where it stands.
    pub state: EntryState,
}

impl Entry {
    /// A message that came.
    pub fn new(message: Arc<AgentMessage>) -> Self {
        Self { message, attempts: 0, state: EntryState::Queued { not_before: None } }
    }

    /// Whether it is handed out.
    pub fn is_out(&self) -> bool {
        matches!(self.state, EntryState::Out { .. })
    }

    /// How long it is out by now.
    pub fn out_for_ms(&self, now: Timestamp) -> Option<u64> {
        match self.state {
            EntryState::Queued { .. } => None,
            EntryState::Out { since, .. } => Some(now.millis_since(since)),
        }
    }

    /// When time does something to it.
    pub fn due(&self) -> Timestamp {
        match self.state {
            EntryState::Queued { .. } => self.message.expires_at,
            EntryState::Out { until, .. } => until,
        }
    }
}

/// A request that waits for its response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// Who answers; anybody, and several, where there is none.
    pub responder: Option<AgentId>,
    /// Until when.
    pub deadline: Timestamp,
    /// Responses that came.
    pub answers: u32,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestEnd {
    /// It was answered, by this agent.
    Answered(AgentId),
    /// Its time ran out.
    Expired,
}

/// One mailbox.
#[derive(Debug, Default)]
pub struct Mailbox {
    entries: BTreeMap<u64, Entry>,
    lanes: Lanes,
    by_id: BTreeMap<(MessageId, AgentId), u64>,
    bytes: usize,
    out: usize,
    /// Whether its owner ever came.
    pub opened: bool,
    /// When something last happened that is stored.
    pub touched: Timestamp,
    /// When its owner last looked; not stored.
    pub looked: Timestamp,
    /// The topics that its owner follows.
    pub patterns: BTreeSet<TopicPattern>,
    /// Its owner's requests.
    pub requests: BTreeMap<MessageId, OpenRequest>,
    /// Its owner's former requests, oldest first.
    pub ended: VecDeque<(MessageId, RequestEnd)>,
}

impl Mailbox {
    /// Messages in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Messages that are handed out.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Bytes of its messages, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything would be lost with it.
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.requests.is_empty()
    }

    /// A message by its place.
    pub fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.get(&seq)
    }

    /// Every message, in the order in which they came.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(seq, entry)| (*seq, entry))
    }

    /// The places of the messages with an id; more than one if several senders used it.
    pub fn find(&self, id: &MessageId, sender: Option<&AgentId>) -> Vec<u64> {
        let all = self.by_id.range((id.clone(), first_name())..).take_while(|((i, _), _)| i == id);
        all.filter(|((_, s), _)| sender.is_none_or(|sender| s == sender))
            .map(|(_, seq)| *seq)
            .collect()
    }

    /// Whether a sender's message is in it.
    pub fn has(&self, sender: &AgentId, id: &MessageId) -> bool {
        self.by_id.contains_key(&(id.clone(), sender.clone()))
    }

    /// Puts a message at a place.
    pub fn insert(&mut self, seq: u64, entry: Entry) {
        let message = &entry.message;
        self.by_id.insert((message.id.clone(), message.sender_id.clone()), seq);
        self.bytes += message.weight();
        self.out += usize::from(entry.is_out());
        self.lanes.insert(&LaneKey::of(message), seq, &entry);
        self.entries.insert(seq, entry);
    }

    /// Takes a message out.
    pub fn remove(&mut self, seq: u64) -> Option<Entry> {
        let entry = self.entries.remove(&seq)?;
        let message = &entry.message;
        self.by_id.remove(&(message.id.clone(), message.sender_id.clone()));
        self.bytes -= message.weight();
        self.out -= usize::from(entry.is_out());
        self.lanes.remove(&LaneKey::of(message), seq, &entry);
        Some(entry)
    }

    /// Changes where a message stands.
    pub fn change(&mut self, seq: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.remove(seq) {
            change(&mut entry);
            self.insert(seq, entry);
        }
    }

    /// Lets lanes go on whose wait for another delivery is over.
    pub fn wake(&mut self, now: Timestamp) {
        self.lanes.wake(now);
    }

    /// When the next lane's wait is over.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.lanes.next_wake()
    }

    /// Whether something can be handed out.
    pub fn is_ready(&self) -> bool {
        self.lanes.ready() > 0
    }

    /// Lanes of which something can be handed out.
    pub fn ready_lanes(&self) -> usize {
        self.lanes.ready()
    }

    /// The places to hand out, at most `max` and about `max_bytes`, in order.
    pub fn select(
        &self,
        wanted: &Wanted,
        max: usize,
        max_bytes: usize,
        now: Timestamp,
    ) -> Vec<u64> {
        let mut picked = Vec::new();
        let mut bytes = 0;
        self.lanes.each_ready(wanted, now, |seq| {
            let Some(entry) = self.entries.get(&seq) else { return false };
            // What expires now is its timer's.
            if entry.message.expires_at <= now {
                return true;
            }
            bytes += entry.message.weight();
            if picked.len() >= max || (bytes > max_bytes && !picked.is_empty()) {
                return false;
            }
            picked.push(seq);
            true
        });
        picked
    }

    /// What a pull got and still has, in the order in which it came.
    pub fn got_by(&self, wanted: &str) -> Vec<u64> {
        let got = self.lanes.out().filter(|seq| {
            self.entries.get(seq).is_some_and(|entry| match &entry.state {
                EntryState::Out { pull, .. } => pull.as_deref() == Some(wanted),
                EntryState::Queued { .. } => false,
            })
        });
        let mut got: Vec<u64> = got.collect();
        got.sort_unstable();
        got
    }

    /// A request ended.
    pub fn end_request(&mut self, id: MessageId, end: RequestEnd) {
        self.requests.remove(&id);
        self.ended.retain(|(known, _)| *known != id);
        self.ended.push_back((id, end));
        if self.ended.len() > MAX_ENDED_REQUESTS {
            self.ended.pop_front();
        }
    }

    /// How a request ended.
    pub fn request_end(&self, id: &MessageId) -> Option<&RequestEnd> {
        self.ended.iter().find(|(known, _)| known == id).map(|(_, end)| end)
    }
}

/// A name before every other.
fn first_name() -> AgentId {
    // `-` is the first of the characters that a name may have.
    AgentId::parse("-").unwrap_or_else(|_| unreachable!("`-` is a name"))
}
