//! How many messages wait in an agent's mailbox.
//!
//! Invariant: an agent that may have mail is counted exactly, from the stream; one for whom nothing
//! was ever heard costs nothing. Everything is counted once at the start and after every gap in the
//! listening, because a message could have come unheard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use troupe_bus::log::StreamLog;
use troupe_bus::port::ReadError;
use troupe_contract::subject;
use troupe_domain::{AgentId, Name};

/// Agents that may have mail and are remembered; past that, every one is counted.
pub const MAX_REMEMBERED_MAILBOXES: usize = 100_000;
/// How long a heartbeat waits for the count.
const COUNT_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a message that was heard may take to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Known {
    /// When a message for the agent was last heard.
    maybe: HashMap<AgentId, Instant>,
    /// Whether everything was counted since the last gap, and fits.
    complete: bool,
}

/// The mailboxes' stream, as a counter.
#[derive(Debug, Clone)]
pub struct Mailboxes {
    log: StreamLog,
    known: Arc<Mutex<Known>>,
}

impl Mailboxes {
    /// A counter over the mailboxes' stream.
    pub fn new(log: StreamLog) -> Self {
        Self { log, known: Arc::default() }
    }

    /// The subjects of all mailboxes.
    pub fn subjects() -> String {
        format!("{}.agent.*.inbox.*", subject::PREFIX)
    }

    /// A message went to `subject` just now.
    pub fn heard(&self, subject: &str) {
        let Some(id) = recipient(subject) else { return };
        let mut known = self.known.lock();
        if known.maybe.len() < MAX_REMEMBERED_MAILBOXES || known.maybe.contains_key(&id) {
            known.maybe.insert(id, Instant::now());
        } else {
            known.complete = false;
        }
    }

    /// Messages may have come unheard: until they are counted, every agent may have mail.
    pub fn lost_track(&self) {
        self.known.lock().complete = false;
    }

    /// Counts all mailboxes.
    pub async fn recount(&self) -> Result<(), ReadError> {
        let counts = self.log.count(&Self::subjects()).await?;
        let mut known = self.known.lock();
        let now = Instant::now();
        for (subject, _) in counts {
            if let Some(id) = recipient(&subject) {
                known.maybe.insert(id, now);
            }
        }
        known.complete = known.maybe.len() <= MAX_REMEMBERED_MAILBOXES;
        Ok(())
    }

    /// Messages that wait for `id`; `None` if nobody could tell in time.
    pub async fn pending(&self, id: &AgentId) -> Option<u64> {
        {
            let known = self.known.lock();
            if known.complete && !known.maybe.contains_key(id) {
                return Some(0);
            }
        }
        let counts = timeout(COUNT_TIMEOUT, self.log.count(&subject::mailbox(id))).await;
        let pending = counts.ok()?.ok()?.iter().map(|(_, count)| *count as u64).sum();
        let mut known = self.known.lock();
        if pending == 0 && known.maybe.get(id).is_some_and(|at| at.elapsed() > STORED_WITHIN) {
            known.maybe.remove(id);
        }
        Some(pending)
    }
}

/// The agent of `troupe.v1.agent.<recipient>.inbox.<sender>`.
fn recipient(subject: &str) -> Option<AgentId> {
    Name::parse(subject.split('.').nth(3)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_is_read_from_the_subject_that_the_contract_makes() {
        let id = Name::parse("me").unwrap();
        assert_eq!(recipient(&subject::mailbox(&id)), Some(id));
    }
}
