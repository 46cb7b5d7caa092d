//! The server's side: one stream, exactly as JetStream keeps it.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::time::Instant;

use super::faults::Defect;
use crate::port::{AppendError, Entry, OutgoingEvent};

/// A message with the moment at which it was stored. Kept for checkers even after a purge.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The message.
    pub entry: Entry,
    /// When.
    pub at: Instant,
}

/// An event as it was stored, each time it was.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The event.
    pub event: OutgoingEvent,
    /// When.
    pub at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    last_sequence: u64,
    acknowledged: u64,
    kept: BTreeMap<u64, Entry>,
    pub(super) history: Vec<Stored>,
    pub(super) events: Vec<PublishedEvent>,
    pub(super) defect: Option<Defect>,
    /// The server does not answer before this.
    pub(super) down_until: Option<Instant>,
}

/// Whether `subject` matches `filter`, token by token.
fn matches(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

impl Store {
    pub(super) fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// The last message that matches `filter`, among those up to `bound`.
    pub(super) fn last(&self, filter: &str, bound: u64) -> Option<&Entry> {
        self.kept
            .range(..=bound)
            .rev()
            .map(|(_, entry)| entry)
            .find(|e| matches(filter, &e.subject))
    }

    pub(super) fn store(
        &mut self,
        subject: &str,
        body: Bytes,
        expected: Option<u64>,
    ) -> Result<u64, AppendError> {
        if self.defect != Some(Defect::CasIgnored)
            && let Some(expected) = expected
        {
            let last = self.last(subject, u64::MAX).map_or(0, |entry| entry.sequence);
            if last != expected {
                return Err(AppendError::Conflict);
            }
        }
        self.last_sequence += 1;
        self.acknowledged += 1;
        let sequence = self.last_sequence;
        if let Some(Defect::LosesAcknowledged(every)) = self.defect
            && self.acknowledged.is_multiple_of(every)
        {
            return Ok(sequence);
        }
        let entry = Entry { sequence, subject: subject.to_owned(), body };
        self.history.push(Stored { entry: entry.clone(), at: Instant::now() });
        self.kept.insert(sequence, entry);
        Ok(sequence)
    }

    /// At most `limit` messages that match `filter`, with sequences from `from` to `to`.
    pub(super) fn some(&self, filter: &str, from: u64, to: u64, limit: usize) -> Vec<Entry> {
        let found = self.kept.range(from..=to.max(from)).map(|(_, entry)| entry);
        found
            .filter(|e| e.sequence <= to && matches(filter, &e.subject))
            .take(limit)
            .cloned()
            .collect()
    }

    pub(super) fn purge_below(&mut self, filter: &str, sequence: u64) {
        self.kept.retain(|at, entry| *at >= sequence || !matches(filter, &entry.subject));
    }

    pub(super) fn publish(&mut self, event: &OutgoingEvent) {
        self.events.push(PublishedEvent { event: event.clone(), at: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_sequence_is_that_of_the_very_subject() {
        let mut store = Store::default();
        assert_eq!(store.store("a.b", Bytes::new(), Some(0)), Ok(1));
        assert_eq!(store.store("a.c", Bytes::new(), Some(1)), Err(AppendError::Conflict));
        assert_eq!(store.store("a.c", Bytes::new(), Some(0)), Ok(2));
        assert_eq!(store.store("a.b", Bytes::new(), Some(1)), Ok(3));
        assert_eq!(store.store("a.b", Bytes::new(), Some(1)), Err(AppendError::Conflict));
        store.purge_below("a.b", 4);
        assert_eq!(store.store("a.b", Bytes::new(), Some(0)), Ok(4));
        assert_eq!(store.history.len(), 4);
    }

    #[test]
    fn filters_match_token_by_token() {
        assert!(matches("a.*.c", "a.b.c") && matches("a.>", "a.b.c") && matches("a.b", "a.b"));
        assert!(!matches("a.*", "a.b.c") && !matches("a.>", "a") && !matches("a.b.c", "a.b"));
    }
}
