//! The fleet: joining, leaving, who is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_contract::registry::{
    AgentList, AgentReply, Deregister, DeregisterAgent, Deregistered, Discover, GetAgent,
    RegisterAgent,
};
use troupe_domain::agent::Surface;
use troupe_domain::{AgentId, AgentStatus, Capability, Fault, Role};

use super::short::AgentLine;
use super::{Custom, Effect, Face, Operation, Tool, Visit};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::custom::<Join>(),
        Tool::custom::<Leave>(),
        Tool::operation::<Get>(),
        Tool::operation::<Find>(),
    ]
}

struct Join;

/// What the caller declares of itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinArguments {
    /// What you are for: planner, implementer, auditor, cleaner, researcher, coordinator, specialist,
    /// or a role that this fleet uses.
    role: Role,
    /// The domain that you stay inside, in a sentence.
    #[serde(default, alias = "domain")]
    persona: Option<String>,
    /// What you can do, each with how well (0 to 1): tasks ask for capabilities by name, and intents
    /// are matched against descriptions.
    #[serde(default)]
    capabilities: Vec<Capability>,
    /// How many tasks you take at once.
    #[serde(default = "one")]
    max_concurrent_tasks: u32,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Serialize, JsonSchema)]
struct Joined {
    /// The name under which the fleet knows you.
    agent_id: AgentId,
    status: AgentStatus,
    /// Whether you were not known before.
    created: bool,
    /// For so long after your last call you count as being there, and keep the tasks that you hold.
    silence_allowed_ms: u64,
}

impl Custom for Join {
    type Arguments = JoinArguments;
    type Output = Joined;
    const FACE: Face = Face {
        name: "agent_register",
        title: "Join the fleet",
        about: "Join the fleet, or change what you declared. Do this once, before you take tasks: \
                tasks and messages find you by role and capabilities. Your name comes from your \
                credentials. While you keep calling tools you count as being there.",
        effect: Effect::Settles,
        attends: false,
        hidden: &[],
        notes: &[],
    };

    async fn run(visit: &Visit, arguments: JoinArguments) -> Result<Joined, Fault> {
        let declaration = RegisterAgent {
            id: None,
            role: arguments.role,
            persona: arguments.persona,
            capabilities: arguments.capabilities,
            surface: Surface::Api,
            max_concurrent_tasks: arguments.max_concurrent_tasks,
            parent_agent_id: None,
            session_id: None,
            status: AgentStatus::Active,
            metadata: None,
        };
        let registered = visit.attendance.join(&visit.member, declaration).await?;
        Ok(Joined {
            agent_id: registered.agent.id,
            status: registered.agent.status,
            created: registered.created,
            silence_allowed_ms: visit.attendance.silence_allowed_ms(),
        })
    }
}

struct Leave;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LeaveArguments {
    /// Why, in words.
    #[serde(default)]
    reason: Option<String>,
}

impl Custom for Leave {
    type Arguments = LeaveArguments;
    type Output = Deregistered;
    const FACE: Face = Face {
        name: "agent_leave",
        title: "Leave the fleet",
        about: "Leave the fleet. Tasks that you still hold go back to the queue for others: complete \
                or fail them first if you can.",
        effect: Effect::Removes,
        attends: false,
        hidden: &[],
        notes: &[],
    };

    async fn run(visit: &Visit, arguments: LeaveArguments) -> Result<Deregistered, Fault> {
        visit.attendance.leave(visit.troupe().name());
        let request = DeregisterAgent { id: None, reason: arguments.reason };
        // Leaving twice is leaving once.
        visit.ask::<Deregister>(&request, Effect::Settles).await
    }
}

struct Get;

#[derive(Debug, Serialize, JsonSchema)]
struct OneAgent {
    agent: AgentLine,
}

impl From<AgentReply> for OneAgent {
    fn from(reply: AgentReply) -> Self {
        Self { agent: reply.agent.into() }
    }
}

impl Operation for Get {
    type Endpoint = GetAgent;
    type Output = OneAgent;
    const FACE: Face = Face {
        name: "agent_get",
        title: "Look at one agent",
        about: "Read one agent by its name: role, whether it is there, what it can do, what it works \
                on.",
        effect: Effect::Reads,
        attends: false,
        hidden: &[],
        notes: &[],
    };
}

struct Find;

#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    /// The least loaded first.
    agents: Vec<AgentLine>,
    /// How many fit before the limit.
    total: usize,
}

impl From<AgentList> for Found {
    fn from(list: AgentList) -> Self {
        Self { agents: list.agents.into_iter().map(Into::into).collect(), total: list.total }
    }
}

impl Operation for Find {
    type Endpoint = Discover;
    type Output = Found;
    const FACE: Face = Face {
        name: "agent_find",
        title: "Find agents",
        about: "Find agents by role, capability, status and more; every filter that you give must \
                match. Without filters: every live agent. To have something done by whoever can, use \
                ask_by_intent: you need not know who.",
        effect: Effect::Reads,
        attends: false,
        hidden: &["surfaces"],
        notes: &[("limit", "At most so many; 100 where none is named. Ask for few.")],
    };
}
