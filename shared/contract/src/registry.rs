//! The registry's endpoints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use troupe_domain::{
    Agent, AgentId, AgentStatus, Capability, Json, Name, Role, Surface, TaskId, Timestamp,
};

use crate::Service;
use crate::endpoint::endpoints;

endpoints! { Service::Registry;
    /// Joins the fleet, or changes what was declared; the same credentials, the same agent.
    Register = "register" (RegisterAgent) -> Registered, Everyone;
    /// Leaves the fleet.
    Deregister = "deregister" (DeregisterAgent) -> Deregistered, Everyone;
    /// Says that the agent is there and what it works on; tells what waits for it.
    Heartbeat = "heartbeat" (HeartbeatRequest) -> HeartbeatResponse, Everyone;
    /// Reads one agent.
    GetAgent = "get" (AgentRef) -> AgentReply, Everyone;
    /// Lists agents by id, page by page.
    ListAgents = "list" (ListAgentsRequest) -> AgentPage, Everyone;
    /// Finds agents by every filter, the least loaded first.
    Discover = "discover" (DiscoveryFilter) -> AgentList, Everyone;
    /// Finds agents by one capability with a least proficiency, the most proficient first.
    FindByCapability = "find_by_capability" (FindByCapabilityRequest) -> AgentList, Everyone;
    /// Lists the agents that an agent started.
    Children = "children" (AgentRef) -> AgentList, Everyone;
    /// Changes the caller's own status.
    UpdateStatus = "update_status" (UpdateStatusRequest) -> AgentReply, Everyone;
    /// Counts the fleet.
    RegistryStats = "stats" (Empty) -> FleetStats, Everyone;
    /// Says which agents are alive and what they say they run; for the services that hold leases.
    Liveness = "liveness" (LivenessRequest) -> LivenessReply, Services;
}

/// A request without fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// A declaration of the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAgent {
    /// Must be the caller's own name where it is given: another's is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// What the agent is for.
    pub role: Role,
    /// The domain that it stays inside, in words.
    #[serde(default, alias = "domain", skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Where it meets its people.
    #[serde(default)]
    pub surface: Surface,
    /// How much it takes at once; 1 where none is named.
    #[serde(default = "one")]
    pub max_concurrent_tasks: u32,
    /// The agent that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_agent_id: Option<AgentId>,
    /// This life of the agent. Naming the current one renews it; none starts a new life, and the
    /// heartbeats of the former one are refused from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Name>,
    /// `initializing`, or `active` where none is named.
    #[serde(default)]
    pub status: AgentStatus,
    /// The agent's own facts: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
}

fn one() -> u32 {
    1
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Registered {
    /// The agent as registered.
    pub agent: Agent,
    /// Whether it was not known before.
    pub created: bool,
    /// How often to send a heartbeat.
    pub heartbeat_interval_ms: u64,
}

/// What is stored of an agent on its state's subject, as far as other services read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentState {
    /// The agent; its last state if it was removed.
    pub agent: Agent,
    /// Whether it left the directory.
    #[serde(default)]
    pub removed: bool,
}

/// Leaving.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeregisterAgent {
    /// Must be the caller's own name where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to leaving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deregistered {
    /// Whether the agent was in the directory.
    pub removed: bool,
}

/// A sign of life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// A change of status, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AgentStatus>,
    /// Every task that the agent works on. The lease of a task that it holds and does not list is not
    /// renewed. Absent: the sign of life renews every lease that it holds.
    #[serde(default, alias = "current_task_ids", skip_serializing_if = "Option::is_none")]
    pub running_task_ids: Option<Vec<TaskId>>,
    /// The life that speaks; a former one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Name>,
}

/// What the agent learns from its heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatResponse {
    /// Always true: a heartbeat that is not accepted is a fault.
    pub accepted: bool,
    /// When to send the next one.
    pub next_heartbeat_ms: u64,
    /// Messages in its mailbox; null if nobody could tell just now.
    pub pending_messages: Option<u64>,
    /// Tasks that it could claim; null if nobody could tell just now.
    pub pending_tasks: Option<u64>,
    /// The registry's clock.
    pub server_time: Timestamp,
}

/// One agent by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentRef {
    /// The agent.
    #[serde(alias = "id")]
    pub agent_id: AgentId,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentReply {
    /// The agent.
    pub agent: Agent,
}

/// A page of the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListAgentsRequest {
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AgentId>,
}

/// Agents in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentPage {
    /// The agents.
    pub agents: Vec<Agent>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<AgentId>,
}

/// Which agents; an empty list of a kind lets every agent pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoveryFilter {
    /// Any of these roles.
    pub roles: Vec<Role>,
    /// Any of these statuses; where none is named, every live one.
    pub statuses: Vec<AgentStatus>,
    /// All of these capabilities.
    pub capabilities: Vec<troupe_domain::RequiredCapability>,
    /// Any of these surfaces.
    pub surfaces: Vec<Surface>,
    /// None of these.
    pub exclude_agent_ids: Vec<AgentId>,
    /// Heard from within so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_within_ms: Option<u64>,
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Some agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentList {
    /// The agents.
    pub agents: Vec<Agent>,
    /// How many there are before the limit.
    pub total: usize,
}

/// One capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindByCapabilityRequest {
    /// The capability's name.
    #[serde(alias = "name")]
    pub capability: Name,
    /// The least proficiency, 0 to 1.
    #[serde(default)]
    pub min_proficiency: f64,
    /// At most so many; 100 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A change of the caller's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateStatusRequest {
    /// The new status; `offline` and `crashed` are the registry's to give.
    pub status: AgentStatus,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The fleet in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStats {
    /// Agents in the directory.
    pub total_agents: usize,
    /// By status; every status is there.
    pub by_status: BTreeMap<AgentStatus, usize>,
    /// By role.
    pub by_role: BTreeMap<Role, usize>,
    /// By surface.
    pub by_surface: BTreeMap<Surface, usize>,
    /// How many agents have each capability.
    pub by_capability: BTreeMap<Name, usize>,
    /// Tasks that live agents say they run.
    pub running_tasks: usize,
    /// Tasks that live agents would take at once.
    pub capacity: usize,
    /// Heartbeats since this replica started.
    pub heartbeats: u64,
}

/// Which agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LivenessRequest {
    /// At most [`troupe_domain::limits::MAX_PAGE_ROWS`].
    pub agent_ids: Vec<AgentId>,
}

/// Whether agents are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LivenessReply {
    /// In the order asked.
    pub agents: Vec<AgentLiveness>,
}

/// Whether one agent is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentLiveness {
    /// The agent.
    pub agent_id: AgentId,
    /// What the registry knows of its life.
    pub life: Life,
    /// What it last said it runs; absent if it never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_task_ids: Option<Vec<TaskId>>,
}

/// What the registry knows of an agent's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Heard from in time, since this registry listens.
    Alive,
    /// Silent for too long, gone, or never registered.
    Gone,
    /// This registry has not listened for long enough to say.
    Unknown,
}
