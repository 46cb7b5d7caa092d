//! Full lifecycles over the bus: create, claim the best fitting task, start, complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use troupe_contract::work::{
    Complete, CompleteRequest, Create, HoldRequest, Next, NextRequest, Start,
};
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

async fn one(
    agent: Arc<Agent>,
    task: TaskSpec,
    steps: Arc<Steps>,
    phase: Arc<Phase>,
) -> Result<()> {
    let began = Instant::now();
    ask::<Create>(&agent.bus, &task).await?;
    let created = Instant::now();

    let poll = NextRequest { wait_ms: WAIT_MS };
    let reply = ask::<Next>(&agent.bus, &poll).await?;
    let claimed = reply.task.context("a task was there, and was not given")?;
    let taken = Instant::now();

    let (task_id, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
    let hold = HoldRequest { task_id: task_id.clone(), epoch };
    ask::<Start>(&agent.bus, &hold).await?;
    let started = Instant::now();

    let done = CompleteRequest { task_id, epoch, result: Some(result()), evidence: Vec::new() };
    ask::<Complete>(&agent.bus, &done).await?;
    if phase.measuring() {
        steps.create.record(created - began);
        steps.next.record(taken - created);
        steps.start.record(started - taken);
        steps.complete.record(started.elapsed());
    }
    Ok(())
}
