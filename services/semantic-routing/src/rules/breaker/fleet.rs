//! The breakers of a fleet.
//!
//! Only who ever failed or was slow has one: everybody else is closed. Invariant: at most
//! [`MAX_BREAKER_AGENTS`] agents with [`MAX_BREAKERS_PER_AGENT`] each; the longest unused go first.

use serde::{Deserialize, Serialize};
use troupe_domain::{AgentId, Name, Timestamp};

use super::{Admission, Breaker, Config, Shared, State, Trial};
use crate::rules::performance::Outcome;
use crate::rules::recent::Recent;

/// Agents whose breakers are kept.
pub const MAX_BREAKER_AGENTS: usize = 20_000;
/// Breakers of one agent.
pub const MAX_BREAKERS_PER_AGENT: usize = 32;

/// One change to tell the other replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The agent.
    pub agent: AgentId,
    /// The capability.
    pub capability: Name,
    /// The new state.
    pub shared: Shared,
}

/// Breakers by agent and capability.
#[derive(Debug)]
pub struct Breakers {
    config: Config,
    /// This replica.
    me: Name,
    agents: Recent<AgentId, Vec<(Name, Breaker)>>,
    /// How often one opened here.
    opened: u64,
}

impl Breakers {
    /// All closed; `me` is this replica.
    pub fn new(config: Config, me: Name) -> Self {
        Self { config, me, agents: Recent::new(MAX_BREAKER_AGENTS), opened: 0 }
    }

    /// The thresholds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How often a breaker opened here.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// The breaker, where there is one.
    pub fn get(&self, agent: &AgentId, capability: &Name) -> Option<&Breaker> {
        find(self.agents.get(agent)?, capability)
    }

    /// Every breaker that is not closed.
    pub fn not_closed(&self) -> impl Iterator<Item = (&AgentId, &Name, &Breaker)> {
        self.agents
            .iter()
            .flat_map(|(agent, all)| all.iter().map(move |(name, breaker)| (agent, name, breaker)))
            .filter(|(_, _, breaker)| breaker.state() != State::Closed)
    }

    /// Whether a call may go out.
    pub fn admission(&self, agent: &AgentId, capability: &Name, now: Timestamp) -> Admission {
        let breaker = self.get(agent, capability);
        breaker.map_or(Admission::Yes, |breaker| breaker.admission(now, &self.config))
    }

    /// Takes the right to a trial, with the change to store. Where replicas share breakers the
    /// trial counts only once the store took that change on top of the version before it.
    pub fn take_trial(
        &mut self,
        agent: &AgentId,
        capability: &Name,
        now: Timestamp,
    ) -> Option<(Trial, Change)> {
        let breaker = find_mut(self.agents.get_mut(agent)?, capability)?;
        let trial = breaker.take_trial(now, &self.me, &self.config)?;
        Some((trial, change(agent, capability, breaker)))
    }

    /// A call ended. Gives the change to tell the others, if there is one.
    pub fn record(
        &mut self,
        agent: &AgentId,
        capability: &Name,
        outcome: Outcome,
        trial: Option<&Trial>,
        now: Timestamp,
    ) -> Option<Change> {
        let slow = outcome.latency_us > self.config.slow_call_ms.saturating_mul(1_000);
        let unknown = self.get(agent, capability).is_none();
        if unknown && outcome.success && !slow {
            return None;
        }
        let breaker = open_up(self.agents.using(agent, Vec::new), capability);
        if !breaker.record(outcome, trial, now, &self.me, &self.config) {
            return None;
        }
        self.opened += u64::from(breaker.state() == State::Open);
        Some(change(agent, capability, breaker))
    }

    /// Takes in what another replica says; true if that was news.
    pub fn merge(&mut self, told: &Change) -> bool {
        let all = self.agents.using(&told.agent, Vec::new);
        open_up(all, &told.capability).merge(&told.shared)
    }

    /// The store refused a change of ours because `stored` was there first.
    pub fn adopt(&mut self, stored: &Change) {
        let all = self.agents.using(&stored.agent, Vec::new);
        open_up(all, &stored.capability).adopt(&stored.shared);
    }

    /// The agent has left.
    pub fn forget(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
    }
}

fn find<'a>(all: &'a [(Name, Breaker)], capability: &Name) -> Option<&'a Breaker> {
    all.iter().find(|(name, _)| name == capability).map(|(_, breaker)| breaker)
}

fn find_mut<'a>(all: &'a mut [(Name, Breaker)], capability: &Name) -> Option<&'a mut Breaker> {
    all.iter_mut().find(|(name, _)| name == capability).map(|(_, breaker)| breaker)
}

/// The breaker of `capability`, which moves to the end of the line; the one at the front goes where
/// there are too many.
fn open_up<'a>(all: &'a mut Vec<(Name, Breaker)>, capability: &Name) -> &'a mut Breaker {
    let entry = match all.iter().position(|(name, _)| name == capability) {
        Some(place) => all.remove(place),
        None => (capability.clone(), Breaker::default()),
    };
    if all.len() >= MAX_BREAKERS_PER_AGENT {
        all.remove(0);
    }
    all.push(entry);
    let last = all.len() - 1;
    &mut all[last].1
}

fn change(agent: &AgentId, capability: &Name, breaker: &Breaker) -> Change {
    Change {
        agent: agent.clone(),
        capability: capability.clone(),
        shared: breaker.shared().clone(),
    }
}
