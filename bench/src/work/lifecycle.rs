//! Full lifecycles over the bus: create, claim the best fitting task, start, complete; with a request
//! for each step, or as `troupe agent run` does it: the report of one task takes the next one along.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use troupe_contract::work::{
    Complete, CompleteRequest, Create, HoldRequest, Next, NextRequest, Start,
};
use troupe_domain::task::ClaimedTask;
use troupe_domain::task::spec::TaskSpec;

use super::shape::{Shape, result};
use crate::agents::{Agent, ask};
use crate::latency::{Latency, Recorder};
use crate::load::{Loaded, Phase, Span, closed_loop};
use crate::stack::Stack;

/// How long a poll waits; there is always a task for it, for each worker has created one before.
const WAIT_MS: u64 = 4_000;

/// How long each step took, while it was measured.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) create: Recorder,
    pub(super) next: Recorder,
    pub(super) start: Recorder,
    pub(super) complete: Recorder,
}

impl Steps {
    pub(super) fn summary(&self) -> BTreeMap<&'static str, Latency> {
        [
            ("create", &self.create),
            ("next", &self.next),
            ("start", &self.start),
            ("complete", &self.complete),
        ]
        .map(|(step, recorder)| (step, recorder.summary()))
        .into()
    }
}

/// Lifecycles by `in_flight` workers, who share the agents' connections.
pub(super) async fn run(
    stack: &Stack,
    agents: &[Arc<Agent>],
    in_flight: usize,
    span: Span,
    steps: &Arc<Steps>,
) -> Result<Loaded> {
    let shape = Shape::new()?;
    let others = stack.others();
    let worker = |worker: usize, phase: Arc<Phase>| {
        let agent = agents[worker % agents.len()].clone();
        let (shape, steps, mut round) = (shape.clone(), steps.clone(), worker);
        move || {
            round += 1;
            one(agent.clone(), shape.task(round), steps.clone(), phase.clone())
        }
    };
    closed_loop(in_flight, span, &others, worker).await
}

/// Lifecycles by `in_flight` workers, each of whom gets its next task, started, with the answer to its
/// report of the last one.
pub(super) async fn run_joined(
    stack: &Stack,
    agents: &[Arc<Agent>],
    in_flight: usize,
    span: Span,
) -> Result<Loaded> {
    let shape = Shape::new()?;
    let others = stack.others();
    let hands: Vec<Hand> = (0..in_flight).map(|_| Hand::default()).collect();
    let worker = |worker: usize, phase: Arc<Phase>| {
        let (agent, hand) = (agents[worker % agents.len()].clone(), hands[worker].clone());
        let (shape, mut round) = (shape.clone(), worker);
        move || {
            round += 1;
            one_joined(agent.clone(), shape.task(round), hand.clone(), phase.clone())
        }
    };
    let loaded = closed_loop(in_flight, span, &others, worker).await?;
    for (worker, hand) in hands.iter().enumerate() {
        let Some(held) = hand.lock().take() else { continue };
        let done = CompleteRequest::new(held.task.id.clone(), held.task.epoch, Some(result()));
        ask::<Complete>(&agents[worker % agents.len()].bus, &done).await?;
    }
    Ok(loaded)
}

async fn first(agent: &Agent) -> Result<Option<ClaimedTask>> {
    let poll = NextRequest { wait_ms: WAIT_MS, start: true };
    Ok(ask::<Next>(&agent.bus, &poll).await?.task)
}

/// The task that a worker has in its hands between two rounds.
type Hand = Arc<Mutex<Option<ClaimedTask>>>;

async fn one_joined(
    agent: Arc<Agent>,
    task: TaskSpec,
    hand: Hand,
    phase: Arc<Phase>,
) -> Result<()> {
    ask::<Create>(&agent.bus, &task).await?;
    let held = hand.lock().take();
    let held = match held {
        None => first(&agent).await?,
        held => held,
    };
    let Some(held) = held else {
        // Workers that have ended may hold what the last ones wait for.
        return if phase.ending() { Ok(()) } else { bail!("a task was there, and was not given") };
    };
    let done = CompleteRequest::new(held.task.id.clone(), held.task.epoch, Some(result()));
    let done = CompleteRequest { next: true, ..done };
    let answer = ask::<Complete>(&agent.bus, &done).await?;
    *hand.lock() = answer.next;
    Ok(())
}

async fn one(
    agent: Arc<Agent>,
    task: TaskSpec,
    steps: Arc<Steps>,
    phase: Arc<Phase>,
) -> Result<()> {
    let began = Instant::now();
    ask::<Create>(&agent.bus, &task).await?;
    let created = Instant::now();

    let poll = NextRequest::waiting(WAIT_MS);
    let reply = ask::<Next>(&agent.bus, &poll).await?;
    let claimed = reply.task.context("a task was there, and was not given")?;
    let taken = Instant::now();

    let (task_id, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
    let hold = HoldRequest { task_id: task_id.clone(), epoch };
    ask::<Start>(&agent.bus, &hold).await?;
    let started = Instant::now();

    let done = CompleteRequest::new(task_id, epoch, Some(result()));
    ask::<Complete>(&agent.bus, &done).await?;
    if phase.measuring() {
        steps.create.record(created - began);
        steps.next.record(taken - created);
        steps.start.record(started - taken);
        steps.complete.record(started.elapsed());
    }
    Ok(())
}
