//! Waiting for a task on behalf of a client that may go away while it waits.
//!
//! Invariant: a task that was given to a call which nobody listens to any more goes back to the queue
//! at once. Without that, the gateway's own signs of life would keep it in the hands of nobody.

use std::time::Duration;

use troupe_bus::CallOptions;
use troupe_bus::port::{System, World};
use troupe_client::{Patience, Troupe, insist};
use troupe_contract::work::{Next, NextRequest, Release, ReleaseRequest};
use troupe_domain::Fault;
use troupe_domain::task::ClaimedTask;

use super::Visit;

/// How much longer than the poll itself its answer is awaited.
const MARGIN: Duration = Duration::from_secs(2);
/// How long a task that nobody listens for is given back.
const CALL_OFF_PATIENCE: Duration = Duration::from_secs(30);

/// The next task, started; none if none came in time.
pub(super) async fn next(visit: &Visit, wait_ms: u64) -> Result<Option<ClaimedTask>, Fault> {
    let wait = Duration::from_millis(wait_ms).min(visit.max_wait);
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(0);
    let mut poll = Poll::new(visit.troupe().clone());
    let options = CallOptions {
        command_id: Some(poll.command_id.clone()),
        ..CallOptions::within(wait + MARGIN)
    };
    let request = NextRequest { wait_ms, start: true };
    let answer = visit.troupe().call_with::<Next>(&request, &options).await;
    // After an unknown outcome nobody knows of a task that was given: it is called off as well.
    poll.answered = !matches!(&answer, Err(fault) if fault.code.is_transient());
    answer.map(|reply| reply.task)
}

/// A poll under way; called off when it is dropped before its answer came.
struct Poll {
    troupe: Troupe,
    command_id: String,
    answered: bool,
}

impl Poll {
    fn new(troupe: Troupe) -> Self {
        Self { troupe, command_id: System.ulid().to_string(), answered: false }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let (troupe, command_id) = (self.troupe.clone(), std::mem::take(&mut self.command_id));
        tokio::spawn(async move {
            if let Err(fault) = call_off(&troupe, command_id).await {
                tracing::warn!(agent = %troupe.name(), %fault, "a poll was not called off");
            }
        });
    }
}

/// Asks once more under the same command id, and gives back what was given to the first.
async fn call_off(troupe: &Troupe, command_id: String) -> Result<(), Fault> {
    let patience = Patience::within(CALL_OFF_PATIENCE);
    let request = NextRequest { wait_ms: 0, start: true };
    let Some(claimed) = insist::<Next>(troupe, &request, Some(command_id), patience).await?.task
    else {
        return Ok(());
    };
    let request = ReleaseRequest {
        task_id: claimed.task.id.clone(),
        epoch: claimed.task.epoch,
        reason: "whoever asked for it went away".to_owned(),
    };
    insist::<Release>(troupe, &request, None, patience).await.map(|_| ())
}
