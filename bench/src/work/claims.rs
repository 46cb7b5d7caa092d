//! How fast a claim is: idle, woken from a long poll, and under load at a steady rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::work::{Create, Next, NextRequest};
use troupe_domain::task::ClaimedTask;

use super::shape::{Shape, result};
use crate::agents::{Agent, ask};
use crate::latency::{Latency, Recorder};
use crate::stack::Stack;

/// How long a poll waits for its task.
const WAIT_MS: u64 = 4_000;
/// How often it is looked whether the poll waits.
const LOOK: Duration = Duration::from_micros(500);
const LOOK_LIMIT: Duration = Duration::from_secs(4);
/// Lifecycles at once under load; beyond it the rate is not held, and the run fails.
const MAX_AT_ONCE: usize = 8_192;

/// Claims while nothing else happens.
#[derive(Debug, Clone, Serialize)]
pub struct Idle {
    /// `next` with one task there: from the request to its answer.
    pub next: Latency,
    /// From a creation to the answer of the long poll that waited for it.
    pub create_to_delivered: Latency,
}

/// Claims at a steady rate of lifecycles.
#[derive(Debug, Clone, Serialize)]
pub struct Loaded {
    /// Lifecycles that were begun per second.
    pub rate_per_s: f64,
    /// From the moment at which a claim was due, whether or not it could be sent then.
    pub next_since_due: Latency,
    /// From the request to its answer.
    pub next_since_sent: Latency,
}

/// Claims the next task, which is there or comes soon.
pub(super) async fn next(bus: &Bus) -> Result<ClaimedTask> {
    let reply = ask::<Next>(bus, &NextRequest::waiting(WAIT_MS)).await?;
    reply.task.context("no task came in time")
}

/// One worker, one task at a time; then one poll that waits.
pub(super) async fn idle(
    stack: &Stack,
    creator: &Bus,
    agent: &Agent,
    rounds: usize,
) -> Result<Idle> {
    let shape = Shape::new()?;
    let (there, woken) = (Recorder::default(), Recorder::default());
    for number in 0..rounds {
        ask::<Create>(creator, &shape.task(number)).await?;
        let began = Instant::now();
        let claimed = next(&agent.bus).await?;
        there.record(began.elapsed());
        agent.finish(&claimed, result()).await?;
    }
    for number in 0..rounds {
        let bus = agent.bus.clone();
        let poll = tokio::spawn(async move { (next(&bus).await, Instant::now()) });
        until_waiting(stack).await?;
        let began = Instant::now();
        ask::<Create>(creator, &shape.task(number)).await?;
        let (claimed, delivered) = poll.await?;
        woken.record(delivered.saturating_duration_since(began));
        agent.finish(&claimed?, result()).await?;
    }
    Ok(Idle { next: there.summary(), create_to_delivered: woken.summary() })
}

async fn until_waiting(stack: &Stack) -> Result<()> {
    let began = Instant::now();
    while stack.waiting_polls() == 0 {
        if began.elapsed() > LOOK_LIMIT {
            bail!("a poll did not begin to wait");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// One lifecycle after the other at `rate_per_s`, each at its time, however long the former ones
/// take: what is slow does not slow the questions down, and shows.
pub(super) async fn under_load(
    creator: &Bus,
    agents: &[Arc<Agent>],
    rate_per_s: f64,
    lasting: Duration,
    backlog_tasks: usize,
) -> Result<Loaded> {
    let shape = Shape::new()?;
    // Tasks that wait from the beginning, so that no claim waits for a creation.
    for number in 0..backlog_tasks {
        ask::<Create>(creator, &shape.task(number)).await?;
    }
    let (due, sent) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let at_once = Arc::new(AtomicUsize::new(0));
    let mut times = pace(rate_per_s, lasting);
    let mut work = JoinSet::new();
    let mut begun = 0_usize;
    while let Some(at) = times.recv().await {
        while let Some(ended) = work.try_join_next() {
            ended.context("a worker panicked")??;
        }
        if at_once.fetch_add(1, Ordering::Relaxed) >= MAX_AT_ONCE {
            bail!("{rate_per_s:.0} lifecycles a second pile up");
        }
        let agent = agents[begun % agents.len()].clone();
        let task = shape.task(begun);
        let (due, sent, at_once) = (due.clone(), sent.clone(), at_once.clone());
        begun += 1;
        work.spawn(async move {
            let create = async { ask::<Create>(&agent.bus, &task).await };
            let take = async {
                let asked = Instant::now();
                let claimed = next(&agent.bus).await?;
                due.record(at.elapsed());
                sent.record(asked.elapsed());
                agent.finish(&claimed, result()).await
            };
            let done = futures::future::try_join(create, take).await;
            at_once.fetch_sub(1, Ordering::Relaxed);
            done.map(|_| ())
        });
    }
    while let Some(ended) = work.join_next().await {
        ended.context("a worker panicked")??;
    }
    drain(agents, backlog_tasks).await?;
    Ok(Loaded {
        rate_per_s: begun as f64 / lasting.as_secs_f64(),
        next_since_due: due.summary(),
        next_since_sent: sent.summary(),
    })
}

/// Finishes `tasks` that wait.
async fn drain(agents: &[Arc<Agent>], tasks: usize) -> Result<()> {
    for number in 0..tasks {
        let agent = &agents[number % agents.len()];
        agent.finish(&next(&agent.bus).await?, result()).await?;
    }
    Ok(())
}

/// The moments at which something is due. A thread keeps the time: the runtime's own timers are only
/// exact to a millisecond, which is more than what is measured.
fn pace(rate_per_s: f64, lasting: Duration) -> mpsc::UnboundedReceiver<Instant> {
    // Bounded by the length of the run: rate times time.
    let (due, times) = mpsc::unbounded_channel();
    let began = Instant::now();
    std::thread::spawn(move || {
        for number in 0_u32.. {
            let at = Duration::from_secs_f64(f64::from(number) / rate_per_s);
            if at > lasting {
                break;
            }
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            if due.send(began + at).is_err() {
                break;
            }
        }
    });
    times
}
