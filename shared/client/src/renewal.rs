//! Keeping what a mailbox handed out: one loop says of all of it that it is being worked on.
//!
//! Invariant: what is renewed is exactly what is in the caller's hands; the loop ends with the last of
//! its users.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use troupe_bus::CallOptions;
use troupe_contract::routing::{Ack, AckEffect, AckOutcome, AckRequest, AckResult, DeliveryRef};
use troupe_domain::limits::MAX_INBOX_MESSAGES;
use troupe_domain::{AgentId, Fault, MessageId};

use crate::Troupe;

/// Renewals in the time that a message may be out: two may fail.
const RENEWALS_PER_WAIT: u32 = 3;
/// The shortest time between two renewals.
const SHORTEST_PERIOD_MS: u64 = 80;

/// Which delivery of which message.
pub(crate) type Key = (MessageId, AgentId);

#[derive(Debug)]
struct Hold {
    attempt: u32,
    lost: watch::Sender<Option<String>>,
}

/// What is out, and the loop that renews it.
#[derive(Debug)]
pub(crate) struct Renewals {
    troupe: Troupe,
    holds: Mutex<BTreeMap<Key, Hold>>,
    renewing: OnceLock<AbortHandle>,
}

impl Renewals {
    /// Begins to renew, so that what is out for `ack_wait` at a time stays out.
    pub(crate) fn start(troupe: Troupe, ack_wait: Duration) -> Arc<Self> {
        let (holds, renewing) = (Mutex::default(), OnceLock::new());
        let renewals = Arc::new(Self { troupe, holds, renewing });
        let shortest = Duration::from_millis(SHORTEST_PERIOD_MS);
        let period = (ack_wait / RENEWALS_PER_WAIT).max(shortest);
        let task = tokio::spawn(renew_forever(Arc::downgrade(&renewals), period));
        renewals.renewing.get_or_init(|| task.abort_handle());
        renewals
    }

    /// Renews a delivery from now on; the receiver says when it is lost.
    pub(crate) fn hold(&self, key: Key, attempt: u32) -> watch::Receiver<Option<String>> {
        let (lost, receiver) = watch::channel(None);
        self.holds.lock().insert(key, Hold { attempt, lost });
        receiver
    }

    /// Renews a delivery no more.
    pub(crate) fn release(&self, key: &Key, attempt: u32) {
        let mut holds = self.holds.lock();
        // A newer delivery of the same message stays.
        if holds.get(key).is_some_and(|hold| hold.attempt == attempt) {
            holds.remove(key);
        }
    }

    fn deliveries(&self) -> Vec<DeliveryRef> {
        let holds = self.holds.lock();
        let refs = holds.iter().map(|((message_id, sender_id), hold)| DeliveryRef {
            message_id: message_id.clone(),
            sender_id: Some(sender_id.clone()),
            attempt: hold.attempt,
        });
        refs.collect()
    }

    async fn renew(&self, period: Duration) {
        for part in self.deliveries().chunks(MAX_INBOX_MESSAGES) {
            let request = AckRequest {
                messages: part.to_vec(),
                outcome: AckOutcome::Read,
                reason: String::new(),
                forward_to: None,
            };
            let options = CallOptions::within(period);
            match self.troupe.call_with::<Ack>(&request, &options).await {
                Ok(reply) => self.judge(part, &reply.results),
                Err(fault) => self.judge_fault(&fault),
            }
        }
    }

    /// A server that is away says nothing about the messages: the attempt's number keeps late words out.
    fn judge_fault(&self, fault: &Fault) {
        if !fault.code.is_transient() {
            tracing::warn!(%fault, agent = %self.troupe.name(), "messages could not be renewed");
        }
    }

    fn judge(&self, asked: &[DeliveryRef], results: &[AckResult]) {
        for (delivery, result) in asked.iter().zip(results) {
            if !matches!(result.result, AckEffect::Stale | AckEffect::Unknown) {
                continue;
            }
            let Some(sender_id) = delivery.sender_id.clone() else { continue };
            let key = (delivery.message_id.clone(), sender_id);
            let mut holds = self.holds.lock();
            if holds.get(&key).is_some_and(|hold| hold.attempt == delivery.attempt)
                && let Some(hold) = holds.remove(&key)
            {
                let attempt = delivery.attempt;
                hold.lost.send_replace(Some(format!("delivery {attempt} of it is over")));
            }
        }
    }
}

impl Drop for Renewals {
    fn drop(&mut self) {
        if let Some(task) = self.renewing.get() {
            task.abort();
        }
    }
}

async fn renew_forever(renewals: Weak<Renewals>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let Some(renewals) = renewals.upgrade() else { return };
        renewals.renew(period).await;
    }
}
