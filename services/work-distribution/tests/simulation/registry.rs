//! Who lives: the truth about the agents, as far as the registry can tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use troupe_bus::model::Chance;
use troupe_domain::{AgentId, TaskId};
use troupe_work_distribution::rules::commands::HolderLife;

/// Silence after which an agent is said to be gone.
const GONE_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct Known {
    silent_since: Option<Instant>,
    running: BTreeSet<TaskId>,
}

/// What is known of the agents.
#[derive(Debug)]
pub(crate) struct Registry {
    chance: Chance,
    agents: Mutex<BTreeMap<AgentId, Known>>,
    unknown: Mutex<u32>,
}

impl Registry {
    pub(crate) fn new(chance: Chance, unknown: u32) -> Self {
        Self { chance, agents: Mutex::default(), unknown: Mutex::new(unknown) }
    }

    pub(crate) fn be_kind(&self) {
        *self.unknown.lock() = 0;
    }

    pub(crate) fn silent(&self, agent: &AgentId, silent: bool) {
        let mut agents = self.agents.lock();
        let known = agents.entry(agent.clone()).or_default();
        known.silent_since = silent.then(Instant::now);
    }

    pub(crate) fn works_on(&self, agent: &AgentId, id: &TaskId) {
        self.agents.lock().entry(agent.clone()).or_default().running.insert(id.clone());
    }

    pub(crate) fn drops(&self, agent: &AgentId, id: &TaskId) {
        self.agents.lock().entry(agent.clone()).or_default().running.remove(id);
    }

    /// An agent that started anew works on nothing.
    pub(crate) fn starts_anew(&self, agent: &AgentId) {
        self.agents.lock().insert(agent.clone(), Known::default());
    }

    pub(crate) fn life_of(&self, agent: &AgentId, id: &TaskId) -> HolderLife {
        if self.chance.hits(*self.unknown.lock()) {
            return HolderLife::Unknown;
        }
        let agents = self.agents.lock();
        // An agent that nobody has heard of: the registry cannot tell, for ever.
        let Some(known) = agents.get(agent) else { return HolderLife::Unknown };
        match known.silent_since {
            Some(since) if since.elapsed() >= GONE_AFTER => HolderLife::Gone,
            _ if known.running.contains(id) => HolderLife::AtWork,
            _ => HolderLife::Elsewhere,
        }
    }
}
