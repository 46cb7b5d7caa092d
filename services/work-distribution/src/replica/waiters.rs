//! Who waits for work here: each task that becomes claimable wakes one waiter that fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use troupe_domain::task::rules::Profile;

use crate::rules::queue::Need;

/// Long polls that may wait here at once.
pub const MAX_WAITERS: usize = 16_384;

#[derive(Debug)]
struct Line {
    profile: Arc<Profile>,
    tickets: BTreeMap<u64, Arc<Notify>>,
}

#[derive(Debug, Default)]
struct Lines {
    next_ticket: u64,
    waiting: usize,
    /// Waiters with the same profile stand in one line, so that the cost of a wake-up grows with
    /// the number of distinct profiles.
    lines: Vec<Line>,
}

/// The waiters of a replica.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Lines>);

/// A place in the line; leaving it is dropping it.
#[derive(Debug)]
pub struct Ticket<'a> {
    waiters: &'a Waiters,
    number: u64,
    profile: Arc<Profile>,
    /// Notified when a task that fits became claimable.
    pub called: Arc<Notify>,
}

impl Waiters {
    /// Joins the line; `None` where [`MAX_WAITERS`] already wait.
    pub fn join(&self, profile: &Arc<Profile>) -> Option<Ticket<'_>> {
        let mut lines = self.0.lock();
        if lines.waiting >= MAX_WAITERS {
            return None;
        }
        let number = lines.next_ticket;
        lines.next_ticket += 1;
        lines.waiting += 1;
        let called = Arc::new(Notify::new());
        if let Some(line) = lines.lines.iter_mut().find(|line| *line.profile == **profile) {
            line.tickets.insert(number, called.clone());
        } else {
            let tickets = BTreeMap::from([(number, called.clone())]);
            lines.lines.push(Line { profile: profile.clone(), tickets });
        }
        Some(Ticket { waiters: self, number, profile: profile.clone(), called })
    }

    /// Wakes the waiter that has waited longest of those who fit; false if nobody does.
    pub fn offer(&self, need: &Need) -> bool {
        let mut lines = self.0.lock();
        let line = lines
            .lines
            .iter_mut()
            .filter(|line| !line.tickets.is_empty() && need.is_met_by(&line.profile))
            .min_by_key(|line| line.tickets.first_key_value().map(|(ticket, _)| *ticket));
        match line.and_then(|line| line.tickets.pop_first()) {
            Some((_, called)) => {
                lines.waiting -= 1;
                called.notify_one();
                true
            }
            None => false,
        }
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
        let Some(index) = lines.lines.iter().position(|line| *line.profile == *self.profile) else {
            return;
        };
        if lines.lines[index].tickets.remove(&self.number).is_some() {
            lines.waiting -= 1;
        }
        if lines.lines[index].tickets.is_empty() {
            lines.lines.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_domain::{Capability, Name};

    fn profile(role: &str, capability: &str) -> Arc<Profile> {
        Arc::new(Profile {
            role: Name::parse(role).unwrap(),
            capabilities: vec![Capability::new(Name::parse(capability).unwrap(), 0.9)],
        })
    }

    #[tokio::test]
    async fn the_longest_waiter_that_fits_is_woken_and_nobody_twice() {
        let waiters = Waiters::default();
        let auditor = waiters.join(&profile("auditor", "audit")).unwrap();
        let first = waiters.join(&profile("implementer", "rust")).unwrap();
        let second = waiters.join(&profile("implementer", "rust")).unwrap();
        let need = Need { role: Some(Name::parse("implementer").unwrap()), capabilities: vec![] };
        assert!(waiters.offer(&need));
        first.called.notified().await;
        drop(second);
        assert!(!waiters.offer(&need));
        assert_eq!(waiters.len(), 1);
        drop(auditor);
        assert!(waiters.is_empty());
    }
}
