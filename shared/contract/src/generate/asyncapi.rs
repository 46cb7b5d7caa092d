//! The AsyncAPI 3.0.0 document: what Troupe's services receive, answer and send.
//!
//! Written from the services' side: they `receive` requests and `send` events. Agents' own messages
//! are there because a client needs their subjects; `x-carried` says what happens to each today.

use serde_json::{Map, Value, json};

use super::agent_messages::{self, AgentMessage};
use super::object_subjects::{self, ObjectSubject};
use super::schemas::{Bundle, EndpointSchemas, EventSchemas};
use super::{operation_address, sorted_json};
use crate::endpoint::Audience;
use crate::subject;
use crate::{event, headers};

/// The queue group of the NATS services protocol (ADR-32): any replica answers.
const QUEUE_GROUP: &str = "q";
const BINDING_VERSION: &str = "0.1.0";

/// The parts of the document that grow with the catalogue.
#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

/// The document.
pub fn asyncapi() -> String {
    let bundle = Bundle::for_asyncapi();
    let mut parts = Parts::default();
    parts.messages.insert("fault".to_owned(), fault(&bundle));
    for endpoint in &bundle.endpoints {
        parts.endpoint(endpoint);
    }
    for EventSchemas { entry, data } in &bundle.events {
        for (kind, summary) in &entry.kinds {
            parts.event(entry.entity, kind, summary, data);
        }
    }
    for message in &agent_messages::ALL {
        parts.agent_message(message);
    }
    for told in &object_subjects::all() {
        parts.object_subject(told);
    }
    sorted_json::text(&json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Troupe",
            "version": "1.0.0",
            "description": "The coordination plane for fleets of AI agents, over NATS. Identity is \
                the last token of a subject, bound to the credentials by NATS permissions.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {
            "host": "localhost:4222",
            "protocol": "nats",
            "description": "nats-server 2.14 or newer, with JetStream.",
        }},
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {"messages": parts.messages, "schemas": bundle.definitions},
    }))
}

impl Parts {
    fn endpoint(&mut self, endpoint: &EndpointSchemas) {
        let EndpointSchemas { entry, request, reply } = endpoint;
        let id = format!("{}.{}", entry.service.token(), entry.operation);
        let (asked, answered) = (format!("{id}.request"), format!("{id}.reply"));
        self.messages.insert(
            asked.clone(),
            json!({
                "name": asked,
                "title": format!("Request of {id}"),
                "summary": entry.summary,
                "headers": request_headers(),
                "payload": request,
            }),
        );
        self.messages.insert(
            answered.clone(),
            json!({
                "name": answered,
                "title": format!("Reply of {id}"),
                "headers": trace_headers(),
                "payload": reply,
            }),
        );
        self.channels.insert(
            id.clone(),
            json!({
                "address": operation_address(entry),
                "title": id,
                "summary": entry.summary,
                "parameters": {"caller": {"description": "The name in the caller's credentials."}},
                "messages": {"request": component("messages", &asked)},
            }),
        );
        self.channels.insert(
            answered.clone(),
            json!({
                "address": null,
                "title": format!("The reply of {id}"),
                "description": "The reply subject of the request, under the caller's own inbox \
                                `_INBOX.{caller}.>`.",
                "messages": {
                    "reply": component("messages", &answered),
                    "fault": component("messages", "fault"),
                },
            }),
        );
        let audience = match entry.audience {
            Audience::Everyone => "everyone",
            Audience::Services => "services",
        };
        self.operations.insert(
            id.clone(),
            json!({
                "action": "receive",
                "summary": entry.summary,
                "channel": channel(&id),
                "messages": [message_of(&id, "request")],
                "reply": {
                    "channel": channel(&answered),
                    "messages": [message_of(&answered, "reply"), message_of(&answered, "fault")],
                },
                "bindings": {"nats": {"queue": QUEUE_GROUP, "bindingVersion": BINDING_VERSION}},
                "x-service": entry.service.full_name(),
                "x-audience": audience,
            }),
        );
    }

    fn event(&mut self, entity: &str, kind: &str, summary: &str, data: &Value) {
        let id = format!("event.{entity}.{kind}");
        let data = json!({
            "allOf": [data, {"type": "object", "properties": {"event": {"const": kind}}}],
        });
        self.messages.insert(
            id.clone(),
            json!({
                "name": id,
                "title": kind,
                "summary": summary,
                "contentType": event::BATCH_CONTENT_TYPE,
                "payload": event::batch_schema(&format!("troupe.{entity}.{kind}.v1"), &data),
            }),
        );
        self.channels.insert(
            id.clone(),
            json!({
                "address": subject::event(entity, kind),
                "title": kind,
                "summary": summary,
                "messages": {"event": component("messages", &id)},
            }),
        );
        self.operations.insert(
            id.clone(),
            json!({
                "action": "send",
                "summary": summary,
                "channel": channel(&id),
                "messages": [message_of(&id, "event")],
                "bindings": {"nats": {"bindingVersion": BINDING_VERSION}},
            }),
        );
    }

