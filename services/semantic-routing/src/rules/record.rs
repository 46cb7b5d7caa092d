//! What one shard writes to its log.
//!
//! Each record is whole by itself: whatever must not come apart, such as a message that enters and
//! the word that it came, is one record.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::ingress::Way;
use troupe_contract::routing::{DeadReason, RawMessage};
use troupe_domain::session::SessionId;
use troupe_domain::session::change::Change;
use troupe_domain::session::conversation::Opening;
use troupe_domain::{AgentId, AgentMessage, MessageId, Timestamp, TopicPattern};

/// How something came to a shard. What comes in a numbered way is remembered by its number, so that it
/// counts once however often it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Somebody asked for it.
    Asked,
    /// An agent published it.
    Ingress {
        /// How.
        way: Way,
        /// Its place in that way's stream.
        place: IngressPlace,
    },
    /// Another shard wrote it.
    Letter {
        /// Which.
        from: u16,
        /// Its place among that shard's letters to this one, from 1.
        serial: u64,
    },
}

/// A place in the stream of a way in. A stream that was made anew begins again, after the former one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IngressPlace {
    /// When the stream was made.
    pub stream_made_at: Timestamp,
    /// The sequence in it.
    pub sequence: u64,
}

/// Who must learn of a message in other shards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Onward {
    /// Nobody.
    #[default]
    Nobody,
    /// These agents. Those of this shard get nothing by it: where they take the message, `to` says so.
    Agents(Vec<AgentId>),
    /// Whoever follows the message's topic; or everybody, with those agents that have no mailbox yet.
    Everywhere(Vec<AgentId>),
}

impl Onward {
    fn is_nobody(&self) -> bool {
        *self == Self::Nobody
    }
}

/// A message and what becomes of it here and elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Post {
    /// The message.
    pub message: Arc<AgentMessage>,
    /// The mailboxes of this shard that it enters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<AgentId>,
    /// The mailboxes of this shard that do not take it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// Who must learn of it elsewhere.
    #[serde(default, skip_serializing_if = "Onward::is_nobody")]
    pub onward: Onward,
    /// Whether the sender's open request begins here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expects: bool,
}

/// Why a mailbox does not take a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose mailbox.
    pub agent: AgentId,
    /// Why, for a program.
    pub reason: DeadReason,
    /// Why, in words.
    pub why: String,
}

/// A dead letter to be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Burial {
    /// In whose view.
    pub agent: AgentId,
    /// Why, for a program.
    pub reason: DeadReason,
    /// Why, in words.
    pub why: String,
    /// How often it was delivered.
    pub attempts: u32,
    /// Who sent it.
    pub sender: AgentId,
    /// The message, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<AgentMessage>>,
    /// What came, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawMessage>,
}

/// A message that leaves its mailbox for the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Its place in the mailbox.
    pub seq: u64,
    /// Why, for a program.
    pub reason: DeadReason,
    /// Why, in words.
    pub why: String,
}

/// One thing that happened in a shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // `at` is when, `agent` whose mailbox, `seqs` places in it, `posts` what is sent
pub enum Record {
    /// A message came; with what is sent because of it.
    Entered { at: Timestamp, source: Source, posts: Vec<Post> },
    /// Something came that nobody gets.
    Refused { at: Timestamp, source: Source, burial: Burial, posts: Vec<Post> },
    /// Something came and changes nothing: it was there before, or nobody wants it.
    Passed { source: Source },
    /// Another shard lets a sender know what became of its message.
    Buried { at: Timestamp, source: Source, burial: Burial },
    /// The owner of a mailbox came for the first time.
    Opened { at: Timestamp, agent: AgentId },
    /// An agent follows topics.
    Followed { at: Timestamp, agent: AgentId, patterns: Vec<TopicPattern> },
    /// An agent follows topics no more.
    Unfollowed { at: Timestamp, agent: AgentId, patterns: Vec<TopicPattern> },
    /// Messages were handed out for so long. Those that need no acknowledgement are done.
    Pulled { at: Timestamp, agent: AgentId, seqs: Vec<u64>, wait_ms: u64, pull: Option<String> },
    /// The recipient has seen messages and works on them: the wait of each begins anew.
    Read { at: Timestamp, agent: AgentId, seqs: Vec<u64> },
    /// Messages are done.
    Acknowledged { at: Timestamp, agent: AgentId, seqs: Vec<u64> },
    /// Messages wait for another delivery, each from its time on.
    Retrying { at: Timestamp, agent: AgentId, waits: Vec<(u64, Timestamp)> },
    /// Messages will not be delivered again.
    Died { at: Timestamp, agent: AgentId, deaths: Vec<Death>, posts: Vec<Post> },
    /// A message was handed on; maybe because its delivery failed.
    Forwarded {
        at: Timestamp,
        agent: AgentId,
        seq: u64,
        #[serde(default)]
        failed: bool,
        posts: Vec<Post>,
    },
    /// A request of `agent` waits for its response; from `responder`, or from anybody.
    Expected {
        at: Timestamp,
        source: Source,
        agent: AgentId,
        request_id: MessageId,
        responder: Option<AgentId>,
        deadline: Timestamp,
    },
    /// A request's time is over; whether anybody answered.
    RequestEnded {
        at: Timestamp,
        agent: AgentId,
        request_id: MessageId,
        answered: bool,
        posts: Vec<Post>,
    },
    /// A session begins.
    SessionOpened { at: Timestamp, opening: Opening, posts: Vec<Post> },
    /// Something happened in a session.
    SessionChanged {
        at: Timestamp,
        id: SessionId,
        changes: Vec<Change>,
        posts: Vec<Post>,
        burials: Vec<Burial>,
    },
    /// Letters arrived: for each shard, up to this serial.
    Delivered { letters: Vec<(u16, u64)> },
    /// Mailboxes that nobody used were let go of.
    Forgotten { agents: Vec<AgentId> },
}

/// What a shard tells another. Each is carried out once, because it is numbered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterContent {
    /// A message for these agents.
    Deliver {
        /// The message.
        message: Arc<AgentMessage>,
        /// The agents.
        to: Vec<AgentId>,
    },
    /// A message for whoever follows its topic, or for everybody and these agents.
    Spread {
        /// The message.
        message: Arc<AgentMessage>,
        /// Agents that may have no mailbox yet.
        audience: Vec<AgentId>,
    },
    /// A request waits for its response.
    Expect {
        /// Whose.
        agent: AgentId,
        /// Which.
        request_id: MessageId,
        /// From whom; from anybody where there is none.
        responder: Option<AgentId>,
        /// Until when.
        deadline: Timestamp,
    },
    /// A dead letter for somebody's view.
    Bury(Box<Burial>),
}

impl LetterContent {
    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        const NAME_BYTES: usize = 32;
        match self {
            Self::Deliver { message, to: names } | Self::Spread { message, audience: names } => {
                message.weight() + names.len() * NAME_BYTES
            }
            Self::Expect { .. } => 128,
            Self::Bury(burial) => 256 + burial.message.as_ref().map_or(0, |m| m.weight()),
        }
    }
}
