//! The agents of a run: each a connection of its own, registered, with heartbeats.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_contract::Endpoint;
use troupe_contract::registry::{Heartbeat, HeartbeatRequest, Register, RegisterAgent};
use troupe_contract::work::{Complete, CompleteRequest, HoldRequest, Start};
use troupe_domain::limits::MAX_CONCURRENT_TASKS;
use troupe_domain::task::ClaimedTask;
use troupe_domain::{AgentStatus, Capability, Json, Name, Surface};

use crate::stack::connect;

/// The role that every agent of a run has and every task asks for.
pub(crate) const ROLE: &str = "implementer";
/// What every agent can do, and tasks ask for where nothing else is said.
pub(crate) const CAPABILITY: &str = "rust";
const PROFICIENCY: f64 = 0.9;

/// Calls `E`.
pub(crate) async fn ask<E: Endpoint>(bus: &Bus, request: &E::Request) -> Result<E::Reply> {
    let reply = bus.call::<E>(request).await;
    reply.with_context(|| format!("{}.{}", E::SERVICE.token(), E::OPERATION))
}

/// A registered agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) bus: Bus,
    heartbeats: JoinHandle<()>,
}

impl Agent {
    /// Connects and registers, with [`CAPABILITY`] and `more`.
    pub(crate) async fn join(url: &str, id: &str, more: &[Name]) -> Result<Self> {
        let bus = connect(url, id).await?;
        let can = std::iter::once(Name::parse(CAPABILITY)?).chain(more.iter().cloned());
        let declaration = RegisterAgent {
            id: None,
            role: Name::parse(ROLE)?,
            persona: None,
            capabilities: can.map(|name| Capability::new(name, PROFICIENCY)).collect(),
            surface: Surface::Cli,
            max_concurrent_tasks: MAX_CONCURRENT_TASKS,
            parent_agent_id: None,
            session_id: None,
            status: AgentStatus::Active,
            metadata: None,
        };
        let registered = ask::<Register>(&bus, &declaration).await?;
        let every = Duration::from_millis(registered.heartbeat_interval_ms);
        let heartbeats = tokio::spawn(beat(bus.clone(), every));
        Ok(Self { bus, heartbeats })
    }

    /// Starts and completes what was claimed.
    pub(crate) async fn finish(&self, claimed: &ClaimedTask, result: Json) -> Result<()> {
        let (task_id, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
        let hold = HoldRequest { task_id: task_id.clone(), epoch };
        ask::<Start>(&self.bus, &hold).await?;
        let done = CompleteRequest::new(task_id, epoch, Some(result));
        ask::<Complete>(&self.bus, &done).await?;
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.heartbeats.abort();
    }
}

async fn beat(bus: Bus, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if let Err(why) = bus.call::<Heartbeat>(&HeartbeatRequest::default()).await {
            tracing::warn!(%why, "a heartbeat of a benchmark's agent was not taken");
        }
    }
}
