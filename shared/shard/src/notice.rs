//! Notices: events as they are derived from what happened, before they have a place in the log.

use bytes::Bytes;
use troupe_bus::port::OutgoingEvent;
use troupe_contract::{Service, subject};
use troupe_domain::{AgentId, Name, Timestamp, TraceContext};

/// An event without its id: the id is the place in the log of what caused it.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The token of the kind of thing that it is about.
    pub entity: &'static str,
    /// About which.
    pub id: Name,
    /// The token of what happened.
    pub event: &'static str,
    /// When.
    pub at: Timestamp,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// The data, JSON.
    pub body: Bytes,
    /// The agent whose hands it takes something out of, who is to know at once.
    pub told: Option<AgentId>,
}

impl Notice {
    /// The event, now that its place is known: the notice `index` of the batch at `sequence`.
    pub fn into_event(
        self,
        service: Service,
        shard: u16,
        sequence: u64,
        index: usize,
    ) -> OutgoingEvent {
        let Self { entity, id, event, at, trace, body, told } = self;
        OutgoingEvent {
            subject: subject::event(entity, event),
            id: format!("{}-{shard}-{sequence}-{index}", service.token()),
            kind: ["troupe.", entity, ".", event, ".v1"].concat(),
            entity_id: id.as_str().to_owned(),
            at,
            trace,
            body,
            kept_on: None,
            told_on: told.map(|holder| subject::hold(&holder, &id)),
        }
    }
}
