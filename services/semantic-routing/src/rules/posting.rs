//! Deciding what a message leads to: which mailboxes take it, and what its sender is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use troupe_contract::routing::DeadReason;
use troupe_domain::message::{DEFAULT_EXPIRY_MS, Routing, SessionTurn};
use troupe_domain::{
    AgentId, AgentMessage, Code, Fault, Json, MessageId, MessagePriority, MessageType, Name,
    Timestamp,
};

use super::mailbox::RequestEnd;
use super::memory::SeenKey;
use super::record::{Onward, Post, Refusal};
use super::state::RoutingState;

/// Why a mailbox does not take a message.
#[derive(Debug, Clone, PartialEq)]
pub enum NotTaken {
    /// It came before.
    Duplicate,
    /// There is a reason against it.
    Refused(DeadReason, Fault),
}

/// What a word from the service says.
#[derive(Debug)]
pub struct Word<'a> {
    /// To whom.
    pub to: &'a AgentId,
    /// Error or system.
    pub kind: MessageType,
    /// One line.
    pub subject: &'a str,
    /// The request that it is about.
    pub request_id: Option<MessageId>,
    /// The session that it is about.
    pub session_id: Option<Name>,
    /// What makes its id its own, so that the same word is not said twice.
    pub about: &'a [&'a str],
}

/// FNV-1a of 64 bits over texts, each with its end.
fn digest(texts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// A word from the service, with a body.
pub fn word(word: &Word<'_>, body: &impl Serialize, at: Timestamp) -> AgentMessage {
    let sender = RoutingState::service_name();
    let kind = if word.kind == MessageType::Error { "error" } else { "system" };
    let id = format!("{kind}-{:016x}", digest(word.about));
    AgentMessage {
        id: Name::parse(&id).unwrap_or_else(|_| sender.clone()),
        kind: word.kind,
        priority: MessagePriority::High,
        recipient_id: Some(word.to.clone()),
        routing: Routing {
            origin: sender.clone(),
            destination: Some(word.to.clone()),
            path: Vec::new(),
            hops: 0,
            max_hops: 0,
            route_key: None,
            alternatives: Vec::new(),
        },
        sender_id: sender,
        topic: None,
        request_id: word.request_id.clone(),
        subject: word.subject.to_owned(),
        body: Json::of(body).ok(),
        metadata: None,
        created_at: at,
        expires_at: at.plus_millis(DEFAULT_EXPIRY_MS),
        respond_by: None,
        requires_ack: true,
        vector_clock: None,
        session: word.session_id.clone().map(|session_id| SessionTurn {
            session_id,
            turn: None,
            class: None,
        }),
        trace: None,
    }
}

/// What a sender is told of its message.
#[derive(Serialize)]
struct Told<'a> {
    reason: DeadReason,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<&'a AgentId>,
}

impl RoutingState {
    /// Whether a mailbox of this shard takes a message, beside `more` bytes that it is about to get.
    pub(super) fn admit(&self, agent: &AgentId, message: &AgentMessage) -> Result<(), NotTaken> {
        let key = SeenKey {
            mailbox: Some(agent.clone()),
            sender: message.sender_id.clone(),
            id: message.id.clone(),
        };
        let mailbox = self.mailboxes.get(agent);
        let is_in = mailbox.is_some_and(|mailbox| mailbox.has(&message.sender_id, &message.id));
        if is_in || self.seen.get(&key).is_some() {
            return Err(NotTaken::Duplicate);
        }
        self.check_room(agent, message.weight())
            .map_err(|fault| NotTaken::Refused(DeadReason::MailboxFull, fault))?;
        self.check_response(agent, message)
            .map_err(|fault| NotTaken::Refused(DeadReason::Late, fault))
    }

    fn check_room(&self, agent: &AgentId, weight: usize) -> Result<(), Fault> {
        let settings = &self.settings;
        let limits = match self.mailboxes.get(agent) {
            Some(mailbox) => [
                ("max_messages_per_mailbox", settings.max_messages_per_mailbox, mailbox.len() + 1),
                ("max_bytes_per_mailbox", settings.max_bytes_per_mailbox, mailbox.bytes() + weight),
                ("max_mailbox_bytes", settings.max_mailbox_bytes, self.bytes + weight),
            ],
            None => [
                ("max_mailboxes", settings.max_mailboxes, self.mailboxes.len() + 1),
                ("max_bytes_per_mailbox", settings.max_bytes_per_mailbox, weight),
                ("max_mailbox_bytes", settings.max_mailbox_bytes, self.bytes + weight),
            ],
        };
        match limits.into_iter().find(|(_, allowed, wanted)| wanted > allowed) {
            Some((name, allowed, _)) => {
                Err(Fault::exhausted(name, allowed).with("agent_id", agent.as_str()))
            }
            None => Ok(()),
        }
    }

    /// A response that comes when its request is over is of no use. Somebody else's word does not end
    /// a request, so that nobody can answer in another's place.
    fn check_response(&self, agent: &AgentId, message: &AgentMessage) -> Result<(), Fault> {
        let (MessageType::Response, Some(id)) = (message.kind, &message.request_id) else {
            return Ok(());
        };
        let Some(mailbox) = self.mailboxes.get(agent) else { return Ok(()) };
        match mailbox.request_end(id).filter(|_| !mailbox.requests.contains_key(id)) {
            Some(RequestEnd::Expired) => Err(Fault::precondition("the request's time had run out")),
            Some(RequestEnd::Answered(by))
                if *by == message.sender_id || *by == Self::service_name() =>
            {
                Err(Fault::precondition(format!("the request was answered by {by}")))
            }
            Some(RequestEnd::Answered(_)) | None => Ok(()),
        }
    }

