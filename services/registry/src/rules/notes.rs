//! Which events a change of an agent means.
//!
//! Invariant: the notes are stored inside the very write that they tell of, and an event's id is made
//! of that write's sequence: whoever sends it, and however often, it is the same event.

use serde::{Deserialize, Serialize};
use troupe_contract::event::AgentEventKind;
use troupe_domain::{Agent, AgentId, AgentStatus, Timestamp};

/// An event to be told, as it is stored with the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub event: AgentEventKind,
    /// The agent's status afterwards.
    pub status: AgentStatus,
    /// When.
    pub at: Timestamp,
    /// Heartbeats missed in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misses: Option<u32>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why an agent changed.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// Whether it declared itself.
    pub declared: bool,
    /// Heartbeats missed in a row.
    pub misses: Option<u32>,
    /// In words.
    pub reason: Option<String>,
}

/// What is to be told when an agent in `before` (unless it is new) becomes `after`.
pub fn of_change(
    before: Option<AgentStatus>,
    after: &Agent,
    cause: &Cause,
    at: Timestamp,
) -> Vec<Note> {
    let note = |event| Note {
        event,
        status: after.status,
        at,
        misses: cause.misses,
        reason: cause.reason.clone(),
    };
    let mut notes = Vec::new();
    if cause.declared {
        notes.push(note(AgentEventKind::AgentRegistered));
    }
    if before.is_some_and(|status| status != after.status) {
        notes.push(note(AgentEventKind::AgentStatusChanged));
        if after.status == AgentStatus::Crashed {
            notes.push(note(AgentEventKind::AgentCrashed));
        }
    }
    notes
}

/// What is to be told when an agent leaves the directory.
pub fn of_removal(last: &Agent, reason: Option<String>, at: Timestamp) -> Vec<Note> {
    let event = AgentEventKind::AgentUnregistered;
    vec![Note { event, status: last.status, at, misses: None, reason }]
}

/// The id of an event that the write at `sequence` tells of.
pub fn event_id(agent: &AgentId, sequence: u64, event: AgentEventKind) -> String {
    format!("agent-{agent}-{sequence}-{}", event.token())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fleet::tests::agent;

    #[test]
    fn a_crash_is_a_change_of_status_and_a_crash() {
        let mut after = agent("a");
        after.status = AgentStatus::Crashed;
        let cause = Cause { misses: Some(6), ..Cause::default() };
        let at = Timestamp::from_millis(5);
        let notes = of_change(Some(AgentStatus::Offline), &after, &cause, at);
        let kinds: Vec<_> = notes.iter().map(|n| n.event).collect();
        assert_eq!(kinds, [AgentEventKind::AgentStatusChanged, AgentEventKind::AgentCrashed]);
        assert_eq!(notes[1].misses, Some(6));
    }

    #[test]
    fn a_first_registration_is_one_event_and_coming_back_is_two() {
        let at = Timestamp::from_millis(5);
        let cause = Cause { declared: true, ..Cause::default() };
        assert_eq!(of_change(None, &agent("a"), &cause, at).len(), 1);
        assert_eq!(of_change(Some(AgentStatus::Offline), &agent("a"), &cause, at).len(), 2);
    }
}
