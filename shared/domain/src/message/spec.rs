//! What a sender says: the form of a message before it is accepted, checked once at the door.
//!
//! The same form comes through `routing.send` and as the payload of what agents publish themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AgentMessage, DEFAULT_EXPIRY_MS, DEFAULT_REQUEST_TIMEOUT_MS, Intent, MessageId,
    MessagePriority, MessageType, Routing, Topic,
};
use crate::fault::{Code, Fault};
use crate::json::Json;
use crate::limits::{
    MAX_BODY_BYTES, MAX_EXPIRY_MS, MAX_HOPS, MAX_METADATA_BYTES, MAX_TITLE_CHARS, MIN_EXPIRY_MS,
};
use crate::name::AgentId;
use crate::time::Timestamp;
use crate::trace::TraceContext;
use crate::vector_clock::VectorClock;

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageSpec {
    /// Unique among the sender's; a message that comes twice under one id is delivered once. A new
    /// id where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Must be the sender's own name where it is given: another's is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<AgentId>,
    /// Follows from the address where none is named. `request` asks for a response.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageType>,
    /// How urgent; `normal` where none is named.
    #[serde(default)]
    pub priority: MessagePriority,
    /// To one agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<AgentId>,
    /// To whoever follows this topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// To whoever can act on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// To the whole fleet; the type `broadcast` says the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broadcast: bool,
    /// The request that it answers; of a request, its own id where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<MessageId>,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is said: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// The sender's own facts: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// How long it counts; an hour where nothing is said, a request as long as it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// How long a request waits for its response; 30 s where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether the recipient must acknowledge it; true where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_ack: Option<bool>,
    /// What the sender had seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_clock: Option<VectorClock>,
}

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// One agent.
    Agent(AgentId),
    /// Everybody.
    Broadcast,
    /// Whoever follows a topic.
    Topic(Topic),
    /// Whoever can act on it.
    Intent(Intent),
}

/// What a message is given when it is accepted.
#[derive(Debug, Clone)]
pub struct Birth {
    /// The id where the sender named none.
    pub id: MessageId,
    /// The sender, as the subject names it.
    pub sender: AgentId,
    /// When.
    pub at: Timestamp,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

fn check_span(field: &str, span_ms: Option<u64>) -> Result<(), Fault> {
    match span_ms {
        Some(ms) if !(MIN_EXPIRY_MS..=MAX_EXPIRY_MS).contains(&ms) => Err(Fault::invalid(
            field,
            format!("must be within {MIN_EXPIRY_MS} and {MAX_EXPIRY_MS}"),
        )),
        _ => Ok(()),
    }
}

/// Checks what a message says: bounds, one line of subject, an object of metadata.
pub fn check_content(
    subject: &str,
    body: Option<&Json>,
    metadata: Option<&Json>,
) -> Result<(), Fault> {
    if subject.chars().count() > MAX_TITLE_CHARS {
        return Err(Fault::exhausted("MAX_TITLE_CHARS", MAX_TITLE_CHARS).with("field", "subject"));
    }
    if subject.chars().any(char::is_control) {
        return Err(Fault::invalid("subject", "must not have control characters"));
    }
    if body.is_some_and(|body| body.len() > MAX_BODY_BYTES) {
        return Err(Fault::exhausted("MAX_BODY_BYTES", MAX_BODY_BYTES).with("field", "body"));
    }
    match metadata {
        Some(json) if !json.is_object() => Err(Fault::invalid("metadata", "must be a JSON object")),
        Some(json) if json.len() > MAX_METADATA_BYTES => {
            Err(Fault::exhausted("MAX_METADATA_BYTES", MAX_METADATA_BYTES)
                .with("field", "metadata"))
        }
        _ => Ok(()),
    }
}

impl MessageSpec {
    /// Checks every field as `sender` says it, and gives to whom it goes.
    pub fn check(&self, sender: &AgentId) -> Result<Address, Fault> {
        if let Some(other) = self.sender_id.as_ref().filter(|named| *named != sender) {
            return Err(Fault::new(
                Code::PermissionDenied,
                format!("sender_id: {sender} cannot send in the name of {other}"),
            )
            .with("field", "sender_id"));
        }
        check_content(&self.subject, self.body.as_ref(), self.metadata.as_ref())?;
        check_span("expires_in_ms", self.expires_in_ms)?;
        check_span("timeout_ms", self.timeout_ms)?;
        let address = self.address()?;
        self.check_kind(&address)?;
        Ok(address)
    }

    fn address(&self) -> Result<Address, Fault> {
        let broadcast = self.broadcast || self.kind == Some(MessageType::Broadcast);
        let named = usize::from(self.recipient_id.is_some())
            + usize::from(self.topic.is_some())
            + usize::from(self.intent.is_some())
            + usize::from(broadcast);
        if named != 1 {
            return Err(Fault::invalid(
                "recipient_id",
                "exactly one of recipient_id, topic, intent and broadcast must be given",
            ));
        }
        if let Some(intent) = &self.intent {
            intent.check()?;
            return Ok(Address::Intent(intent.clone()));
        }
        Ok(match (&self.recipient_id, &self.topic) {
            (Some(agent), _) => Address::Agent(agent.clone()),
            (_, Some(topic)) => Address::Topic(topic.clone()),
            _ => Address::Broadcast,
        })
    }

