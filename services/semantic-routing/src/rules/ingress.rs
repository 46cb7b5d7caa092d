//! Reading what agents published: a message, or what is wrong with it.
//!
//! Nothing is dropped in silence: what is no message becomes a dead letter with its reason.

use troupe_contract::ingress::{Origin, Target, Way};
use troupe_contract::routing::RawMessage;
use troupe_domain::limits::{MAX_BODY_BYTES, MAX_METADATA_BYTES, MAX_TEXT_BYTES};
use troupe_domain::message::{Address, Birth, Intent, IntentFilters, MessageSpec};
use troupe_domain::{AgentId, AgentMessage, Fault, MessageId, Name, Timestamp, TraceContext};

use super::record::IngressPlace;
use super::sending::IngressContent;

/// Bytes of what came that a dead letter shows.
pub const MAX_PREVIEW_BYTES: usize = 1_024;
/// Bytes of a message that an agent publishes: everything that it may have, escaped at worst.
pub const MAX_PUBLISHED_BYTES: usize = MAX_BODY_BYTES + MAX_METADATA_BYTES + 4 * MAX_TEXT_BYTES;

/// Something that an agent published.
#[derive(Debug, Clone)]
pub struct Published<'a> {
    /// How.
    pub way: Way,
    /// Its place in that way's stream.
    pub place: IngressPlace,
    /// The subject under which it is stored.
    pub subject: &'a str,
    /// Its de-duplication id, if it has one.
    pub id: Option<&'a str>,
    /// When the server stored it.
    pub at: Timestamp,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// What it says.
    pub payload: &'a [u8],
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadMessage {
    /// It is known what it leads to; with nobody named for those that spread.
    Known(IngressContent),
    /// Somebody must be chosen for it.
    Wants(Box<AgentMessage>, Intent),
}

/// Reads what was published.
pub fn read(published: &Published<'_>) -> ReadMessage {
    let Some(origin) = published.way.origin(published.subject) else {
        // The server lets nobody publish to it whose name is no name.
        tracing::warn!(subject = published.subject, "a message from nobody");
        return ReadMessage::Known(IngressContent::Stray);
    };
    match parse(published, &origin) {
        Ok((message, Address::Intent(intent))) => ReadMessage::Wants(Box::new(message), intent),
        Ok((message, Address::Agent(_))) => {
            ReadMessage::Known(IngressContent::Direct(message.into()))
        }
        Ok((message, _)) => ReadMessage::Known(IngressContent::Spread {
            message: message.into(),
            audience: Vec::new(),
        }),
        Err(fault) => ReadMessage::Known(bad(published, &origin, fault.message)),
    }
}

fn parse(published: &Published<'_>, origin: &Origin) -> Result<(AgentMessage, Address), Fault> {
    if published.payload.len() > MAX_PUBLISHED_BYTES {
        return Err(Fault::exhausted("MAX_PUBLISHED_BYTES", MAX_PUBLISHED_BYTES));
    }
    let mut spec: MessageSpec = serde_json::from_slice(published.payload)
        .map_err(|why| Fault::invalid("payload", format!("is not a message: {why}")))?;
    address(&mut spec, &origin.target)?;
    let address = spec.check(&origin.sender)?;
    let birth = Birth {
        id: own_id(published),
        sender: origin.sender.clone(),
        at: published.at,
        trace: published.trace.clone(),
    };
    Ok((spec.into_message(&address, birth), address))
}

/// The subject says for whom it is; the payload may say the same, and nothing else.
fn address(spec: &mut MessageSpec, target: &Target) -> Result<(), Fault> {
    let other = |field| Err(Fault::invalid(field, "is not what the subject says"));
    match target {
        Target::Agent(agent) => match spec.recipient_id.replace(agent.clone()) {
            Some(named) if named != *agent => other("recipient_id"),
            _ => Ok(()),
        },
        Target::Topic(topic) => match spec.topic.replace(topic.clone()) {
            Some(named) if named != *topic => other("topic"),
            _ => Ok(()),
        },
        Target::Everybody => {
            spec.broadcast = true;
            Ok(())
        }
        Target::Anybody if spec.intent.is_some() => Ok(()),
        Target::Anybody => {
            // What is wanted may stand in the subject line alone.
            let (text, filters) = (spec.subject.clone(), IntentFilters::default());
            spec.intent = Some(Intent { text, filters, fallback: None });
            Ok(())
        }
    }
}

/// The id of a message that names none: its de-duplication id, or its place in the stream.
fn own_id(published: &Published<'_>) -> MessageId {
    let given = published.id.and_then(|id| Name::parse(id).ok());
    given.unwrap_or_else(|| {
        let IngressPlace { stream_made_at, sequence } = published.place;
        let made = stream_made_at.as_millis();
        Name::parse(&format!("{}-{made:x}-{sequence}", published.way.token()))
            .unwrap_or_else(|_| unreachable!("a token and numbers are a name"))
    })
}

fn bad(published: &Published<'_>, origin: &Origin, why: String) -> IngressContent {
    let start = &published.payload[..published.payload.len().min(MAX_PREVIEW_BYTES)];
    let agent: &AgentId = match &origin.target {
        Target::Agent(agent) => agent,
        _ => &origin.sender,
    };
    IngressContent::Bad {
        agent: agent.clone(),
        raw: RawMessage {
            sender_id: origin.sender.clone(),
            size_bytes: published.payload.len(),
            preview: String::from_utf8_lossy(start).into_owned(),
        },
        message_id: Some(own_id(published)),
        why,
    }
}
