//! Which replica tells of an agent's missed heartbeats.
//!
//! Missed heartbeats are not stored, so no compare-and-set makes one teller win; the living replicas
//! agree by rendezvous hashing instead. Best effort: while a replica comes or goes, an event may be
//! told twice or not at all.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use troupe_domain::{AgentId, Name};

/// Pulses without which a replica no longer counts.
const PULSES_UNTIL_GONE: u64 = 5;
/// Replicas that are remembered.
const MAX_PEERS: usize = 256;

/// The replicas that were heard.
#[derive(Debug)]
pub struct Peers {
    me: Name,
    heard_at_ms: HashMap<Name, u64>,
    gone_after_ms: u64,
}

impl Peers {
    /// Nobody but `me`.
    pub fn new(me: Name, pulse_interval_ms: u64) -> Self {
        let gone_after_ms = pulse_interval_ms * PULSES_UNTIL_GONE;
        Self { me, heard_at_ms: HashMap::new(), gone_after_ms }
    }

    /// A pulse of `peer` came.
    pub fn heard(&mut self, peer: Name, now_ms: u64) {
        self.heard_at_ms.retain(|_, at| now_ms.saturating_sub(*at) <= self.gone_after_ms);
        if self.heard_at_ms.len() < MAX_PEERS {
            self.heard_at_ms.insert(peer, now_ms);
        }
    }

    /// Whether it is for this replica to tell of `agent`.
    pub fn is_mine(&self, agent: &AgentId, now_ms: u64) -> bool {
        let mine = weight(&self.me, agent);
        let living = self.heard_at_ms.iter().filter(|(peer, at)| {
            **peer != self.me && now_ms.saturating_sub(**at) <= self.gone_after_ms
        });
        living.map(|(peer, _)| weight(peer, agent)).all(|theirs| theirs < mine)
    }
}

fn weight(peer: &Name, agent: &AgentId) -> (u64, Name) {
    let mut hasher = DefaultHasher::new();
    (peer, agent).hash(&mut hasher);
    (hasher.finish(), peer.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_has_one_teller_and_a_dead_one_is_replaced() {
        let name = |text: String| Name::parse(&text).unwrap();
        let names: Vec<Name> = (0..3).map(|n| name(format!("r{n}"))).collect();
        let mut all: Vec<Peers> = names.iter().map(|me| Peers::new(me.clone(), 10)).collect();
        for peers in &mut all {
            for peer in &names {
                peers.heard(peer.clone(), 100);
            }
        }
        let tellers = |agent: &AgentId, now| all.iter().filter(|p| p.is_mine(agent, now)).count();
        let agents: Vec<AgentId> = (0..100).map(|n| name(format!("a{n}"))).collect();
        assert!(agents.iter().all(|agent| tellers(agent, 110) == 1));
        assert!(all.iter().all(|p| agents.iter().any(|agent| p.is_mine(agent, 110))));
        assert!(all[0].is_mine(&agents[0], 1_000), "the others were not heard for long");
    }
}
