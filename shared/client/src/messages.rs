//! Saying something: messages, requests, topics.
//!
//! A message has its id before it is sent for the first time, so that it can be sent again while the
//! outcome is unknown: it is delivered once.

use std::sync::Arc;
use std::time::Duration;

use troupe_bus::port::{System, World};
use troupe_contract::registry::Empty;
use troupe_contract::routing::{
    Send, Sent, Subscribe, Subscriptions, TopicPatterns, TopicPatternsReply, Unsubscribe,
};
use troupe_domain::message::{DEFAULT_REQUEST_TIMEOUT_MS, MessageSpec};
use troupe_domain::{AgentMessage, Code, Fault, MessageId, MessageType, Name, TopicPattern};

use crate::{Mailbox, MailboxSettings, Patience, Responses, Troupe, insist};

impl Troupe {
    /// A new id for a message or a turn.
    pub fn message_id(&self) -> Result<MessageId, Fault> {
        let id = System.ulid().to_string();
        Name::parse(&id).map_err(|why| Fault::new(Code::Internal, why.to_string()))
    }

    /// Sends a message; it is stored when this returns. Sent again while the outcome is unknown.
    pub async fn send(&self, message: MessageSpec) -> Result<Sent, Fault> {
        self.send_with(message, Patience::default()).await
    }

    /// The same, with another patience.
    pub async fn send_with(
        &self,
        mut message: MessageSpec,
        patience: Patience,
    ) -> Result<Sent, Fault> {
        if message.id.is_none() {
            message.id = Some(self.message_id()?);
        }
        insist::<Send>(self, &message, None, patience).await
    }

    /// Sends a request, and waits for its response until its deadline (`timeout_ms`, or 30 s). Any
    /// address is fine; of several responses this is the first.
    ///
    /// `deadline_exceeded`: nobody answered in time. Other faults are what the service, or who was
    /// asked, says of it. The response says by whom it is: a request may have been handed on.
    pub async fn request(&self, message: MessageSpec) -> Result<Arc<AgentMessage>, Fault> {
        let mut responses = self.request_all(message).await?;
        match responses.next().await? {
            Some(response) => Ok(response),
            None => Err(Fault::new(Code::DeadlineExceeded, "the request got no response in time")
                .with("request_id", responses.sent().message_id.as_str())),
        }
    }

    /// Sends a request to many, or to one, and yields what is said to it until its deadline.
    pub async fn request_all(&self, mut message: MessageSpec) -> Result<Responses, Fault> {
        if message.kind.is_some_and(|kind| kind != MessageType::Request) {
            return Err(Fault::invalid("type", "must be `request`, or left out"));
        }
        // What it is called is what it answers to.
        if message.request_id.is_some() && message.request_id != message.id {
            return Err(Fault::invalid("request_id", "of a request is its own id"));
        }
        // `broadcast` as a type would say something else than `request`.
        message.kind = Some(MessageType::Request);
        let id = match message.id.take() {
            Some(id) => id,
            None => self.message_id()?,
        };
        message.id = Some(id.clone());
        let to_many = message.topic.is_some() || message.broadcast;
        let timeout = message.timeout_ms.unwrap_or(DEFAULT_REQUEST_TIMEOUT_MS);
        let timeout = Duration::from_millis(timeout);
        // A response may be quicker than the answer to `send`.
        let place = self.desk.wait(id);
        let sent = self.send_with(message, Patience::within(timeout)).await?;
        Ok(Responses::new(self.clone(), sent, to_many, timeout, place))
    }

    /// The mailbox of this connection's name.
    pub fn mailbox(&self, settings: MailboxSettings) -> Mailbox {
        Mailbox::open(self.clone(), settings)
    }

    /// Follows topics: `*` stands for one name, `>` at the end for one or more. Gives all that is
    /// followed now.
    pub async fn subscribe(
        &self,
        patterns: Vec<TopicPattern>,
    ) -> Result<TopicPatternsReply, Fault> {
        let request = TopicPatterns { patterns };
        insist::<Subscribe>(self, &request, None, Patience::default()).await
    }

    /// Follows topics no more.
    pub async fn unsubscribe(
        &self,
        patterns: Vec<TopicPattern>,
    ) -> Result<TopicPatternsReply, Fault> {
        let request = TopicPatterns { patterns };
        insist::<Unsubscribe>(self, &request, None, Patience::default()).await
    }

    /// What this connection's name follows.
    pub async fn subscriptions(&self) -> Result<TopicPatternsReply, Fault> {
        insist::<Subscriptions>(self, &Empty {}, None, Patience::default()).await
    }
}
