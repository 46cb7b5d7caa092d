//! What comes back, as short as it can be without a second call.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use troupe_domain::task::{ClaimedTask, Input, Outcome};
use troupe_domain::{
    Agent, AgentId, AgentStatus, Json, Name, Priority, Role, Task, TaskId, TaskStatus, Timestamp,
};

/// A task in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TaskLine {
    id: TaskId,
    title: String,
    status: TaskStatus,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_by: Option<AgentId>,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_percent: Option<f64>,
}

impl From<&Task> for TaskLine {
    fn from(task: &Task) -> Self {
        Self {
            id: task.id.clone(),
            title: task.title.clone(),
            status: task.status,
            priority: task.priority,
            required_role: task.required_role.clone(),
            claimed_by: task.claimed_by.clone(),
            epoch: task.epoch,
            progress_percent: task.progress_percent,
        }
    }
}

/// What a task waits for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Waits {
    task_id: TaskId,
    /// How it ended; absent while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// What went wrong with a task.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Trouble {
    at: Timestamp,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<AgentId>,
}

/// A task that is read by itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TaskPageOfOne {
    task: TaskView,
}

/// A whole task, as far as a model has use for it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TaskView {
    id: TaskId,
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    /// Input, any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Json>,
    status: TaskStatus,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_role: Option<Role>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<Waits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_by: Option<AgentId>,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<Timestamp>,
    created_by: Name,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_percent: Option<f64>,
    /// What came out, any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What went wrong, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    troubles: Vec<Trouble>,
    failures: u32,
    max_retries: u32,
    /// Somebody else must verify the result before it counts.
    needs_verification: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subtask_ids: Vec<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_id: Option<Name>,
}

impl From<Arc<Task>> for TaskView {
    fn from(task: Arc<Task>) -> Self {
        let waits = task.dependencies.iter();
        let troubles = task.reasons.iter();
        Self {
            id: task.id.clone(),
            title: task.title.clone(),
            description: task.description.clone(),
            prompt: task.prompt.clone(),
            payload: task.payload.clone(),
            status: task.status,
            priority: task.priority,
            required_role: task.required_role.clone(),
            depends_on: waits
                .map(|edge| Waits { task_id: edge.task_id.clone(), outcome: edge.outcome })
                .collect(),
            claimed_by: task.claimed_by.clone(),
            epoch: task.epoch,
            lease_expires_at: task.lease_expires_at,
            created_by: task.created_by.clone(),
            created_at: task.created_at,
            progress_percent: task.progress_percent,
            result: task.result.clone(),
            error: task.error.clone(),
            troubles: troubles
                .map(|reason| Trouble {
                    at: reason.at,
                    message: reason.message.clone(),
                    by: reason.by.clone(),
                })
                .collect(),
            failures: task.failures,
            max_retries: task.max_retries,
            needs_verification: task.verification.is_some(),
            subtask_ids: task.subtask_ids.clone(),
            graph_id: task.graph_id.clone(),
        }
    }
}

impl From<troupe_contract::work::TaskReply> for TaskPageOfOne {
    fn from(reply: troupe_contract::work::TaskReply) -> Self {
        Self { task: reply.task.into() }
    }
}

/// A task in the caller's hands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TaskInHand {
    /// The task.
    task_id: TaskId,
    /// Give this number with every later call about the task.
    epoch: u64,
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// What you are asked, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    /// Input, any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Json>,
    priority: Priority,
    /// Results of what it depended on, by key or id.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    inputs: std::collections::BTreeMap<Name, Input>,
    /// Who asked for it.
    created_by: Name,
    /// Earlier attempts that failed.
    failures: u32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// From start to end of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_duration_ms: Option<u64>,
    /// The result needs evidence of these kinds, and somebody else will verify it.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_needed: Option<Vec<troupe_domain::evidence::EvidenceKind>>,
}

impl From<ClaimedTask> for TaskInHand {
    fn from(claimed: ClaimedTask) -> Self {
        let task = claimed.task;
        Self {
            task_id: task.id.clone(),
            epoch: task.epoch,
            title: task.title.clone(),
            description: task.description.clone(),
            prompt: task.prompt.clone(),
            payload: task.payload.clone(),
            priority: task.priority,
            inputs: claimed.inputs,
            created_by: task.created_by.clone(),
            failures: task.failures,
            last_error: task.error.clone(),
            max_duration_ms: task.budget.as_ref().and_then(|budget| budget.max_duration_ms),
            evidence_needed: task.verification.as_ref().map(|asked| asked.evidence.clone()),
        }
    }
}

/// A member of the fleet in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AgentLine {
    id: AgentId,
    role: Role,
    status: AgentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    persona: Option<String>,
    /// Each with how well it does it, 0 to 1.
    capabilities: std::collections::BTreeMap<Name, f64>,
    current_task_ids: Vec<TaskId>,
    max_concurrent_tasks: u32,
    last_heartbeat: Timestamp,
}

impl From<Agent> for AgentLine {
    fn from(agent: Agent) -> Self {
        let capabilities = agent.capabilities.into_iter();
        Self {
            id: agent.id,
            role: agent.role,
            status: agent.status,
            persona: agent.persona,
            capabilities: capabilities.map(|it| (it.name, it.proficiency)).collect(),
            current_task_ids: agent.current_task_ids,
            max_concurrent_tasks: agent.max_concurrent_tasks,
            last_heartbeat: agent.last_heartbeat,
        }
    }
}
