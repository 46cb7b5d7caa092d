//! What is known here of the agents: their profiles, from the registry, kept fresh by its events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;
use troupe_bus::connect::ConnectError;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::event::{self, AgentEvent, AgentEventKind};
use troupe_contract::registry::{AgentRef, GetAgent};
use troupe_contract::subject;
use troupe_domain::task::rules::Profile;
use troupe_domain::{Agent, AgentId, Code, Fault};

use super::leases;
use crate::shard::Router;

/// Agents that are remembered; beyond it all are forgotten and asked for anew.
const MAX_KNOWN_AGENTS: usize = 100_000;
/// How long a profile is believed without an event.
const FRESH_FOR: Duration = Duration::from_mins(1);
const ASK_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
struct Known {
    agent: Arc<Agent>,
    profile: Arc<Profile>,
    since: Instant,
}

/// The agents.
#[derive(Debug)]
pub struct Fleet {
    bus: Bus,
    known: RwLock<HashMap<AgentId, Known>>,
}

impl Fleet {
    /// Nobody is known yet.
    pub fn new(bus: Bus) -> Self {
        Self { bus, known: RwLock::default() }
    }

    /// The agent as the registry knows it.
    pub async fn agent(&self, id: &AgentId) -> Result<(Arc<Agent>, Arc<Profile>), Fault> {
        let found = self.known.read().get(id).cloned();
        if let Some(known) = found.filter(|known| known.since.elapsed() < FRESH_FOR) {
            return Ok((known.agent, known.profile));
        }
        let request = AgentRef { agent_id: id.clone() };
        let options = CallOptions::within(ASK_WITHIN);
        let reply =
            self.bus.call_with::<GetAgent>(&request, &options).await.map_err(
                |fault| match fault.code {
                    Code::NotFound => Fault::precondition(format!(
                        "{id} is not registered: call registry.register first"
                    )),
                    _ => Fault::new(
                        Code::Unavailable,
                        format!("the registry does not answer: {fault}"),
                    ),
                },
            )?;
        Ok(self.learn(reply.agent))
    }

    /// The agent, where it may take work now.
    pub async fn worker(&self, id: &AgentId) -> Result<(Arc<Agent>, Arc<Profile>), Fault> {
        let (agent, profile) = self.agent(id).await?;
        if agent.status.takes_work() {
            return Ok((agent, profile));
        }
        // The status may just have changed: the registry knows.
        self.known.write().remove(id);
        let (agent, profile) = self.agent(id).await?;
        if agent.status.takes_work() {
            return Ok((agent, profile));
        }
        Err(Fault::precondition(format!("{id} is {} and takes no work", agent.status.as_str())))
    }

    fn learn(&self, agent: Agent) -> (Arc<Agent>, Arc<Profile>) {
        let profile = Arc::new(agent.profile());
        let agent = Arc::new(agent);
        let known = Known { agent: agent.clone(), profile: profile.clone(), since: Instant::now() };
        let mut all = self.known.write();
        if all.len() >= MAX_KNOWN_AGENTS {
            all.clear();
        }
        all.insert(agent.id.clone(), known);
        (agent, profile)
    }

    /// Follows the registry's events: profiles stay fresh, and the leases of an agent that is gone
    /// are judged at once.
    pub async fn run(&self, router: Arc<Router>) -> Result<(), ConnectError> {
        let mut events = self.bus.listen(&subject::events_of(event::AGENT)).await?;
        while let Some(heard) = events.next().await {
            match heard.events::<AgentEvent>() {
                Ok(events) => events.into_iter().for_each(|event| self.hear(event.data, &router)),
                Err(why) => tracing::warn!(%why, subject = heard.subject, "not an agent's event"),
            }
        }
        Ok(())
    }

    fn hear(&self, event: AgentEvent, router: &Arc<Router>) {
        let gone = match event.event {
            AgentEventKind::HeartbeatMissed => return,
            AgentEventKind::AgentUnregistered => true,
            _ => !event.status.is_live(),
        };
        match event.agent {
            Some(agent) if event.event != AgentEventKind::AgentUnregistered => {
                self.learn(*agent);
            }
            _ => {
                self.known.write().remove(&event.agent_id);
            }
        }
        if !gone {
            return;
        }
        for shard in router.local() {
            let due = shard.look(|state| state.leases_of(&event.agent_id));
            if !due.is_empty() {
                tokio::spawn(leases::judge(self.bus.clone(), shard, due));
            }
        }
    }
}
