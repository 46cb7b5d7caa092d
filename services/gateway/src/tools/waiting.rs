//! Waiting for a task or a message on behalf of a client that may go away while it waits.
//!
//! Invariant: what was given to a call which nobody listens to any more goes back at once. Without
//! that, the gateway's own signs of life would keep a task in the hands of nobody. A poll that is
//! under way at a service cannot be called back: it is short, it runs to its end whoever listens, and
//! what it brings to nobody is given back.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;
use troupe_bus::CallOptions;
use troupe_bus::port::{System, World};
use troupe_client::{Patience, Troupe, insist};
use troupe_contract::routing::{
    Ack, AckOutcome, AckRequest, DeliveryRef, Inbox, InboxReply, InboxRequest,
};
use troupe_contract::work::{Next, NextRequest, Release, ReleaseRequest};
use troupe_domain::task::ClaimedTask;
use troupe_domain::{Code, Fault};

use super::Visit;

/// The longest poll at a service; a longer wait is several of them.
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// How much longer than the poll itself its answer is awaited.
const MARGIN: Duration = Duration::from_secs(2);
/// How long giving back is tried.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(30);
/// Why something is given back.
const GONE: &str = "whoever asked for it went away";
/// How long a message is out before it is delivered again: a model thinks for a while.
const ACK_WAIT_MS: u64 = 10 * 60 * 1000;

type Done = BoxFuture<'static, Result<(), Fault>>;
type Polled<T> = BoxFuture<'static, Result<Option<T>, Fault>>;

/// The next task, started; none if none came in time.
pub(super) async fn next(visit: &Visit, wait_ms: u64) -> Result<Option<ClaimedTask>, Fault> {
    let poll = |troupe: Troupe, wait: Duration| -> Polled<ClaimedTask> {
        Box::pin(async move { poll_task(&troupe, wait).await })
    };
    in_turns(visit, wait_ms, poll, |troupe, claimed| Box::pin(release(troupe, claimed))).await
}

/// What is in the mailbox, as soon as there is something.
pub(super) async fn inbox(
    visit: &Visit,
    wait_ms: u64,
    max_messages: usize,
) -> Result<Option<InboxReply>, Fault> {
    let poll = move |troupe: Troupe, wait: Duration| -> Polled<InboxReply> {
        Box::pin(async move { poll_inbox(&troupe, wait, max_messages).await })
    };
    in_turns(visit, wait_ms, poll, |troupe, reply| Box::pin(later(troupe, reply))).await
}

/// Polls until something comes, or the time is over.
async fn in_turns<T: Send + 'static>(
    visit: &Visit,
    wait_ms: u64,
    poll: impl Fn(Troupe, Duration) -> Polled<T>,
    back: fn(Troupe, T) -> Done,
) -> Result<Option<T>, Fault> {
    let end = Instant::now() + Duration::from_millis(wait_ms).min(visit.max_wait);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let troupe = visit.troupe().clone();
        let polling = poll(troupe.clone(), left.min(LONGEST_POLL));
        let (give, given) = oneshot::channel();
        tokio::spawn(async move {
            let outcome = polling.await;
            let handed = outcome.map(|found| found.map(|what| Handed::new(troupe, what, back)));
            // If nobody listens any more, dropping it gives it back.
            drop(give.send(handed));
        });
        let outcome = given.await.map_err(|_| Fault::new(Code::Internal, "the poll has ended"))?;
        match outcome? {
            Some(handed) => return Ok(handed.keep()),
            None if Instant::now() >= end => return Ok(None),
            None => {}
        }
    }
}

/// Something on its way to whoever asked for it: given back when it does not arrive.
struct Handed<T: Send + 'static> {
    troupe: Troupe,
    what: Option<T>,
    back: fn(Troupe, T) -> Done,
}

impl<T: Send + 'static> Handed<T> {
    fn new(troupe: Troupe, what: T, back: fn(Troupe, T) -> Done) -> Self {
        Self { troupe, what: Some(what), back }
    }

    /// It has arrived.
    fn keep(mut self) -> Option<T> {
        self.what.take()
    }
}

impl<T: Send + 'static> Drop for Handed<T> {
    fn drop(&mut self) {
        let Some(what) = self.what.take() else { return };
        let (troupe, back) = (self.troupe.clone(), self.back);
        tokio::spawn(async move {
            let agent = troupe.name().clone();
            if let Err(fault) = back(troupe, what).await {
                tracing::warn!(%agent, %fault, "what nobody waited for was not given back");
            }
        });
    }
}

async fn poll_task(troupe: &Troupe, wait: Duration) -> Result<Option<ClaimedTask>, Fault> {
    let command_id = System.ulid().to_string();
    let options =
        CallOptions { command_id: Some(command_id.clone()), ..CallOptions::within(wait + MARGIN) };
    let request = NextRequest { wait_ms: millis(wait), start: true };
    match troupe.call_with::<Next>(&request, &options).await {
        Ok(reply) => Ok(reply.task),
        // It may have been given a task: the same command gets the same one again.
        Err(fault) if fault.code == Code::DeadlineExceeded => {
            let request = NextRequest { wait_ms: 0, start: true };
            let patience = Patience::within(GIVE_BACK_PATIENCE);
            Ok(insist::<Next>(troupe, &request, Some(command_id), patience).await?.task)
        }
        Err(fault) => Err(fault),
    }
}

async fn release(troupe: Troupe, claimed: ClaimedTask) -> Result<(), Fault> {
    let request = ReleaseRequest {
        task_id: claimed.task.id.clone(),
        epoch: claimed.task.epoch,
        reason: GONE.to_owned(),
    };
    let patience = Patience::within(GIVE_BACK_PATIENCE);
    insist::<Release>(&troupe, &request, None, patience).await.map(|_| ())
}

/// None where the mailbox has nothing to hand out; the count of what is left comes with messages.
async fn poll_inbox(
    troupe: &Troupe,
    wait: Duration,
    max_messages: usize,
) -> Result<Option<InboxReply>, Fault> {
    let request = InboxRequest {
        wait_ms: millis(wait),
        max_messages: Some(max_messages),
        request_id: None,
        // What is said to a request is for the call that waits for it.
        without_answers: true,
        ack_wait_ms: Some(ACK_WAIT_MS),
    };
    let options = CallOptions {
        command_id: Some(System.ulid().to_string()),
        ..CallOptions::within(wait + MARGIN)
    };
    let reply = troupe.call_with::<Inbox>(&request, &options).await?;
    Ok(Some(reply).filter(|reply| !reply.messages.is_empty()))
}

async fn later(troupe: Troupe, reply: InboxReply) -> Result<(), Fault> {
    let messages = reply.messages.iter().map(|delivered| DeliveryRef {
        message_id: delivered.message.id.clone(),
        sender_id: Some(delivered.message.sender_id.clone()),
        attempt: delivered.delivery_attempts,
    });
    let request = AckRequest {
        messages: messages.collect(),
        outcome: AckOutcome::Retry,
        reason: GONE.to_owned(),
        forward_to: None,
    };
    let patience = Patience::within(GIVE_BACK_PATIENCE);
    insist::<Ack>(&troupe, &request, None, patience).await.map(|_| ())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(0)
}
