//! Sending: to one agent, to many, to whoever was chosen; and what other shards and agents bring.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::ingress::Way;
use troupe_contract::routing::{DeadReason, RawMessage, Sent};
use troupe_domain::message::DeliveryStatus;
use troupe_domain::{AgentId, AgentMessage, Code, Fault, MessageId, MessageType, Timestamp};

use super::memory::SeenKey;
use super::posting::{NotTaken, fault_of};
use super::record::{Burial, IngressPlace, LetterContent, Onward, Post, Record, Source};
use super::state::RoutingState;

/// Something that an agent published, as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngressItem {
    /// How it came.
    pub way: Way,
    /// Its place in that way's stream.
    pub place: IngressPlace,
    /// What it is.
    pub content: IngressContent,
}

/// What an agent published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngressContent {
    /// A message to one agent; of an intent, to whoever was chosen.
    Direct(Arc<AgentMessage>),
    /// A message to a topic or to everybody; with agents that may have no mailbox yet.
    Spread {
        /// The message.
        message: Arc<AgentMessage>,
        /// The agents.
        audience: Vec<AgentId>,
    },
    /// An intent that nobody can act on.
    Unroutable {
        /// The message.
        message: Arc<AgentMessage>,
        /// Why.
        why: String,
    },
    /// Not a message.
    Bad {
        /// In whose view it goes: the recipient's, or the sender's where there is none.
        agent: AgentId,
        /// What came.
        raw: RawMessage,
        /// The id, if there was one.
        message_id: Option<MessageId>,
        /// What is wrong.
        why: String,
    },
    /// Its subject is none that anybody could have published to in good faith: nobody can be told.
    Stray,
}

fn receipt(message: &AgentMessage, status: DeliveryStatus, duplicate: bool) -> Sent {
    Sent {
        message_id: message.id.clone(),
        status,
        recipient_id: message.recipient_id.clone(),
        duplicate,
        respond_by: message.respond_by,
        resolution: None,
    }
}

fn origin_key(sender: &AgentId, id: &MessageId) -> SeenKey {
    SeenKey { mailbox: None, sender: sender.clone(), id: id.clone() }
}

impl RoutingState {
    /// A message to one agent, whose mailbox is here.
    pub fn send(&mut self, message: Arc<AgentMessage>, now: Timestamp) -> Result<Sent, Fault> {
        let Some(recipient) = message.recipient_id.clone() else {
            return Err(Fault::invalid("recipient_id", "a direct message has a recipient"));
        };
        match self.admit(&recipient, &message) {
            Ok(()) => {}
            Err(NotTaken::Duplicate) => {
                return Ok(receipt(&message, DeliveryStatus::Queued, true));
            }
            Err(refused) => return Err(fault_of(refused)),
        }
        let sent = receipt(&message, DeliveryStatus::Queued, false);
        let expects = self.watches(&message);
        let post = Post { expects, ..self.post_to(message, [recipient]) };
        self.draft(Record::Entered { at: now, source: Source::Asked, posts: vec![post] });
        Ok(sent)
    }

    /// A message to a topic or to everybody, from a sender whose messages of this kind begin here.
    /// `named` are agents that may have no mailbox yet.
    pub fn spread(
        &mut self,
        message: Arc<AgentMessage>,
        named: Vec<AgentId>,
        now: Timestamp,
    ) -> Sent {
        if self.seen.get(&origin_key(&message.sender_id, &message.id)).is_some() {
            return receipt(&message, DeliveryStatus::Sent, true);
        }
        let sent = receipt(&message, DeliveryStatus::Sent, false);
        let posts = self.posts_of_spread(message, named, true, now);
        self.draft(Record::Entered { at: now, source: Source::Asked, posts });
        sent
    }

    fn posts_of_spread(
        &self,
        message: Arc<AgentMessage>,
        named: Vec<AgentId>,
        begins_here: bool,
        now: Timestamp,
    ) -> Vec<Post> {
        let audience = self.audience(&message, &named);
        let mut post = self.post_to(message, audience);
        if begins_here {
            post.expects = self.watches(&post.message);
            post.onward = Onward::Everywhere(named);
        }
        let mut posts = self.tell_of_refusals(&post, now);
        posts.insert(0, post);
        posts
    }

