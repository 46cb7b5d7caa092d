//! Who in this process waits for the responses to which request.
//!
//! A mailbox that is polled as a whole may get a response that a request waits for. It hands it over
//! here, so that a response reaches its request whoever polled it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};
use troupe_domain::{AgentMessage, MessageId, MessageType};

use crate::HeldMessage;

/// Responses that may wait for one request; one more is left in the mailbox.
const MAX_WAITING_RESPONSES: usize = 64;

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<BTreeMap<MessageId, mpsc::Sender<HeldMessage>>>);

/// A request's place at the desk; leaving it is dropping it.
#[derive(Debug)]
pub(crate) struct Place {
    desk: Arc<Desk>,
    request_id: MessageId,
    given: mpsc::Receiver<HeldMessage>,
}

/// The request that a message ends, or says something to.
pub(crate) fn request_of(message: &AgentMessage) -> Option<&MessageId> {
    let says = matches!(message.kind, MessageType::Response | MessageType::Error);
    message.request_id.as_ref().filter(|_| says && message.session.is_none())
}

impl Desk {
    /// Waits for what is said to a request.
    pub(crate) fn wait(self: &Arc<Self>, request_id: MessageId) -> Place {
        let (give, given) = mpsc::channel(MAX_WAITING_RESPONSES);
        self.0.lock().insert(request_id.clone(), give);
        Place { desk: self.clone(), request_id, given }
    }

    /// Hands a message to the request that waits for it; gives it back if none does.
    pub(crate) fn give(&self, held: HeldMessage) -> Option<HeldMessage> {
        let Some(request_id) = request_of(held.message()).cloned() else { return Some(held) };
        let give = self.0.lock().get(&request_id).cloned();
        match give {
            Some(give) => match give.try_send(held) {
                // Without a hold it comes back by itself.
                Ok(()) | Err(TrySendError::Full(_)) => None,
                Err(TrySendError::Closed(held)) => Some(held),
            },
            None => Some(held),
        }
    }
}

impl Place {
    /// The next message that somebody else of this process got.
    pub(crate) async fn given(&mut self) -> HeldMessage {
        match self.given.recv().await {
            Some(held) => held,
            // Another request with the same id took the place.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.given.close();
        let mut places = self.desk.0.lock();
        if places.get(&self.request_id).is_some_and(mpsc::Sender::is_closed) {
            places.remove(&self.request_id);
        }
    }
}
