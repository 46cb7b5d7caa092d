//! A request and what is said to it.
//!
//! Only what is said to this request is polled for, so that other messages stay in the mailbox for
//! whoever reads it. Each response is acknowledged when it is handed to the caller.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use troupe_contract::Service;
use troupe_contract::routing::{DeadReason, InboxReply, Sent};
use troupe_domain::{AgentMessage, Code, Fault, MessageType};

use crate::desk::Place;
use crate::mailbox::{MailboxSettings, Poll};
use crate::patience::Waits;
use crate::renewal::Renewals;
use crate::{HeldMessage, Troupe};

/// How much longer than the request itself the word that nobody answered is waited for.
const LAST_WORD_MS: u64 = 2_000;

/// What is said to a request, until its time has run out.
#[derive(Debug)]
pub struct Responses {
    troupe: Troupe,
    sent: Sent,
    /// Whether several agents may answer.
    to_many: bool,
    deadline: Instant,
    place: Place,
    poll: Poll,
    settings: MailboxSettings,
    renewals: Arc<Renewals>,
    fetched: VecDeque<HeldMessage>,
}

impl Responses {
    pub(crate) fn new(
        troupe: Troupe,
        sent: Sent,
        to_many: bool,
        timeout: Duration,
        place: Place,
    ) -> Self {
        let settings = MailboxSettings::default();
        let ack_wait = Duration::from_millis(settings.ack_wait_ms());
        Self {
            renewals: Renewals::start(troupe.clone(), ack_wait),
            poll: Poll::of(Some(sent.message_id.clone())),
            deadline: Instant::now() + timeout,
            troupe,
            sent,
            to_many,
            place,
            settings,
            fetched: VecDeque::new(),
        }
    }

    /// What the service said of the request.
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// The next response; none when the time has run out. A fault is what the request ended with
    /// instead. Of a request to one agent there is one response.
    pub async fn next(&mut self) -> Result<Option<Arc<AgentMessage>>, Fault> {
        loop {
            let Some(held) = self.held().await? else { return Ok(None) };
            held.acknowledge().await?;
            let message = held.shared();
            if message.kind == MessageType::Response {
                return Ok(Some(message));
            }
            // One of many recipients that cannot be reached ends nothing.
            let (reason, fault) = read_error(&message);
            if !self.to_many || (reason.is_none() && is_from_the_service(&message)) {
                return Err(fault);
            }
            tracing::info!(%fault, by = %message.sender_id, "somebody will not answer");
        }
    }

    async fn held(&mut self) -> Result<Option<HeldMessage>, Fault> {
        let end = self.deadline + Duration::from_millis(LAST_WORD_MS);
        let mut waits = Waits::new();
        loop {
            if let Some(held) = self.fetched.pop_front() {
                return Ok(Some(held));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let polled = tokio::select! {
                held = self.place.given() => return Ok(Some(held)),
                polled = self.poll.once(&self.troupe, self.settings, left) => polled,
            };
            match polled {
                Ok(reply) => self.take(reply),
                Err(fault) if fault.code.is_transient() => {
                    tracing::warn!(%fault, "asking for the response again");
                    sleep(waits.next().min(left)).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    fn take(&mut self, reply: InboxReply) {
        let (troupe, renewals) = (&self.troupe, &self.renewals);
        let held = reply
            .messages
            .into_iter()
            .map(|delivered| HeldMessage::take(troupe.clone(), delivered, renewals.clone()));
        self.fetched.extend(held);
    }
}

fn is_from_the_service(message: &AgentMessage) -> bool {
    message.sender_id.as_str() == Service::Routing.full_name()
}

/// Why there is no response, as a fault. A word without a reason is that of time.
fn read_error(message: &AgentMessage) -> (Option<DeadReason>, Fault) {
    let body = message.body.as_ref().map(troupe_domain::Json::to_value).unwrap_or_default();
    let reason: Option<DeadReason> = message.body.as_ref().and_then(|body| {
        #[derive(serde::Deserialize)]
        struct Told {
            reason: DeadReason,
        }
        body.parse::<Told>().ok().map(|told| told.reason)
    });
    let text = match body["why"].as_str() {
        Some(why) => why.to_owned(),
        None if message.subject.is_empty() => format!("{} did not answer", message.sender_id),
        None => message.subject.clone(),
    };
    let code = match reason {
        None if is_from_the_service(message) => Code::DeadlineExceeded,
        Some(DeadReason::Expired) => Code::DeadlineExceeded,
        Some(DeadReason::MaxDeliver) => Code::Unavailable,
        Some(DeadReason::MailboxFull) => Code::ResourceExhausted,
        Some(DeadReason::Unroutable) => Code::NotFound,
        Some(DeadReason::Invalid) => Code::InvalidArgument,
        _ => Code::FailedPrecondition,
    };
    let mut fault = Fault::new(code, text);
    for field in ["reason", "recipient_id", "message_id"] {
        if let Some(value) = body[field].as_str() {
            fault = fault.with(field, value);
        }
    }
    (reason, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sender: &str, body: &str) -> AgentMessage {
        serde_json::from_str(&format!(
            r#"{{"id":"m","type":"error","priority":"high","sender_id":"{sender}",
                "subject":"no","body":{body},"created_at":"2026-01-01T00:00:00Z",
                "expires_at":"2026-01-01T01:00:00Z","requires_ack":true,
                "routing":{{"origin":"{sender}","hops":0,"max_hops":0}}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn an_error_says_what_kind_of_end_it_is() {
        let service = Service::Routing.full_name();
        let time = read_error(&said(service, r#"{"request_id":"r","deadline":"x"}"#));
        assert_eq!((time.0, time.1.code), (None, Code::DeadlineExceeded));
        let body = r#"{"reason":"rejected","why":"not mine","recipient_id":"bob"}"#;
        let (reason, fault) = read_error(&said(service, body));
        assert_eq!(reason, Some(DeadReason::Rejected));
        assert_eq!((fault.code, fault.message.as_str()), (Code::FailedPrecondition, "not mine"));
        assert_eq!(fault.details["recipient_id"], "bob");
        let (reason, fault) = read_error(&said("bob", "null"));
        assert_eq!((reason, fault.code), (None, Code::FailedPrecondition));
    }
}