    /// What a message leads to in the mailboxes of `agents` that are here. Of an error from the service
    /// only those learn who have a mailbox with room; what it is about is recorded elsewhere.
    pub(super) fn post_to(
        &self,
        message: Arc<AgentMessage>,
        agents: impl IntoIterator<Item = AgentId>,
    ) -> Post {
        let mut post = Post {
            message,
            to: Vec::new(),
            refused: Vec::new(),
            onward: Onward::Nobody,
            expects: false,
        };
        let optional = post.message.kind == MessageType::Error
            && post.message.sender_id == Self::service_name();
        let (mut taken, mut opened) = (0, 0);
        for agent in agents {
            let is_new = !self.mailboxes.contains_key(&agent);
            if optional && is_new {
                continue;
            }
            let weight = post.message.weight();
            let fits = self.bytes + taken + weight <= self.settings.max_mailbox_bytes
                && (!is_new || self.mailboxes.len() + opened < self.settings.max_mailboxes);
            match self.admit(&agent, &post.message) {
                Ok(()) if fits => {
                    taken += weight;
                    opened += usize::from(is_new);
                    post.to.push(agent);
                }
                Err(NotTaken::Duplicate) => {}
                Ok(()) | Err(NotTaken::Refused(..)) if optional => {}
                Ok(()) => {
                    let limit = if is_new { "max_mailboxes" } else { "max_mailbox_bytes" };
                    let (reason, why) = (DeadReason::MailboxFull, format!("{limit} is reached"));
                    post.refused.push(Refusal { agent, reason, why });
                }
                Err(NotTaken::Refused(reason, fault)) => {
                    post.refused.push(Refusal { agent, reason, why: fault.message });
                }
            }
        }
        post
    }

    /// A message to one agent, wherever its mailbox is.
    pub(super) fn post_anywhere(&self, message: AgentMessage, agent: &AgentId) -> Post {
        let message = Arc::new(message);
        if self.is_here(agent) {
            return self.post_to(message, [agent.clone()]);
        }
        let onward = Onward::Agents(vec![agent.clone()]);
        Post { onward, ..self.post_to(message, []) }
    }

    /// A message to several agents, wherever their mailboxes are.
    pub(super) fn post_to_all(
        &self,
        message: AgentMessage,
        agents: impl IntoIterator<Item = AgentId>,
    ) -> Post {
        let (here, away): (Vec<_>, Vec<_>) =
            agents.into_iter().partition(|agent| self.is_here(agent));
        let onward = if away.is_empty() { Onward::Nobody } else { Onward::Agents(away) };
        Post { onward, ..self.post_to(Arc::new(message), here) }
    }

    /// Who of this shard gets a message for a topic or for everybody. Never its sender.
    pub(super) fn audience(&self, message: &AgentMessage, named: &[AgentId]) -> BTreeSet<AgentId> {
        let mut audience = if let Some(topic) = &message.topic {
            self.followers.of(topic)
        } else {
            let opened = self.mailboxes.iter().filter(|(_, mailbox)| mailbox.opened);
            let here = named.iter().filter(|agent| self.is_here(agent));
            opened.map(|(agent, _)| agent).chain(here).cloned().collect()
        };
        audience.remove(&message.sender_id);
        audience
    }

    /// What the sender of a message is told when it cannot be delivered; nothing if its failure is
    /// not to be told.
    pub(super) fn tell_sender(
        &self,
        message: &AgentMessage,
        recipient: Option<&AgentId>,
        reason: DeadReason,
        why: &str,
        at: Timestamp,
    ) -> Option<Post> {
        if !message.failure_is_told() {
            return None;
        }
        let request_id = message.request_id.clone();
        let request_id = request_id.filter(|_| message.kind == MessageType::Request);
        let message_id = Some(&message.id);
        self.tell(&message.sender_id, message_id, recipient, request_id, reason, why, at)
    }

    /// Tells a sender that something did not work.
    #[allow(clippy::too_many_arguments)] // each is one fact of the word
    pub(super) fn tell(
        &self,
        to: &AgentId,
        message_id: Option<&MessageId>,
        recipient_id: Option<&AgentId>,
        request_id: Option<MessageId>,
        reason: DeadReason,
        why: &str,
        at: Timestamp,
    ) -> Option<Post> {
        let at_text = at.to_string();
        let about = [
            to.as_str(),
            // What has no id is told once for each time.
            message_id.map_or(at_text.as_str(), Name::as_str),
            recipient_id.map_or("", Name::as_str),
            why,
        ];
        let (kind, subject) = (MessageType::Error, "a message was not delivered");
        let form = Word { to, kind, subject, request_id, session_id: None, about: &about };
        let told = word(&form, &Told { reason, why, message_id, recipient_id }, at);
        let post = self.post_anywhere(told, to);
        (!post.to.is_empty() || post.onward != Onward::Nobody).then_some(post)
    }

    /// What the senders of messages that were refused are told.
    pub(super) fn tell_of_refusals(&self, post: &Post, at: Timestamp) -> Vec<Post> {
        let message = &post.message;
        let told = post.refused.iter().filter_map(|refusal| {
            self.tell_sender(message, Some(&refusal.agent), refusal.reason, &refusal.why, at)
        });
        told.collect()
    }
}

/// The fault of a response that is not wanted, and of a mailbox that is full.
pub(super) fn fault_of(not_taken: NotTaken) -> Fault {
    match not_taken {
        NotTaken::Duplicate => Fault::new(Code::AlreadyExists, "the message came before"),
        NotTaken::Refused(_, fault) => fault,
    }
}
