//! Agents that hold tasks: a graph of them, all claimed and started.

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::progress::{ProgressStats, Summary, SummaryRequest};
use troupe_contract::registry::Empty;
use troupe_contract::work::{CreateGraph, GraphSpec, Next, NextRequest};
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{Name, TaskId};

use super::options::Sizes;
use crate::agents::{Agent, ROLE, ask};
use crate::stack::connect;

/// How long the service may take to hear of all tasks.
const HEAR_WITHIN: std::time::Duration = std::time::Duration::from_mins(2);
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// A task in an agent's hands.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) task: TaskId,
    pub(super) epoch: u64,
    pub(super) agent: usize,
}

/// The agents with what they hold.
pub(super) struct Holders {
    pub(super) agents: Vec<Agent>,
    pub(super) held: Vec<Held>,
    pub(super) graph: Name,
    pub(super) operator: Bus,
}

impl Holders {
    /// Creates the graph, and lets the agents take it in turn.
    pub(super) async fn take(url: &str, sizes: &Sizes) -> Result<Self> {
        let operator = connect(url, "operator").await?;
        let task = |number: usize| -> Result<TaskSpec> {
            Ok(TaskSpec {
                key: Some(Name::parse(&format!("t{number}"))?),
                title: format!("benchmark {number}"),
                required_role: Some(Name::parse(ROLE)?),
                estimated_minutes: Some(10.0),
                lease_ms: Some(troupe_domain::limits::MAX_LEASE_MS),
                ..TaskSpec::default()
            })
        };
        let tasks = (0..sizes.tasks).map(task).collect::<Result<Vec<_>>>()?;
        let spec = GraphSpec { tasks, idempotency_key: None };
        let graph = ask::<CreateGraph>(&operator, &spec).await?.graph_id;
        let mut agents = Vec::new();
        for number in 0..sizes.connections {
            agents.push(Agent::join(url, &format!("agent-{number}"), &[]).await?);
        }
        let mut taking = JoinSet::new();
        for (number, agent) in agents.iter().enumerate() {
            let count = (number..sizes.tasks).step_by(sizes.connections).count();
            taking.spawn(take_some(agent.bus.clone(), number, count));
        }
        let mut held = Vec::with_capacity(sizes.tasks);
        while let Some(taken) = taking.join_next().await {
            held.extend(taken.context("an agent panicked")??);
        }
        let holders = Self { agents, held, graph, operator };
        holders.until_heard().await?;
        Ok(holders)
    }

    /// Waits until the service knows that every task is at work.
    async fn until_heard(&self) -> Result<()> {
        let over =
            SummaryRequest { graph_id: Some(self.graph.clone()), ..SummaryRequest::default() };
        let began = tokio::time::Instant::now();
        loop {
            let summary = self.operator.call::<Summary>(&over).await;
            let at_work = summary.map_or(0, |summary| summary.items_in_progress);
            if at_work == self.held.len() as u64 {
                return Ok(());
            }
            ensure!(began.elapsed() < HEAR_WITHIN, "{at_work} tasks were heard of");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Reports that the service ever stored.
    pub(super) async fn reports(&self) -> Result<u64> {
        Ok(ask::<ProgressStats>(&self.operator, &Empty {}).await?.reports)
    }
}

/// An agent claims and starts so many.
async fn take_some(bus: Bus, agent: usize, count: usize) -> Result<Vec<Held>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let next = NextRequest { wait_ms: 10_000, start: true };
        let claimed = ask::<Next>(&bus, &next).await?.task.context("a task")?;
        let (task, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
        held.push(Held { task, epoch, agent });
    }
    Ok(held)
}
