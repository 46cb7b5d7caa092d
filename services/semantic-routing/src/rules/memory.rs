//! What a shard remembers of the past, all of it bounded: ids of messages, dead letters, the ends of
//! sessions.
//!
//! The bounds are constants and not settings, so that a replay forgets the same.

use std::collections::BTreeMap;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::routing::DeadLetter;
use troupe_domain::{AgentId, MessageId};

/// Ids of messages that one shard remembers; the oldest go first. What is still in a mailbox is known
/// beyond it.
pub const MAX_REMEMBERED_MESSAGES: usize = 200_000;
/// Dead letters of one agent; the oldest go first.
pub const MAX_DEAD_LETTERS_PER_AGENT: usize = 1_000;
/// Dead letters of one shard.
pub const MAX_DEAD_LETTERS: usize = 20_000;
/// Bytes of the dead letters of one shard, about.
pub const MAX_DEAD_BYTES: usize = 64 * 1024 * 1024;
/// Sessions of one shard that ended and can still be read.
pub const MAX_ENDED_SESSIONS: usize = 1_000;
/// Bytes of their transcripts, about.
pub const MAX_ENDED_SESSION_BYTES: usize = 64 * 1024 * 1024;

/// Under what a message is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeenKey {
    /// Whose mailbox it entered; none where it began its way here.
    pub mailbox: Option<AgentId>,
    /// Who sent it.
    pub sender: AgentId,
    /// Its id.
    pub id: MessageId,
}

/// Messages that came before.
#[derive(Debug, Default)]
pub struct Seen {
    known: HashMap<SeenKey, Option<AgentId>>,
    order: VecDeque<SeenKey>,
}

impl Seen {
    /// The recipient of a message that came before; none if it did not come.
    pub fn get(&self, key: &SeenKey) -> Option<&Option<AgentId>> {
        self.known.get(key)
    }

    /// Remembers a message and its recipient.
    pub fn insert(&mut self, key: SeenKey, recipient: Option<AgentId>) {
        if self.known.insert(key.clone(), recipient).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_REMEMBERED_MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&SeenKey, &Option<AgentId>)> {
        self.order.iter().filter_map(|key| self.known.get_key_value(key))
    }
}

/// Dead letters.
#[derive(Debug, Default)]
pub struct DeadLetters {
    all: BTreeMap<u64, Arc<DeadLetter>>,
    by_agent: HashMap<AgentId, BTreeSet<u64>>,
    bytes: usize,
}

fn weight(letter: &DeadLetter) -> usize {
    const FRAME_BYTES: usize = 512;
    FRAME_BYTES + letter.message.as_ref().map_or(0, |message| message.weight())
}

impl DeadLetters {
    /// Keeps one.
    pub fn push(&mut self, letter: Arc<DeadLetter>) {
        let own = self.by_agent.entry(letter.agent_id.clone()).or_default();
        own.insert(letter.number);
        let too_many = own.len() > MAX_DEAD_LETTERS_PER_AGENT;
        let oldest = own.first().copied().filter(|_| too_many);
        self.bytes += weight(&letter);
        self.all.insert(letter.number, letter);
        if let Some(oldest) = oldest {
            self.forget(oldest);
        }
        while self.all.len() > MAX_DEAD_LETTERS || self.bytes > MAX_DEAD_BYTES {
            let Some(oldest) = self.all.keys().next().copied() else { break };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(letter) = self.all.remove(&number) else { return };
        self.bytes -= weight(&letter);
        if let Some(own) = self.by_agent.get_mut(&letter.agent_id) {
            own.remove(&number);
            if own.is_empty() {
                self.by_agent.remove(&letter.agent_id);
            }
        }
    }

    /// Those of one agent after a number, oldest first.
    pub fn of(&self, agent: &AgentId, after: u64) -> impl Iterator<Item = &Arc<DeadLetter>> {
        let own = self.by_agent.get(agent).into_iter();
        own.flat_map(move |own| own.range(after + 1..)).filter_map(|number| self.all.get(number))
    }

    /// How many one agent has.
    pub fn count_of(&self, agent: &AgentId) -> usize {
        self.by_agent.get(agent).map_or(0, BTreeSet::len)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DeadLetter>> {
        self.all.values()
    }
}