    /// The recipient that was chosen for an intent of `sender` before.
    pub fn chosen_before(&self, sender: &AgentId, id: &MessageId) -> Option<AgentId> {
        self.seen.get(&origin_key(sender, id)).cloned().flatten()
    }

    /// A message for an intent, with the recipient that was chosen outside; the sender's intents
    /// begin here. A message that came before keeps its first recipient.
    pub fn route(&mut self, message: Arc<AgentMessage>, now: Timestamp) -> Result<Sent, Fault> {
        let key = origin_key(&message.sender_id, &message.id);
        if let Some(recipient) = self.seen.get(&key) {
            let recipient_id = recipient.clone();
            return Ok(Sent { recipient_id, ..receipt(&message, DeliveryStatus::Sent, true) });
        }
        let message = self.rerouted(message);
        let Some(recipient) = message.recipient_id.clone() else {
            return Err(Fault::invalid("recipient_id", "nobody was chosen"));
        };
        if self.is_here(&recipient)
            && let Err(refused @ NotTaken::Refused(..)) = self.admit(&recipient, &message)
        {
            return Err(fault_of(refused));
        }
        let sent = receipt(&message, DeliveryStatus::Sent, false);
        let posts = self.posts_of_choice(message, &recipient, now);
        self.draft(Record::Entered { at: now, source: Source::Asked, posts });
        Ok(sent)
    }

    fn posts_of_choice(
        &self,
        message: Arc<AgentMessage>,
        recipient: &AgentId,
        now: Timestamp,
    ) -> Vec<Post> {
        let here = self.is_here(recipient).then(|| recipient.clone());
        let mut post = self.post_to(message, here);
        post.expects = self.watches(&post.message) && post.refused.is_empty();
        // Also where the recipient is here: it remembers that the message began its way.
        post.onward = Onward::Agents(vec![recipient.clone()]);
        let mut posts = self.tell_of_refusals(&post, now);
        posts.insert(0, post);
        posts
    }

    /// Takes in what agents published, in the order of their stream. What was taken in before is
    /// passed over.
    pub fn ingest(&mut self, items: Vec<IngressItem>, now: Timestamp) {
        for IngressItem { way, place, content } in items {
            if place > self.ingested(way) {
                self.ingest_one(Source::Ingress { way, place }, content, now);
            }
        }
    }

    fn ingest_one(&mut self, source: Source, content: IngressContent, now: Timestamp) {
        let record = match content {
            IngressContent::Direct(message) => self.ingest_direct(source, message, now),
            IngressContent::Spread { message, audience } => {
                if self.seen.get(&origin_key(&message.sender_id, &message.id)).is_some() {
                    Record::Passed { source }
                } else {
                    let posts = self.posts_of_spread(message, audience, true, now);
                    Record::Entered { at: now, source, posts }
                }
            }
            IngressContent::Unroutable { message, why } => {
                let reason = DeadReason::Unroutable;
                let sender = message.sender_id.clone();
                let told = self.tell_sender(&message, None, reason, &why, now);
                let burial = Burial {
                    agent: sender.clone(),
                    reason,
                    why,
                    attempts: 0,
                    sender,
                    message: Some(message),
                    raw: None,
                };
                Record::Refused { at: now, source, burial, posts: told.into_iter().collect() }
            }
            IngressContent::Bad { agent, raw, message_id, why } => {
                let reason = DeadReason::Invalid;
                let sender = raw.sender_id.clone();
                let recipient = Some(&agent).filter(|agent| **agent != sender);
                let told =
                    self.tell(&sender, message_id.as_ref(), recipient, None, reason, &why, now);
                let (message, attempts, raw) = (None, 0, Some(raw));
                let burial = Burial { agent, reason, why, attempts, sender, message, raw };
                Record::Refused { at: now, source, burial, posts: told.into_iter().collect() }
            }
            IngressContent::Stray => Record::Passed { source },
        };
        self.draft(record);
    }

