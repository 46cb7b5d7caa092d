//! The loop of an agent: poll, do, report; several tasks at once if asked, and messages beside them.
//!
//! Invariant: at most `concurrency` tasks are held; one poll is under way at a time; whatever ends
//! the loop, every program is gone and what was held is reported or given back, within bounds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use troupe_bus::port::{System, World};
use troupe_client::{AgentSession, HeldTask};
use troupe_domain::{Code, Fault};
use troupe_runtime::Signals;

use super::listener::Listener;
use super::messages::Hearing;
use super::work::{Done, Phase, Report, Way, carry_out, give_back};

/// The wait after a poll that was refused.
const REFUSED_WAIT_MS: u64 = 1_000;
/// How long giving back may take after the programs were stopped.
const GIVING_BACK_MS: u64 = 5_000;

/// When to stop, and how densely to poll.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) concurrency: usize,
    pub(crate) max_tasks: Option<u64>,
    pub(crate) max_messages: Option<u64>,
    pub(crate) idle_exit: Option<Duration>,
    pub(crate) poll: Duration,
    pub(crate) grace: Duration,
    /// How long a program that must stop gets.
    pub(crate) kill_grace: Duration,
}

/// What the agent did: its tasks, and its messages if it heard any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) tasks: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<Counts>,
}

/// How often each way to end was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Counts {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) released: u64,
    pub(crate) lost: u64,
}

impl Counts {
    pub(super) fn add(&mut self, report: Report) {
        match report {
            Report::Completed => self.completed += 1,
            Report::Failed => self.failed += 1,
            Report::Released => self.released += 1,
            Report::Lost => self.lost += 1,
        }
    }
}

/// An agent at work.
pub(crate) struct Runner {
    session: Arc<AgentSession>,
    /// How tasks are done; without one there are none.
    way: Option<Arc<Way>>,
    listener: Option<Listener>,
    limits: Limits,
    phase: watch::Sender<Phase>,
    at_work: JoinSet<Done>,
    poll: Option<Poll>,
    taken: u64,
    idle_since: Instant,
    summary: Summary,
}

struct Poll {
    command_id: String,
    task: JoinHandle<Result<Option<HeldTask>, Fault>>,
}

impl Runner {
    pub(crate) fn new(
        session: AgentSession,
        way: Option<Way>,
        hearing: Option<Hearing>,
        limits: Limits,
    ) -> Self {
        let phase = watch::channel(Phase::Working).0;
        let listener = hearing.map(|hearing| {
            Listener::start(session.troupe().clone(), hearing, limits, phase.subscribe())
        });
        Self {
            session: Arc::new(session),
            way: way.map(Arc::new),
            listener,
            limits,
            phase,
            at_work: JoinSet::new(),
            poll: None,
            taken: 0,
            idle_since: Instant::now(),
            summary: Summary::default(),
        }
    }

    /// Works until a signal, a limit, or the end of the session.
    pub(crate) async fn run(mut self, mut signals: Signals) -> Result<Summary> {
        let why = self.work(&mut signals).await;
        self.end_poll().await;
        self.session.announce_leaving();
        let bound = match &why {
            // What was taken within the limit is finished, however long it takes.
            Ok("a limit") => None,
            Ok(_) => Some(self.limits.grace),
            Err(_) => Some(Duration::ZERO),
        };
        self.drain(&mut signals, bound).await;
        let reason = why.as_ref().map_or("its session is over", |why| why);
        tracing::info!(reason, summary = ?self.summary, "the agent leaves");
        if let Ok(session) = Arc::try_unwrap(self.session)
            && why.is_ok()
            && let Err(fault) = session.leave(reason).await
        {
            tracing::warn!(%fault, "the goodbye did not get through");
        }
        why.map(|_| self.summary)
    }

