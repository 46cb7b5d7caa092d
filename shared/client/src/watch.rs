//! Watching over one hold: is the task still ours?
//!
//! Two sources tell. The events that take a task away come to its holder at once, without any promise that they arrive. A
//! renewal at half of every lease says it for certain: `stale_epoch` is the end of the hold. A
//! server that is away says nothing, and nothing is concluded from its silence: the epoch keeps late
//! writes out, and the first answer after the silence tells.

use std::time::Duration;

use tokio::sync::watch;
use troupe_bus::events::{Heard, Listener};
use troupe_contract::event::{TaskEvent, TaskEventKind};
use troupe_contract::subject;
use troupe_contract::work::{Extend, ExtendRequest};
use troupe_domain::{AgentId, Code, Fault, TaskId};

use crate::Troupe;
use crate::patience::Waits;

/// The shortest time between two renewals.
const SHORTEST_RENEWAL_MS: u64 = 100;
/// How long one renewal waits for its answer, at most.
const LONGEST_RENEWAL_ANSWER_MS: u64 = 5_000;

/// How a hold was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// Somebody called the task off.
    #[error("the task was cancelled: {0}")]
    Cancelled(String),
    /// The lease ran out, or somebody else holds the task now.
    #[error("the hold was lost: {0}")]
    Taken(String),
}

/// What identifies a hold.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) task_id: TaskId,
    pub(crate) epoch: u64,
    pub(crate) holder: AgentId,
    pub(crate) lease: Duration,
}

/// Watches until the hold is lost, and says so on `lost`.
pub(crate) async fn over(troupe: Troupe, hold: Hold, lost: watch::Sender<Option<Loss>>) {
    let mut events = listen(&troupe, &hold).await;
    let mut renewal = half(hold.lease);
    let mut waits = Waits::new();
    loop {
        let loss = tokio::select! {
            heard = next_event(&mut events) => judge_event(&hold, &heard),
            () = tokio::time::sleep(renewal) => match renew(&troupe, &hold).await {
                Ok(()) => {
                    (renewal, waits) = (half(hold.lease), Waits::new());
                    None
                }
                Err(fault) => {
                    renewal = waits.next();
                    judge_fault(&fault)
                }
            },
        };
        if let Some(loss) = loss {
            lost.send_replace(Some(loss));
            return;
        }
    }
}

fn half(lease: Duration) -> Duration {
    (lease / 2).max(Duration::from_millis(SHORTEST_RENEWAL_MS))
}

async fn listen(troupe: &Troupe, hold: &Hold) -> Option<Listener> {
    match troupe.bus().listen(&subject::hold(&hold.holder, &hold.task_id)).await {
        Ok(events) => Some(events),
        Err(why) => {
            tracing::warn!(%why, task_id = %hold.task_id, "no events of the task; renewals will tell");
            None
        }
    }
}

async fn next_event(events: &mut Option<Listener>) -> Heard {
    if let Some(listener) = events
        && let Some(heard) = listener.next().await
    {
        return heard;
    }
    // Closed, or never open: only renewals tell from now on.
    *events = None;
    std::future::pending().await
}

async fn renew(troupe: &Troupe, hold: &Hold) -> Result<(), Fault> {
    let request = ExtendRequest {
        task_id: hold.task_id.clone(),
        epoch: hold.epoch,
        lease_ms: None,
        progress_percent: None,
    };
    let longest = Duration::from_millis(LONGEST_RENEWAL_ANSWER_MS);
    let options = troupe_bus::CallOptions::within(half(hold.lease).clamp(longest / 10, longest));
    troupe.call_with::<Extend>(&request, &options).await.map(|_| ())
}

/// What the fault of a renewal says about the hold.
fn judge_fault(fault: &Fault) -> Option<Loss> {
    match fault.code {
        Code::StaleEpoch | Code::NotFound | Code::FailedPrecondition => {
            Some(Loss::Taken(fault.message.clone()))
        }
        code if code.is_transient() => None,
        _ => {
            tracing::warn!(%fault, "the lease could not be renewed");
            None
        }
    }
}

fn judge_event(hold: &Hold, heard: &Heard) -> Option<Loss> {
    match heard.events::<TaskEvent>() {
        Ok(events) => events.iter().find_map(|event| judge(hold, &event.data)),
        Err(why) => {
            tracing::debug!(%why, subject = heard.subject, "an event that cannot be read");
            None
        }
    }
}

/// What an event of the task says about the hold. Events of earlier epochs come late and say nothing.
fn judge(hold: &Hold, event: &TaskEvent) -> Option<Loss> {
    use TaskEventKind as Kind;
    if event.epoch < hold.epoch {
        return None;
    }
    let reason = event.reason.clone().unwrap_or_default();
    match event.event {
        Kind::TaskCancelled => Some(Loss::Cancelled(reason)),
        Kind::TaskClaimed if event.epoch > hold.epoch => {
            let by = event.by.as_ref().map_or("another agent", AgentId::as_str);
            Some(Loss::Taken(format!("{by} holds it at epoch {}", event.epoch)))
        }
        Kind::LeaseExpired => Some(Loss::Taken("the lease ran out".to_owned())),
        Kind::TaskReleased => Some(Loss::Taken(format!("it was given back: {reason}"))),
        Kind::TaskDead | Kind::TaskFailed if event.by.as_ref() != Some(&hold.holder) => {
            Some(Loss::Taken(format!("it ended: {reason}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_domain::{Name, TaskStatus, Timestamp};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn hold() -> Hold {
        Hold { task_id: name("t"), epoch: 3, holder: name("me"), lease: Duration::from_secs(30) }
    }

    fn event(kind: TaskEventKind, epoch: u64) -> TaskEvent {
        TaskEvent {
            event: kind,
            task_id: name("t"),
            status: TaskStatus::Available,
            epoch,
            at: Timestamp::from_millis(0),
            by: Some(name("other")),
            reason: Some("why".to_owned()),
            graph_id: None,
            task: None,
        }
    }

    #[test]
    fn what_ends_a_hold_is_seen_and_nothing_else_is() {
        use TaskEventKind as Kind;
        let ends = [
            event(Kind::TaskCancelled, 3),
            event(Kind::LeaseExpired, 3),
            event(Kind::TaskReleased, 3),
            event(Kind::TaskClaimed, 4),
        ];
        for event in ends {
            assert!(judge(&hold(), &event).is_some(), "{event:?}");
        }
        let goes_on = [
            event(Kind::TaskClaimed, 3),
            event(Kind::TaskStarted, 3),
            event(Kind::LeaseExpired, 2),
            event(Kind::TaskReleased, 2),
            event(Kind::ProgressStalled, 3),
        ];
        for event in goes_on {
            assert_eq!(judge(&hold(), &event), None, "{event:?}");
        }
    }

    #[test]
    fn silence_is_not_a_loss() {
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal] {
            assert_eq!(judge_fault(&Fault::new(code, "x")), None);
        }
        assert!(judge_fault(&Fault::new(Code::StaleEpoch, "x")).is_some());
    }
}
