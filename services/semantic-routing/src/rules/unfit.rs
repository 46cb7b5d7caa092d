//! What becomes of an agent's messages when it is no longer fit to have them: what came by intent goes
//! to the next best at once, and what only its owner may read can be read again.
//!
//! Invariant: a message is taken from an agent by removing it from its mailbox, or by making it wait
//! again, in one record. So a late word of the agent finds nothing, or is the end of the one delivery
//! that there was; no second handler's word ever counts beside it.

use serde::{Deserialize, Serialize};
use troupe_domain::{AgentId, Name, Timestamp};

use super::handing_on::MAX_HANDED_ON;
use super::mailbox::{Entry, EntryState};
use super::record::Record;
use super::state::RoutingState;

/// Why an agent should not have what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfitness {
    /// It takes nothing new, and finishes what is in its hands.
    Resting,
    /// Its breaker opened for what is chosen under this key: what it has of that goes to others, but
    /// what nobody else can have it keeps, because it is there and may still do it.
    Failing(Name),
    /// It is not there any more: nothing stays in its hands.
    Gone,
    /// It began a new life then, by the registry's clock: nothing stays in the hands of the former one.
    /// What was handed out in that very millisecond is left to its lease: it may be the new one's.
    Reborn(Timestamp),
}

impl Unfitness {
    /// Whether an agent's message goes to the next best.
    fn passes_on(&self, entry: &Entry) -> bool {
        let Some(key) = &entry.message.routing.route_key else { return false };
        match self {
            Self::Resting => !entry.is_out(),
            Self::Failing(failing) => key == failing,
            Self::Gone => true,
            Self::Reborn(_) => self.drops(entry),
        }
    }

    /// Whether it has a message in its hands that it will say nothing more of.
    fn drops(&self, entry: &Entry) -> bool {
        match (self, &entry.state) {
            (_, EntryState::Queued { .. }) | (Self::Resting | Self::Failing(_), _) => false,
            (Self::Gone, EntryState::Out { .. }) => true,
            (Self::Reborn(at), EntryState::Out { since, .. }) => since < at,
        }
    }
}

impl RoutingState {
    /// Takes from an agent what it should not have. Gives how many messages that were;
    /// [`MAX_HANDED_ON`] if there may be more.
    pub fn take_from(&mut self, agent: &AgentId, why: &Unfitness, now: Timestamp) -> u64 {
        let Some(mailbox) = self.mailboxes.get(agent) else { return 0 };
        let affected: Vec<(u64, bool, bool)> = mailbox
            .entries()
            .map(|(seq, entry)| (seq, why.passes_on(entry), why.drops(entry)))
            .filter(|(_, passes, drops)| *passes || *drops)
            .collect();
        let mut gone = 0;
        let mut back = Vec::new();
        for (seq, passes, drops) in affected {
            // Whoever drops what it has has failed at it; what waited, or is taken from somebody who
            // is there, says nothing of the agent.
            if passes && self.hand_on(agent, seq, drops, now) {
                gone += 1;
            } else if drops && self.may_come_back(agent, seq, now) {
                back.push((seq, now));
            }
            if gone + back.len() >= MAX_HANDED_ON {
                break;
            }
        }
        gone += back.len();
        if !back.is_empty() {
            self.draft(Record::Retrying { at: now, agent: agent.clone(), waits: back });
        }
        gone as u64
    }

    /// Whether a message may be delivered once more. One that may not stays where it is until its lease
    /// ends: until then its holder may still say the end of it.
    fn may_come_back(&self, agent: &AgentId, seq: u64, now: Timestamp) -> bool {
        let entry = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(seq));
        entry.is_some_and(|entry| {
            entry.message.expires_at > now && entry.attempts < self.settings.max_deliver
        })
    }

    /// Whose mailboxes are here, and have something.
    pub fn with_mail(&self) -> Vec<AgentId> {
        let all = self.mailboxes.iter().filter(|(_, mailbox)| !mailbox.is_empty());
        all.map(|(agent, _)| agent.clone()).collect()
    }
}
