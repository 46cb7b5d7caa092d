//! Who waits for messages here: what becomes ready in a mailbox wakes every poll of its owner, because
//! one may wait for the answers to a request and another for anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use troupe_domain::AgentId;

/// Long polls that may wait here at once.
pub const MAX_WAITERS: usize = 16_384;

#[derive(Debug, Default)]
struct Lines {
    next_ticket: u64,
    waiting: usize,
    /// By agent.
    lines: HashMap<AgentId, BTreeMap<u64, Arc<Notify>>>,
}

/// The waiters of a replica.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Lines>);

/// A place in the line; leaving it is dropping it.
#[derive(Debug)]
pub struct Ticket<'a> {
    waiters: &'a Waiters,
    number: u64,
    agent: AgentId,
    /// Notified when something became ready in the agent's mailbox.
    pub called: Arc<Notify>,
}

impl Waiters {
    /// Joins the line; `None` where [`MAX_WAITERS`] already wait.
    pub fn join(&self, agent: &AgentId) -> Option<Ticket<'_>> {
        let mut lines = self.0.lock();
        if lines.waiting >= MAX_WAITERS {
            return None;
        }
        let number = lines.next_ticket;
        lines.next_ticket += 1;
        lines.waiting += 1;
        let called = Arc::new(Notify::new());
        lines.lines.entry(agent.clone()).or_default().insert(number, called.clone());
        Some(Ticket { waiters: self, number, agent: agent.clone(), called })
    }

    /// Wakes the polls of `agent`; false if none waits here.
    pub fn call(&self, agent: &AgentId) -> bool {
        let mut lines = self.0.lock();
        let Some(line) = lines.lines.remove(agent) else { return false };
        lines.waiting -= line.len();
        line.into_values().for_each(|called| called.notify_one());
        true
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.lock().waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut lines = self.waiters.0.lock();
        let Some(line) = lines.lines.get_mut(&self.agent) else { return };
        let waited = line.remove(&self.number).is_some();
        if line.is_empty() {
            lines.lines.remove(&self.agent);
        }
        lines.waiting -= usize::from(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AgentId {
        AgentId::parse(text).unwrap()
    }

    #[tokio::test]
    async fn every_poll_of_the_agent_is_woken_once() {
        let waiters = Waiters::default();
        let other = waiters.join(&name("ann")).unwrap();
        let first = waiters.join(&name("bob")).unwrap();
        let second = waiters.join(&name("bob")).unwrap();
        let left = waiters.join(&name("bob")).unwrap();
        drop(left);
        assert_eq!(waiters.len(), 3);
        assert!(waiters.call(&name("bob")));
        first.called.notified().await;
        second.called.notified().await;
        assert!(!waiters.call(&name("bob")));
        assert_eq!(waiters.len(), 1);
        drop((first, second, other));
        assert!(waiters.is_empty());
    }
}
