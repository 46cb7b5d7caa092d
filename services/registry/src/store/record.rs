//! One stored version of an agent, as bytes.
//!
//! Invariant: the record holds the events that the write means, so that whoever reads it can tell
//! them if its writer died first; and it names its write, so that a writer that got no answer can see
//! whether it was stored.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use troupe_bus::port::{Entry, OutgoingEvent};
use troupe_contract::event::{self, AgentEvent, AgentEventKind};
use troupe_contract::subject;
use troupe_domain::{Agent, Fault, Name, Timestamp, TraceContext};

use crate::rules::declare::MAX_AGENT_BYTES;
use crate::rules::fleet::{Registration, Told, Version};
use crate::rules::notes::{self, Note};

/// For how long a stored event may be told again: its id is remembered by the event stream for 120 s.
pub const EVENT_RESEND_WINDOW_MS: u64 = 100_000;
/// Earlier notes that a record carries on.
const MAX_CARRIED_NOTES: usize = 16;

/// What is stored on an agent's subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The agent; its last state if it was removed.
    pub agent: Agent,
    /// Whether it left the directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// When this was written.
    pub at: Timestamp,
    /// The replica that wrote it.
    pub writer: Name,
    /// The operation that wrote it.
    pub write_id: Name,
    /// What this write means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What the writes shortly before meant: this one took their place in the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<Told>,
    /// The registration of the agent's present life.
    pub registration: Registration,
    /// The trace that the write belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl Record {
    /// The bytes; a fault if the agent is too large.
    pub fn encode(&self) -> Result<Bytes, Fault> {
        let body = serde_json::to_vec(self).map_err(|why| Fault::invalid("body", why))?;
        if body.len() > MAX_AGENT_BYTES {
            return Err(Fault::exhausted("MAX_AGENT_BYTES", MAX_AGENT_BYTES));
        }
        Ok(body.into())
    }

    /// Reads an entry. The agent's id is that of the subject, or the record is not one.
    pub fn decode(entry: &Entry) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(&entry.body).map_err(|why| why.to_string())?;
        let wanted = subject::agent_state(&record.agent.id);
        if entry.subject != wanted {
            return Err(format!("it is about {}", record.agent.id));
        }
        Ok(record)
    }

    /// The version that this is at `sequence`.
    pub fn version(&self, sequence: u64, bytes: usize) -> Version {
        Version {
            sequence,
            agent: Arc::new(self.agent.clone()),
            removed: self.removed,
            at: self.at,
            bytes,
            registration: self.registration.clone(),
            told: self.told(sequence).into(),
        }
    }

    /// The notes of this write at `sequence`, after those that it carries on.
    pub fn told(&self, sequence: u64) -> Vec<Told> {
        let own = self.notes.iter().map(|note| Told { sequence, note: note.clone() });
        self.carried.iter().cloned().chain(own).collect()
    }
}

/// The part of `told` that may still be told again at `now`.
pub fn carried_on(told: &[Told], now: Timestamp) -> Vec<Told> {
    let young = told.iter().filter(|t| now.millis_since(t.note.at) < EVENT_RESEND_WINDOW_MS);
    let mut young: Vec<Told> = young.cloned().collect();
    young.drain(..young.len().saturating_sub(MAX_CARRIED_NOTES));
    young
}

/// The event that a note is, about `agent`.
pub fn event_of(told: &Told, agent: &Agent, trace: Option<TraceContext>) -> OutgoingEvent {
    let id = notes::event_id(&agent.id, told.sequence, told.note.event);
    outgoing(id, &told.note, &agent.id, Some(Box::new(agent.clone())), trace)
}

/// The event that a heartbeat did not come: not stored anywhere, so its id is its own.
pub fn missed_event(agent: &Agent, misses: u32, at: Timestamp, id: ulid::Ulid) -> OutgoingEvent {
    let event = AgentEventKind::HeartbeatMissed;
    let note = Note { event, status: agent.status, at, misses: Some(misses), reason: None };
    outgoing(format!("agent-{}-{id}-{}", agent.id, event.token()), &note, &agent.id, None, None)
}

fn outgoing(
    id: String,
    note: &Note,
    agent_id: &Name,
    agent: Option<Box<Agent>>,
    trace: Option<TraceContext>,
) -> OutgoingEvent {
    let token = note.event.token();
    let data = AgentEvent {
        event: note.event,
        agent_id: agent_id.clone(),
        status: note.status,
        at: note.at,
        misses: note.misses,
        reason: note.reason.clone(),
        agent,
    };
    let event = OutgoingEvent::new(event::AGENT, agent_id, token, id, note.at, &data);
    // Replicas look there whether the event was told.
    let kept_on = Some(subject::archive(event::AGENT, agent_id));
    OutgoingEvent { trace, kept_on, ..event }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fleet::tests::agent;
    use crate::rules::notes::{Cause, of_change};

    fn record(at: i64) -> Record {
        let at = Timestamp::from_millis(at);
        let cause = Cause { declared: true, ..Cause::default() };
        let name = |text: &str| Name::parse(text).unwrap();
        Record {
            agent: agent("a"),
            removed: false,
            at,
            writer: name("r"),
            write_id: name("w"),
            notes: of_change(None, &agent("a"), &cause, at),
            carried: Vec::new(),
            registration: Registration { command_id: None, created: true },
            trace: None,
        }
    }

    fn entry(subject: &str, record: &Record) -> Entry {
        Entry { sequence: 7, subject: subject.to_owned(), body: record.encode().unwrap() }
    }

    #[test]
    fn a_record_survives_and_stands_only_on_its_own_subject() {
        let read = Record::decode(&entry("troupe.v1.state.agent.a", &record(1))).unwrap();
        assert_eq!((read.agent, read.notes.len()), (agent("a"), 1));
        assert!(Record::decode(&entry("troupe.v1.state.agent.b", &record(1))).is_err());
    }

    #[test]
    fn notes_are_carried_on_while_their_ids_are_remembered() {
        let told = record(1_000).told(7);
        let soon = Timestamp::from_millis(2_000);
        let late = soon.plus_millis(EVENT_RESEND_WINDOW_MS);
        assert_eq!(carried_on(&told, soon).len(), 1);
        assert_eq!(carried_on(&told, late).len(), 0);
        let many: Vec<Told> = std::iter::repeat_n(told[0].clone(), 40).collect();
        assert_eq!(carried_on(&many, soon).len(), MAX_CARRIED_NOTES);
        assert_eq!(event_of(&told[0], &agent("a"), None).id, "agent-a-7-agent_registered");
    }
}
