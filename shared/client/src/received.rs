//! A message in this agent's hands.
//!
//! Every word on it carries the number of its delivery: a word on a former one writes nothing. While
//! this value lives the service is told that it is being worked on.

use std::sync::Arc;

use tokio::sync::watch;
use troupe_contract::routing::{
    Ack, AckEffect, AckOutcome, AckRequest, DeliveredMessage, DeliveryRef, Sent,
};
use troupe_domain::limits::MAX_NAME_CHARS;
use troupe_domain::message::MessageSpec;
use troupe_domain::{AgentId, AgentMessage, Code, Fault, Json, MessageId, MessageType, Name};

use crate::renewal::Renewals;
use crate::text::bounded;
use crate::{Patience, Troupe, insist};

/// A message that this agent has. Dropping it stops the renewals, and it is delivered again.
#[derive(Debug)]
pub struct HeldMessage {
    troupe: Troupe,
    delivered: DeliveredMessage,
    renewals: Arc<Renewals>,
    lost: Option<watch::Receiver<Option<String>>>,
}

impl HeldMessage {
    pub(crate) fn take(
        troupe: Troupe,
        delivered: DeliveredMessage,
        renewals: Arc<Renewals>,
    ) -> Self {
        let (message, attempt) = (&delivered.message, delivered.delivery_attempts);
        // What needs no acknowledgement was done when it was handed out.
        let lost = message
            .requires_ack
            .then(|| renewals.hold((message.id.clone(), message.sender_id.clone()), attempt));
        Self { troupe, delivered, renewals, lost }
    }

    /// The message.
    pub fn message(&self) -> &AgentMessage {
        &self.delivered.message
    }

    /// The message, to be kept.
    pub fn shared(&self) -> Arc<AgentMessage> {
        self.delivered.message.clone()
    }

    /// The message with its delivery, as an agent's program reads it.
    pub fn delivered(&self) -> &DeliveredMessage {
        &self.delivered
    }

    /// Which delivery of it this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivered.delivery_attempts
    }

    /// Whether its sender waits for a response.
    pub fn is_request(&self) -> bool {
        self.message().kind == MessageType::Request
    }

    /// Completes when the delivery is over: whatever is said of it now writes nothing.
    pub async fn lost(&self) -> String {
        let Some(lost) = &self.lost else { return std::future::pending().await };
        match lost.clone().wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // The hold was replaced by that of a newer delivery.
            Err(_) => "it was delivered again".to_owned(),
        }
    }

    /// It is done.
    pub async fn acknowledge(&self) -> Result<(), Fault> {
        self.say(AckOutcome::Acknowledged, "", None).await
    }

    /// It was seen and is being worked on. The loop of its mailbox says so by itself from time to time.
    pub async fn read(&self) -> Result<(), Fault> {
        self.say(AckOutcome::Read, "", None).await
    }

    /// It could not be handled now: again, after a while, as often as the service allows.
    pub async fn retry(&self, reason: &str) -> Result<(), Fault> {
        self.say(AckOutcome::Retry, reason, None).await
    }

    /// It will not be handled. Its sender is told why.
    pub async fn reject(&self, reason: &str) -> Result<(), Fault> {
        let reason = if reason.trim().is_empty() { "no reason was given" } else { reason };
        self.say(AckOutcome::Rejected, reason, None).await
    }

    /// Somebody else should have it.
    pub async fn forward(&self, to: AgentId, reason: &str) -> Result<(), Fault> {
        self.say(AckOutcome::Forwarded, reason, Some(to)).await
    }

    /// Answers a request, and acknowledges it. The response's id follows from the request, so that an
    /// agent that was interrupted in between, and gets the request again, answers once.
    ///
    /// A response that comes too late is refused (`failed_precondition`); the request is acknowledged
    /// all the same.
    pub async fn respond(&self, body: Option<Json>) -> Result<Sent, Fault> {
        let sent = self.troupe.send(self.response(body)?).await;
        match sent {
            Ok(sent) => self.acknowledge().await.map(|()| sent),
            Err(fault) if fault.code == Code::FailedPrecondition => {
                self.acknowledge().await?;
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    fn response(&self, body: Option<Json>) -> Result<MessageSpec, Fault> {
        let message = self.message();
        let Some(request_id) = message.request_id.clone().filter(|_| self.is_request()) else {
            return Err(Fault::precondition("the message is no request"));
        };
        Ok(MessageSpec {
            id: Some(response_id(&request_id)?),
            kind: Some(MessageType::Response),
            recipient_id: Some(message.sender_id.clone()),
            request_id: Some(request_id),
            priority: message.priority,
            subject: message.subject.clone(),
            body,
            ..MessageSpec::default()
        })
    }

    async fn say(
        &self,
        outcome: AckOutcome,
        reason: &str,
        forward_to: Option<AgentId>,
    ) -> Result<(), Fault> {
        if self.lost.is_none() {
            return Ok(());
        }
        let message = self.message();
        let delivery = DeliveryRef {
            message_id: message.id.clone(),
            sender_id: Some(message.sender_id.clone()),
            attempt: self.attempt(),
        };
        let request =
            AckRequest { messages: vec![delivery], outcome, reason: bounded(reason), forward_to };
        let reply = insist::<Ack>(&self.troupe, &request, None, Patience::default()).await?;
        let Some(result) = reply.results.into_iter().next() else {
            return Err(Fault::new(Code::Internal, "the answer says nothing of the message"));
        };
        let why = result.reason.unwrap_or_default();
        match (result.result, outcome) {
            // Unknown: the word before this one arrived, and its answer was lost.
            (AckEffect::Done, _) | (AckEffect::Unknown, AckOutcome::Acknowledged) => {}
            (AckEffect::Unknown, _) => return Err(Fault::not_found("message", &message.id)),
            (AckEffect::Stale, _) => {
                let what = format!("delivery {} of {} is over", self.attempt(), message.id);
                return Err(Fault::new(Code::StaleEpoch, what));
            }
            (AckEffect::Refused, _) => return Err(Fault::precondition(why)),
        }
        if outcome != AckOutcome::Read {
            self.release();
        }
        Ok(())
    }

    fn release(&self) {
        let message = self.message();
        self.renewals.release(&(message.id.clone(), message.sender_id.clone()), self.attempt());
    }
}

/// `re-` and the request's id, or as much of its end as fits: an id counts per sender and mailbox, and
/// the ends of ids are what tells them apart.
fn response_id(request_id: &MessageId) -> Result<MessageId, Fault> {
    const BEFORE: &str = "re-";
    let text = request_id.as_str();
    // Names are ASCII.
    let from = text.len().saturating_sub(MAX_NAME_CHARS - BEFORE.len());
    Name::parse(&format!("{BEFORE}{}", &text[from..]))
        .map_err(|why| Fault::new(Code::Internal, why.to_string()))
}

impl Drop for HeldMessage {
    fn drop(&mut self) {
        if self.lost.is_some() {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_responses_id_follows_from_the_request_however_long_that_is() {
        let id = |text: &str| response_id(&Name::parse(text).unwrap()).unwrap();
        assert_eq!(id("01ABC").as_str(), "re-01ABC");
        let long = id(&format!("{}z", "x".repeat(MAX_NAME_CHARS - 1)));
        assert_eq!(long.as_str().len(), MAX_NAME_CHARS);
        assert!(long.as_str().ends_with("xz"));
    }
}