    fn ingest_direct(
        &mut self,
        source: Source,
        message: Arc<AgentMessage>,
        now: Timestamp,
    ) -> Record {
        let Some(recipient) = message.recipient_id.clone() else {
            return Record::Passed { source };
        };
        if matches!(source, Source::Ingress { way: Way::Intent, .. }) {
            if self.seen.get(&origin_key(&message.sender_id, &message.id)).is_some() {
                return Record::Passed { source };
            }
            let message = self.rerouted(message);
            let recipient = message.recipient_id.clone().unwrap_or(recipient);
            let posts = self.posts_of_choice(message, &recipient, now);
            return Record::Entered { at: now, source, posts };
        }
        let mut post = self.post_to(message, [recipient]);
        if post.to.is_empty() && post.refused.is_empty() {
            return Record::Passed { source };
        }
        post.expects = self.watches(&post.message) && !post.to.is_empty();
        let mut posts = self.tell_of_refusals(&post, now);
        posts.insert(0, post);
        Record::Entered { at: now, source, posts }
    }

    /// Takes letters of another shard, of which the first has the serial `first`. What came before is
    /// passed over.
    pub fn receive(
        &mut self,
        from: u16,
        first: u64,
        contents: Vec<LetterContent>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let arrived = self.outbox.arrived_from(from);
        if first > arrived + 1 {
            return Err(Fault::new(Code::Unavailable, "earlier letters did not come yet"));
        }
        for (serial, content) in (first..).zip(contents) {
            if serial > arrived {
                let record = self.receive_one(Source::Letter { from, serial }, content, now);
                self.draft(record);
            }
        }
        Ok(())
    }

    fn receive_one(&mut self, source: Source, content: LetterContent, now: Timestamp) -> Record {
        let posts = match content {
            LetterContent::Deliver { message, to } => {
                let first = message.recipient_id.clone();
                let message = self.rerouted(message);
                let post = match &message.recipient_id {
                    // The next best may have its mailbox elsewhere.
                    Some(next) if first.as_ref() != Some(next) => {
                        let next = next.clone();
                        self.post_to_all(AgentMessage::clone(&message), [next])
                    }
                    _ => self.post_to(message, to),
                };
                let mut posts = self.tell_of_refusals(&post, now);
                posts.insert(0, post);
                posts
            }
            LetterContent::Spread { message, audience } => {
                self.posts_of_spread(message, audience, false, now)
            }
            LetterContent::Expect { agent, request_id, responder, deadline } => {
                if !self.may_expect(&agent) {
                    return Record::Passed { source };
                }
                return Record::Expected {
                    at: now,
                    source,
                    agent,
                    request_id,
                    responder,
                    deadline,
                };
            }
            LetterContent::Bury(burial) => {
                return Record::Buried { at: now, source, burial: *burial };
            }
        };
        let is_nothing = posts.iter().all(|post| {
            post.to.is_empty() && post.refused.is_empty() && post.onward == Onward::Nobody
        });
        if is_nothing {
            return Record::Passed { source };
        }
        Record::Entered { at: now, source, posts }
    }

    /// Whether a message is a request whose time somebody watches. A sender of another shard is asked
    /// about there.
    pub(super) fn watches(&self, message: &AgentMessage) -> bool {
        let sender = &message.sender_id;
        message.kind == MessageType::Request && (!self.is_here(sender) || self.may_expect(sender))
    }

    /// Whether one more request of an agent can be watched. Beyond it the request goes its way, and
    /// nobody tells its sender when its time has run out.
    fn may_expect(&self, agent: &AgentId) -> bool {
        match self.mailboxes.get(agent) {
            Some(mailbox) => mailbox.requests.len() < self.settings.max_requests_per_mailbox,
            None => self.mailboxes.len() < self.settings.max_mailboxes,
        }
    }
}