    fn check_kind(&self, address: &Address) -> Result<(), Fault> {
        let fits = match self.kind {
            Some(MessageType::System) => {
                return Err(Fault::invalid("type", "only services send `system`"));
            }
            Some(MessageType::Direct) => matches!(address, Address::Agent(_) | Address::Intent(_)),
            Some(MessageType::Topic) => matches!(address, Address::Topic(_)),
            Some(MessageType::Broadcast) => *address == Address::Broadcast,
            Some(MessageType::Response) => {
                if self.request_id.is_none() {
                    return Err(Fault::invalid("request_id", "a response names its request"));
                }
                matches!(address, Address::Agent(_))
            }
            None | Some(MessageType::Request | MessageType::Progress | MessageType::Error) => true,
        };
        if !fits {
            return Err(Fault::invalid("type", "does not go with the address"));
        }
        if self.timeout_ms.is_some() && self.kind != Some(MessageType::Request) {
            return Err(Fault::invalid("timeout_ms", "only a request waits for a response"));
        }
        Ok(())
    }

    /// The message, for the address that [`check`](Self::check) gave.
    pub fn into_message(self, address: &Address, birth: Birth) -> AgentMessage {
        let kind = self.kind.unwrap_or(match address {
            Address::Agent(_) | Address::Intent(_) => MessageType::Direct,
            Address::Broadcast => MessageType::Broadcast,
            Address::Topic(_) => MessageType::Topic,
        });
        let id = self.id.unwrap_or(birth.id);
        let is_request = kind == MessageType::Request;
        let respond_by = is_request
            .then(|| birth.at.plus_millis(self.timeout_ms.unwrap_or(DEFAULT_REQUEST_TIMEOUT_MS)));
        let own = self.expires_in_ms.map(|ms| birth.at.plus_millis(ms));
        let expires_at = match (own, respond_by) {
            (Some(own), Some(by)) => own.min(by),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => birth.at.plus_millis(DEFAULT_EXPIRY_MS),
        };
        let request_id = self.request_id.or_else(|| is_request.then(|| id.clone()));
        let recipient_id = match address {
            Address::Agent(agent) => Some(agent.clone()),
            _ => None,
        };
        AgentMessage {
            id,
            kind,
            priority: self.priority,
            routing: Routing {
                origin: birth.sender.clone(),
                destination: recipient_id.clone(),
                path: Vec::new(),
                hops: 0,
                max_hops: MAX_HOPS,
                route_key: None,
                alternatives: Vec::new(),
            },
            sender_id: birth.sender,
            recipient_id,
            topic: match address {
                Address::Topic(topic) => Some(topic.clone()),
                _ => None,
            },
            request_id,
            subject: self.subject,
            body: self.body,
            metadata: self.metadata,
            created_at: birth.at,
            expires_at,
            respond_by,
            requires_ack: self.requires_ack.unwrap_or(true),
            vector_clock: self.vector_clock,
            session: None,
            trace: birth.trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AgentId {
        AgentId::parse(text).unwrap()
    }

    fn spec(text: &str) -> MessageSpec {
        serde_json::from_str(text).unwrap()
    }

    fn refused(text: &str) -> String {
        spec(text).check(&name("ann")).unwrap_err().message
    }

    #[test]
    fn there_is_exactly_one_address_and_the_type_goes_with_it() {
        for bad in [
            "{}",
            r#"{"recipient_id":"bob","topic":"a"}"#,
            r#"{"recipient_id":"bob","type":"broadcast"}"#,
            r#"{"topic":"a","type":"direct"}"#,
            r#"{"recipient_id":"bob","type":"system"}"#,
            r#"{"recipient_id":"bob","type":"response"}"#,
            r#"{"recipient_id":"bob","timeout_ms":5000}"#,
        ] {
            assert!(!refused(bad).is_empty(), "{bad}");
        }
        let intent = spec(r#"{"intent":{"text":"fix it"},"type":"request"}"#);
        assert!(matches!(intent.check(&name("ann")), Ok(Address::Intent(_))));
        assert_eq!(spec(r#"{"broadcast":true}"#).check(&name("ann")), Ok(Address::Broadcast));
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        assert!(refused(r#"{"recipient_id":"b","sender_id":"eve"}"#).starts_with("sender_id"));
        assert!(refused(r#"{"recipient_id":"b","subject":"a\u0007"}"#).starts_with("subject"));
        assert!(refused(r#"{"recipient_id":"b","metadata":[1]}"#).starts_with("metadata"));
        assert!(refused(r#"{"recipient_id":"b","expires_in_ms":1}"#).starts_with("expires_in_ms"));
        assert!(refused(r#"{"intent":{"text":" "}}"#).starts_with("intent.text"));
        let mut large = spec(r#"{"recipient_id":"b"}"#);
        large.body = Some(Json::text(&"x".repeat(MAX_BODY_BYTES)));
        assert_eq!(large.check(&name("ann")).unwrap_err().code, Code::ResourceExhausted);
    }

    #[test]
    fn a_request_counts_for_as_long_as_it_waits() {
        let birth = || Birth {
            id: name("m1"),
            sender: name("ann"),
            at: Timestamp::from_millis(0),
            trace: None,
        };
        let make = |text| {
            let spec = spec(text);
            let address = spec.check(&name("ann")).unwrap();
            spec.into_message(&address, birth())
        };
        let plain = make(r#"{"recipient_id":"bob"}"#);
        assert_eq!(plain.expires_at.as_millis(), 3_600_000);
        assert_eq!((plain.kind, plain.requires_ack), (MessageType::Direct, true));
        let request = make(r#"{"recipient_id":"bob","type":"request"}"#);
        assert_eq!(request.request_id, Some(name("m1")));
        assert_eq!(request.expires_at.as_millis(), 30_000);
        assert_eq!(request.respond_by, Some(request.expires_at));
    }
}
