//! Events that travel together: one message for what happened at about the same time.
//!
//! Invariants: the events of one entity keep their order, within a message and from one to the next;
//! a message holds events of one subject and is bounded; what is kept on a subject of its own comes
//! behind all events that went before it.

use std::collections::HashMap;
use std::io::Write;

use bytes::Bytes;
use troupe_contract::event::SPEC_VERSION;

use crate::port::OutgoingEvent;

/// Events in one message.
pub const MAX_EVENTS_PER_MESSAGE: usize = 256;
/// A message is not made larger than this by adding an event to it.
pub const MAX_SHARED_MESSAGE_BYTES: usize = 128 * 1024;
/// Bytes of the attributes of an event, about.
const ATTRIBUTE_BYTES: usize = 384;
/// Room that a message starts with.
const FIRST_BYTES: usize = 4 * 1024;

/// One message on its way to the stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) body: Bytes,
}

/// A message that more may be added to.
struct Open<'a> {
    subject: &'a str,
    body: Vec<u8>,
    events: usize,
}

/// The messages of `events`, in the order in which they must be stored.
pub(crate) fn messages(source: &str, events: &[OutgoingEvent]) -> Vec<Message> {
    let mut open: Vec<Open<'_>> = Vec::new();
    // The newest message of each subject, and the newest that each entity is in.
    let mut newest: HashMap<&str, usize> = HashMap::new();
    let mut latest: HashMap<&str, usize> = HashMap::new();
    for event in events {
        let earliest = latest.get(&*event.entity_id).copied().unwrap_or(0);
        let fits = |place: &usize| *place >= earliest && open[*place].takes(event);
        let place = newest.get(&*event.subject).copied().filter(fits).unwrap_or_else(|| {
            open.push(Open::of(event));
            open.len() - 1
        });
        newest.insert(&event.subject, place);
        latest.insert(&event.entity_id, place);
        open[place].add(source, event);
    }
    let mut messages: Vec<Message> = open.into_iter().map(Open::close).collect();
    let kept = events.iter().filter_map(|event| {
        Some(Message { subject: event.kept_on.clone()?, body: event.body.clone() })
    });
    messages.extend(kept);
    messages
}

/// A message with this event alone.
pub(crate) fn alone(source: &str, event: &OutgoingEvent) -> Message {
    let mut open = Open::of(event);
    open.add(source, event);
    open.close()
}

impl<'a> Open<'a> {
    fn of(event: &'a OutgoingEvent) -> Self {
        let room = FIRST_BYTES.max(event.body.len() + ATTRIBUTE_BYTES);
        Self { subject: &event.subject, body: Vec::with_capacity(room), events: 0 }
    }

    fn takes(&self, event: &OutgoingEvent) -> bool {
        self.events < MAX_EVENTS_PER_MESSAGE
            && self.body.len() + event.body.len() + ATTRIBUTE_BYTES <= MAX_SHARED_MESSAGE_BYTES
    }

    fn add(&mut self, source: &str, event: &OutgoingEvent) {
        self.body.push(if self.events == 0 { b'[' } else { b',' });
        self.events += 1;
        write(&mut self.body, source, event);
    }

    fn close(mut self) -> Message {
        self.body.push(b']');
        Message { subject: self.subject.to_owned(), body: self.body.into() }
    }
}

