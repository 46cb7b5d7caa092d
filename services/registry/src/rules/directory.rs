//! The directory's indexes: who plays a role, who can do something, who started whom.
//!
//! Invariant: an id stands in an index exactly as long as the agent it was added for says so; every
//! entry that was added is removed with the same agent.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use troupe_domain::{Agent, AgentId, Name, Role};

/// Ids by something.
type Index<K> = HashMap<K, BTreeSet<AgentId>>;

/// The indexes over all agents.
#[derive(Debug, Default)]
pub struct Indexes {
    by_role: Index<Role>,
    by_capability: Index<Name>,
    children: Index<AgentId>,
}

impl Indexes {
    /// Adds an agent.
    pub fn add(&mut self, agent: &Agent) {
        put(&mut self.by_role, &agent.role, &agent.id);
        for capability in &agent.capabilities {
            put(&mut self.by_capability, &capability.name, &agent.id);
        }
        if let Some(parent) = &agent.parent_agent_id {
            put(&mut self.children, parent, &agent.id);
        }
    }

    /// Removes an agent, as it was added.
    pub fn remove(&mut self, agent: &Agent) {
        take(&mut self.by_role, &agent.role, &agent.id);
        for capability in &agent.capabilities {
            take(&mut self.by_capability, &capability.name, &agent.id);
        }
        if let Some(parent) = &agent.parent_agent_id {
            take(&mut self.children, parent, &agent.id);
        }
    }

    /// Who plays `role`.
    pub fn in_role(&self, role: &Role) -> Option<&BTreeSet<AgentId>> {
        self.by_role.get(role)
    }

    /// Who has `capability`, however well.
    pub fn able(&self, capability: &Name) -> Option<&BTreeSet<AgentId>> {
        self.by_capability.get(capability)
    }

    /// Whom `agent` started.
    pub fn children(&self, agent: &AgentId) -> Option<&BTreeSet<AgentId>> {
        self.children.get(agent)
    }

    /// Each role with the number of its agents.
    pub fn roles(&self) -> impl Iterator<Item = (&Role, usize)> {
        self.by_role.iter().map(|(role, ids)| (role, ids.len()))
    }

    /// Each capability with the number of its agents.
    pub fn capabilities(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.by_capability.iter().map(|(name, ids)| (name, ids.len()))
    }
}

fn put<K: Clone + Eq + Hash>(index: &mut Index<K>, key: &K, id: &AgentId) {
    if let Some(ids) = index.get_mut(key) {
        ids.insert(id.clone());
    } else {
        index.insert(key.clone(), BTreeSet::from([id.clone()]));
    }
}

fn take<K: Eq + Hash>(index: &mut Index<K>, key: &K, id: &AgentId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fleet::tests::agent;

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut indexes = Indexes::default();
        let mut one = agent("one");
        one.parent_agent_id = Some(Name::parse("boss").unwrap());
        one.capabilities = vec!["rust:0.9".parse().unwrap()];
        indexes.add(&one);
        assert!(indexes.able(&Name::parse("rust").unwrap()).unwrap().contains("one"));
        assert!(indexes.children(&Name::parse("boss").unwrap()).unwrap().contains("one"));
        indexes.remove(&one);
        assert!(indexes.by_role.is_empty());
        assert!(indexes.by_capability.is_empty());
        assert!(indexes.children.is_empty());
    }
}