    fn agent_message(&mut self, message: &AgentMessage) {
        let id = format!("agents.{}", message.name);
        let address = message.address();
        let parameters: Map<String, Value> = address
            .split('.')
            .filter_map(|token| token.strip_prefix('{')?.strip_suffix('}'))
            .map(|place| (place.to_owned(), json!({"description": parameter(place)})))
            .collect();
        self.messages.insert(
            id.clone(),
            json!({
                "name": id,
                "title": message.name,
                "summary": message.summary,
                "contentType": "application/json",
                "headers": trace_headers(),
                "payload": {"description": "What `routing.send` takes; the address may be left to \
                    the subject. What is no message becomes a dead letter, and its sender is told."},
            }),
        );
        self.channels.insert(
            id.clone(),
            json!({
                "address": address,
                "title": message.name,
                "summary": message.summary,
                "description": message.carried.summary(),
                "parameters": parameters,
                "messages": {"message": component("messages", &id)},
                "x-carried": message.carried.as_str(),
            }),
        );
        self.operations.insert(
            id.clone(),
            json!({
                "action": "receive",
                "summary": message.carried.summary(),
                "channel": channel(&id),
                "messages": [message_of(&id, "message")],
                "bindings": {"nats": {"bindingVersion": BINDING_VERSION}},
            }),
        );
    }

    fn object_subject(&mut self, told: &ObjectSubject) {
        let id = format!("objects.{}", told.name);
        self.messages.insert(
            id.clone(),
            json!({
                "name": id,
                "title": told.name,
                "summary": told.summary,
                "contentType": "application/octet-stream",
                "payload": {"description": told.content},
            }),
        );
        self.channels.insert(
            id.clone(),
            json!({
                "address": told.address,
                "title": told.name,
                "summary": told.summary,
                "parameters": told.parameters(),
                "messages": {"message": component("messages", &id)},
            }),
        );
        self.operations.insert(
            id.clone(),
            json!({
                "action": told.action,
                "summary": told.summary,
                "channel": channel(&id),
                "messages": [message_of(&id, "message")],
                "bindings": {"nats": {"bindingVersion": BINDING_VERSION}},
            }),
        );
    }
}

fn parameter(place: &str) -> &'static str {
    match place {
        "sender" => "The name in the sender's credentials.",
        "recipient" => "The agent that reads it.",
        "topic" => "1 to 8 names, each a token.",
        _ => "A name, one token.",
    }
}

fn component(kind: &str, id: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{id}")})
}

fn channel(id: &str) -> Value {
    json!({"$ref": format!("#/channels/{id}")})
}

fn message_of(channel: &str, message: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}/messages/{message}")})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn header_object(pairs: Vec<(&str, Value)>, required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        pairs.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn traced() -> Vec<(&'static str, Value)> {
    vec![
        (headers::TRACEPARENT, text("W3C Trace Context.")),
        (headers::TRACESTATE, text("W3C Trace Context, vendor entries.")),
    ]
}

fn trace_headers() -> Value {
    header_object(traced(), &[])
}

fn request_headers() -> Value {
    let mut pairs = traced();
    pairs.push((headers::MSG_ID, text("The idempotency key of the command.")));
    pairs.push((headers::DEADLINE_MS, text("How long the caller waits, in milliseconds.")));
    header_object(pairs, &[])
}

fn fault(bundle: &Bundle) -> Value {
    let mut pairs = traced();
    pairs.push((headers::SERVICE_ERROR, text("The message, in one line.")));
    pairs.push((headers::SERVICE_ERROR_CODE, text("The HTTP equivalent of the code.")));
    json!({
        "name": "fault",
        "title": "Fault",
        "summary": "The operation was refused or could not be carried out.",
        "headers": header_object(pairs, &[headers::SERVICE_ERROR, headers::SERVICE_ERROR_CODE]),
        "payload": bundle.fault,
    })
}

#[cfg(test)]
mod tests {
    use super::super::schemas::references;
    use super::*;
    use crate::{catalogue, event};

    fn document() -> Value {
        serde_json::from_str(&asyncapi()).unwrap()
    }

    #[test]
    fn every_endpoint_and_event_has_a_channel_and_an_operation() {
        let document = document();
        let channels = document["channels"].as_object().unwrap();
        let addresses: Vec<_> = channels.values().filter_map(|c| c["address"].as_str()).collect();
        assert!(addresses.contains(&"troupe.v1.registry.register.{caller}"));
        assert!(addresses.contains(&"troupe.v1.event.task.task_completed"));
        assert!(addresses.contains(&"troupe.v1.agent.{recipient}.inbox.{sender}"));
        let events: usize = event::entries().iter().map(|entry| entry.kinds.len()).sum();
        assert!(addresses.contains(&"troupe.v1.object.{object_id}.batch"));
        let told = agent_messages::ALL.len() + object_subjects::all().len();
        assert_eq!(
            document["operations"].as_object().unwrap().len(),
            catalogue::endpoints().count() + events + told
        );
    }

    #[test]
    fn every_reference_resolves() {
        let document = document();
        for name in references(&document, "#") {
            let pointer = format!("/{}", name.replace("#/", ""));
            assert!(document.pointer(&pointer).is_some(), "{pointer}");
        }
    }
}