/// Writes one event: its data is JSON already, and its attributes are short.
fn write(body: &mut Vec<u8>, source: &str, event: &OutgoingEvent) {
    let mut attribute = |name: &str, value: &str| {
        body.extend_from_slice(name.as_bytes());
        // A vector takes everything, and a text always serialises.
        let _ = serde_json::to_writer(&mut *body, value);
    };
    attribute(r#"{"specversion":"#, SPEC_VERSION);
    attribute(r#","id":"#, &event.id);
    attribute(r#","source":"#, source);
    attribute(r#","type":"#, &event.kind);
    attribute(r#","subject":"#, &event.entity_id);
    if let Some(trace) = &event.trace {
        attribute(r#","traceparent":"#, &trace.traceparent);
        if let Some(state) = &trace.tracestate {
            attribute(r#","tracestate":"#, state);
        }
    }
    let _ = write!(body, r#","time":"{}","data":"#, event.at);
    body.extend_from_slice(if event.body.is_empty() { b"null" } else { &event.body });
    body.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use troupe_contract::event::decode;
    use troupe_domain::{Timestamp, TraceContext};

    use super::*;

    fn event(number: usize, entity: &str, kind: &str, bytes: usize) -> OutgoingEvent {
        OutgoingEvent {
            subject: format!("troupe.v1.event.task.{kind}"),
            id: format!("work-0-{number}-0"),
            kind: format!("troupe.task.{kind}.v1"),
            entity_id: entity.to_owned(),
            at: Timestamp::from_millis(1_000),
            trace: None,
            body: format!(r#"{{"n":{number},"x":"{}"}}"#, "x".repeat(bytes)).into(),
            kept_on: (kind == "task_completed")
                .then(|| format!("troupe.v1.archive.agent.{entity}")),
            told_on: None,
        }
    }

    fn numbers(message: &Message) -> Vec<usize> {
        let events = decode::<Value>(&message.body).unwrap();
        events.iter().map(|event| event.data["n"].as_u64().unwrap() as usize).collect()
    }

    #[test]
    fn events_of_a_kind_travel_together() {
        let kinds = ["task_created", "task_claimed", "task_completed"];
        let events: Vec<_> =
            (0..30).map(|n| event(n, &format!("t{}", n / 3), kinds[n % 3], 10)).collect();
        let messages = messages("/troupe/work", &events);
        let (shared, kept): (Vec<_>, Vec<_>) =
            messages.iter().partition(|m| m.subject.starts_with("troupe.v1.event."));
        assert_eq!(shared.len(), 3);
        assert_eq!(numbers(shared[0]), (0..30).step_by(3).collect::<Vec<_>>());
        assert_eq!(kept.len(), 10);
        assert_eq!(kept[0].subject, "troupe.v1.archive.agent.t0");
        assert_eq!(kept[0].body, events[2].body);
    }

    #[test]
    fn attributes_are_read_back() {
        let trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
        let trace = TraceContext::parse(trace, Some("a=b")).unwrap();
        let sent = OutgoingEvent { trace: Some(trace.clone()), ..event(7, "t", "task_dead", 0) };
        let message = alone("/troupe/work", &sent);
        let read = &decode::<Value>(&message.body).unwrap()[0];
        assert_eq!((&*read.id, &*read.kind), (&*sent.id, &*sent.kind));
        assert_eq!((&*read.source, &*read.subject, read.time), ("/troupe/work", "t", sent.at));
        assert_eq!(read.trace(), Some(trace));
    }

    proptest! {
        #[test]
        fn an_entity_keeps_its_order_and_messages_their_bounds(
            told in prop::collection::vec((0..5_usize, 0..4_usize, prop::sample::select(vec![0, 50, 40_000, 200_000])), 0..60),
            many in prop::bool::ANY,
        ) {
            let mut events: Vec<_> = told
                .iter()
                .enumerate()
                .map(|(n, (entity, kind, size))| event(n, &format!("e{entity}"), &format!("k{kind}"), *size))
                .collect();
            if many {
                events.extend((1_000..1_600).map(|n| event(n, &format!("m{n}"), "k0", 1)));
            }
            let messages = messages("/troupe/work", &events);
            let mut order: Vec<usize> = Vec::new();
            for message in &messages {
                let numbers = numbers(message);
                prop_assert!(!numbers.is_empty() && numbers.len() <= MAX_EVENTS_PER_MESSAGE);
                prop_assert!(numbers.len() == 1 || message.body.len() <= MAX_SHARED_MESSAGE_BYTES + 1);
                order.extend(numbers);
            }
            let mut all: Vec<usize> = order.clone();
            all.sort_unstable();
            let mut sent: Vec<usize> = (0..told.len()).collect();
            sent.extend((1_000..1_600).filter(|_| many));
            prop_assert_eq!(all, sent);
            for entity in 0..5 {
                let of = |n: &&usize| told.get(**n).is_some_and(|told| told.0 == entity);
                prop_assert!(order.iter().filter(of).is_sorted());
            }
        }
    }
}
