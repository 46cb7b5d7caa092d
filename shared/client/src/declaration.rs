//! What an agent says of itself when it joins.

use troupe_contract::registry::RegisterAgent;
use troupe_domain::{AgentId, AgentStatus, Capability, Json, Name, Role, Surface};

/// What an agent says of itself when it joins; its id is the connection's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// What the agent is for.
    pub role: Role,
    /// The domain that it stays inside, in words.
    pub persona: Option<String>,
    /// What it can do, and how well.
    pub capabilities: Vec<Capability>,
    /// Where it meets its people.
    pub surface: Surface,
    /// How many tasks it takes at once.
    pub max_concurrent_tasks: u32,
    /// The agent that started it.
    pub parent_agent_id: Option<AgentId>,
    /// Its own facts: a JSON object.
    pub metadata: Option<Json>,
}

impl Declaration {
    /// An agent with a role that takes one task at a time, and can do nothing in particular.
    pub fn of_role(role: Role) -> Self {
        Self {
            role,
            persona: None,
            capabilities: Vec::new(),
            surface: Surface::Cli,
            max_concurrent_tasks: 1,
            parent_agent_id: None,
            metadata: None,
        }
    }

    pub(crate) fn request(&self, id: &Name, session_id: Option<Name>) -> RegisterAgent {
        RegisterAgent {
            id: Some(id.clone()),
            role: self.role.clone(),
            persona: self.persona.clone(),
            capabilities: self.capabilities.clone(),
            surface: self.surface,
            max_concurrent_tasks: self.max_concurrent_tasks,
            parent_agent_id: self.parent_agent_id.clone(),
            session_id,
            status: AgentStatus::Active,
            metadata: self.metadata.clone(),
        }
    }
}