    /// Takes and does work; says what ended it.
    async fn work(&mut self, signals: &mut Signals) -> Result<&'static str> {
        loop {
            let full = self.limits.max_tasks.is_some_and(|max| self.taken >= max);
            if full && self.at_work.is_empty() {
                return Ok("a limit");
            }
            let room = self.at_work.len() < self.limits.concurrency;
            if room && !full && self.poll.is_none() && self.way.is_some() {
                self.poll = Some(self.start_poll());
            }
            let idle_until = self.idle_until().filter(|_| !full);
            tokio::select! {
                signal = signals.next() => return Ok(signal),
                end = self.session.ended() => bail!(end),
                Some(done) = self.at_work.join_next() => self.finished(done),
                answer = answer_of(&mut self.poll) => {
                    self.poll = None;
                    self.take(answer).await?;
                }
                // The listener ends by itself at its limit.
                end = heard(&mut self.listener) => if let Some(end) = end {
                    return end.map(|()| "a limit").map_err(Into::into);
                },
                () = at(idle_until) => return Ok("idle for long enough"),
            }
        }
    }

    /// When the agent has been idle for long enough; never while it does something.
    fn idle_until(&self) -> Option<Instant> {
        let idle = self.limits.idle_exit.filter(|_| self.at_work.is_empty())?;
        let heard = match &self.listener {
            Some(listener) => listener.idle_since()?,
            None => self.idle_since,
        };
        Some(self.idle_since.max(heard) + idle)
    }

    fn start_poll(&self) -> Poll {
        let session = self.session.clone();
        let command_id = session.command_id();
        let id = command_id.clone();
        let wait = self.limits.poll;
        let task = tokio::spawn(async move { session.poll_and_start(&id, wait).await });
        Poll { command_id, task }
    }

    async fn take(&mut self, answer: Result<Option<HeldTask>, Fault>) -> Result<()> {
        match answer {
            Ok(Some(held)) => self.begin(held),
            Ok(None) => {}
            Err(fault) if matches!(fault.code, Code::PermissionDenied | Code::InvalidArgument) => {
                return Err(fault.into());
            }
            // The registry may have forgotten this agent; the heartbeats see to that.
            Err(fault) => {
                tracing::warn!(%fault, "the poll was refused");
                sleep(Duration::from_millis(REFUSED_WAIT_MS)).await;
            }
        }
        Ok(())
    }

    fn begin(&mut self, held: HeldTask) {
        self.taken += 1;
        if *self.phase.borrow() != Phase::Working {
            self.at_work.spawn(async move { give_back(&held).await.into() });
            return;
        }
        // Without a way nothing is polled for.
        let Some(way) = self.way.clone() else { return };
        let phase = self.phase.subscribe();
        // A task's slot passes to the one that its report brings; a limit is counted here.
        let more = self.limits.max_tasks.is_none();
        self.at_work.spawn(async move { carry_out(&way, held, phase, more, System.now()).await });
    }

    fn finished(&mut self, done: Result<Done, tokio::task::JoinError>) {
        if self.at_work.is_empty() {
            self.idle_since = Instant::now();
        }
        match done {
            Ok(Done { report, next }) => {
                self.summary.tasks.add(report);
                next.into_iter().for_each(|held| self.begin(held));
            }
            Err(why) => {
                tracing::error!(%why, "a task's run broke");
                self.summary.tasks.add(Report::Lost);
            }
        }
    }

    /// A poll under way is dropped; what it was given meanwhile is handed back.
    async fn end_poll(&mut self) {
        let Some(poll) = self.poll.take() else { return };
        poll.task.abort();
        match poll.task.await {
            Ok(Ok(Some(held))) => {
                if let Err(fault) = held.release("the agent is leaving").await {
                    tracing::warn!(%fault, "a task could not be handed back");
                }
            }
            Ok(_) => {}
            Err(_) => {
                if let Err(fault) = self.session.call_off(poll.command_id).await {
                    tracing::debug!(%fault, "the poll could not be called off");
                }
            }
        }
    }

    /// Waits for what is at work, at most for `bound`, then gives back what is left.
    async fn drain(&mut self, signals: &mut Signals, bound: Option<Duration>) {
        self.phase.send_replace(Phase::Draining);
        let until = bound.map(|bound| Instant::now() + bound);
        tokio::select! {
            () = self.rest() => return,
            _ = signals.next() => {}
            () = at(until) => {}
        }
        self.phase.send_replace(Phase::Abandoning);
        let most = self.limits.kill_grace + Duration::from_millis(GIVING_BACK_MS);
        if timeout(most, self.rest()).await.is_err() {
            tracing::error!("some work could not be given back; it comes back by itself");
        }
        self.at_work.shutdown().await;
    }

    /// Waits for everything that is at work. Can be dropped and called again.
    async fn rest(&mut self) {
        while let Some(done) = self.at_work.join_next().await {
            self.finished(done);
        }
        if let Some(listener) = &mut self.listener {
            self.summary.messages = Some(listener.finish().await);
        }
    }
}

/// Something changed for the listener; its end, if that is it.
async fn heard(listener: &mut Option<Listener>) -> Option<Result<(), Fault>> {
    match listener {
        Some(listener) => listener.changed().await,
        None => std::future::pending().await,
    }
}

async fn answer_of(poll: &mut Option<Poll>) -> Result<Option<HeldTask>, Fault> {
    match poll {
        Some(poll) => (&mut poll.task).await.unwrap_or_else(|why| {
            Err(Fault::new(Code::Internal, format!("the poll broke: {why}")))
        }),
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
