//! Timers: what must be looked at when, derived from the state.
//!
//! Nothing about a timer is stored: whoever takes a shard over derives them anew, and what is overdue
//! fires at once.

use std::collections::{BTreeSet, HashMap};

use troupe_domain::session::SessionId;
use troupe_domain::{AgentId, MessageId, Timestamp};

/// What a timer is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A message in a mailbox expires, or comes back.
    Entry(AgentId, u64),
    /// A lane of a mailbox may go on.
    Wake(AgentId),
    /// A request has waited for long enough.
    Request(AgentId, MessageId),
    /// A mailbox may not be needed any more.
    Idle(AgentId),
    /// A session may end, or a turn has waited for long enough.
    Session(SessionId),
}

/// All timers of a shard.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeSet<(Timestamp, Timer)>,
    armed: HashMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets a timer, or takes it away.
    pub fn arm(&mut self, timer: Timer, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.armed.insert(timer.clone(), at),
            None => self.armed.remove(&timer),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.queue.remove(&(before, timer.clone()));
        }
        if let Some(at) = at {
            self.queue.insert((at, timer));
        }
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// What is due at `now`, at most `limit`; each stays until what it is about changes.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<Timer> {
        let due = self.queue.iter().take_while(|(at, _)| *at <= now).take(limit);
        due.map(|(_, timer)| timer.clone()).collect()
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Every timer with its time.
    pub fn iter(&self) -> impl Iterator<Item = &(Timestamp, Timer)> {
        self.queue.iter()
    }
}
