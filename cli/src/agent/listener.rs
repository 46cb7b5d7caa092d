//! The mailbox of an agent, beside its tasks: one program for each message, several at once if asked.
//!
//! Invariant: one message of a sender is at work at a time, because the mailbox gives no other; what
//! is at work when the agent leaves is finished, or goes back to the mailbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use troupe_client::{HeldMessage, Mailbox, MailboxSettings, Troupe};
use troupe_domain::{Code, Fault};

use super::messages::{Hearing, handle};
use super::runner::{Counts, Limits};
use super::work::{Phase, Report};

/// The wait after a poll that was refused.
const REFUSED_WAIT_MS: u64 = 1_000;
/// How long the mailbox is asked, at the end, for what the last poll may have been given.
const LAST_LOOK_MS: u64 = 1_000;

/// What a listener is doing.
#[derive(Debug, Clone)]
struct Activity {
    at_work: usize,
    /// Since when nothing is.
    since: Instant,
    counts: Counts,
    /// It ended by itself.
    end: Option<Result<(), Fault>>,
}

/// A listener at work.
pub(crate) struct Listener {
    activity: watch::Receiver<Activity>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Begins to listen.
    pub(crate) fn start(
        troupe: Troupe,
        hearing: Hearing,
        limits: Limits,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let nothing =
            Activity { at_work: 0, since: Instant::now(), counts: Counts::default(), end: None };
        let (tell, activity) = watch::channel(nothing);
        // A sender's next message waits in the mailbox until this one is done: order is kept there.
        let settings = MailboxSettings {
            max_messages: 1,
            without_answers: !hearing.with_answers,
            ack_wait: hearing.ack_wait,
        };
        let hearing = Arc::new(hearing);
        let listening = Listening {
            mailbox: troupe.mailbox(settings),
            slots: Arc::new(Semaphore::new(limits.concurrency)),
            at_work: JoinSet::new(),
            max: limits.max_messages,
            hearing,
            phase,
            tell,
        };
        Self { activity, task: tokio::spawn(listening.run()) }
    }

    /// Since when no message is at work; none while one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let activity = self.activity.borrow();
        (activity.at_work == 0).then_some(activity.since)
    }

    /// Completes when something changed; with its end, where it ended by itself.
    pub(crate) async fn changed(&mut self) -> Option<Result<(), Fault>> {
        let gone = self.activity.changed().await.is_err();
        let end = self.activity.borrow().end.clone();
        let broke = || Err(Fault::new(Code::Internal, "the listener for messages broke"));
        end.or_else(|| gone.then(broke))
    }

    /// Waits until everything is finished; the phase must have changed. Can be called again.
    pub(crate) async fn finish(&mut self) -> Counts {
        if !self.task.is_finished()
            && let Err(why) = (&mut self.task).await
        {
            tracing::error!(%why, "the listener for messages broke");
        }
        self.activity.borrow().counts
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listening {
    mailbox: Mailbox,
    hearing: Arc<Hearing>,
    slots: Arc<Semaphore>,
    at_work: JoinSet<Report>,
    max: Option<u64>,
    phase: watch::Receiver<Phase>,
    tell: watch::Sender<Activity>,
}

impl Listening {
    async fn run(mut self) {
        let end = self.listen().await;
        while let Some(done) = self.at_work.join_next().await {
            finished(&self.tell, done);
        }
        self.tell.send_modify(|activity| activity.end = end);
    }

    /// Takes messages until the agent leaves (none), a limit is reached, or it is refused.
    async fn listen(&mut self) -> Option<Result<(), Fault>> {
        let mut taken = 0;
        loop {
            if self.max.is_some_and(|max| taken >= max) {
                return Some(Ok(()));
            }
            let slot = self.slots.clone().acquire_owned();
            let slot = self.beside(slot).await?.ok()?;
            let Some(held) = self.next().await else {
                self.last_look().await;
                return None;
            };
            match held {
                Ok(held) => {
                    taken += 1;
                    self.begin(held, slot);
                }
                Err(fault) if is_final(&fault) => return Some(Err(fault)),
                Err(fault) => {
                    tracing::warn!(%fault, "the poll for messages was refused");
                    sleep(Duration::from_millis(REFUSED_WAIT_MS)).await;
                }
            }
        }
    }

    /// The next message; none when the agent leaves.
    async fn next(&mut self) -> Option<Result<HeldMessage, Fault>> {
        let Self { mailbox, at_work, phase, tell, .. } = self;
        while_working(phase, at_work, tell, mailbox.next()).await
    }

    /// Waits for something else, in the same way.
    async fn beside<T>(&mut self, wanted: impl Future<Output = T>) -> Option<T> {
        while_working(&mut self.phase, &mut self.at_work, &self.tell, wanted).await
    }

    fn begin(&mut self, held: HeldMessage, slot: tokio::sync::OwnedSemaphorePermit) {
        self.tell.send_modify(|activity| activity.at_work += 1);
        let (hearing, phase) = (self.hearing.clone(), self.phase.clone());
        self.at_work.spawn(async move {
            let report = handle(&hearing, &held, phase).await;
            drop(slot);
            report
        });
    }

    /// What the poll that was dropped may have been given goes back at once.
    async fn last_look(&mut self) {
        let most = Duration::from_millis(LAST_LOOK_MS);
        if let Ok(Ok(Some(held))) = timeout(most, self.mailbox.poll(Duration::ZERO)).await
            && let Err(fault) = held.retry("the agent is leaving").await
        {
            tracing::warn!(%fault, "a message could not be given back");
        }
    }
}

/// Waits for `wanted`, and sees to what ends meanwhile; none when the agent leaves.
async fn while_working<T>(
    phase: &mut watch::Receiver<Phase>,
    at_work: &mut JoinSet<Report>,
    tell: &watch::Sender<Activity>,
    wanted: impl Future<Output = T>,
) -> Option<T> {
    let leaving = phase.wait_for(|phase| *phase != Phase::Working);
    tokio::pin!(leaving, wanted);
    loop {
        tokio::select! {
            biased;
            _ = &mut leaving => return None,
            Some(done) = at_work.join_next() => finished(tell, done),
            got = &mut wanted => return Some(got),
        }
    }
}

fn finished(tell: &watch::Sender<Activity>, done: Result<Report, JoinError>) {
    let report = done.unwrap_or_else(|why| {
        tracing::error!(%why, "a message's run broke");
        Report::Lost
    });
    tell.send_modify(|activity| {
        activity.at_work -= 1;
        activity.since = Instant::now();
        activity.counts.add(report);
    });
}

fn is_final(fault: &Fault) -> bool {
    matches!(fault.code, Code::PermissionDenied | Code::InvalidArgument)
}
