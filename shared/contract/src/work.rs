//! Work distribution's endpoints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use troupe_domain::evidence::Evidence;
use troupe_domain::task::ClaimedTask;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{AgentId, Json, Name, Priority, Role, Task, TaskId, TaskStatus, Timestamp};

use crate::Service;
use crate::batch::{BatchReply, BatchRequest};
use crate::endpoint::endpoints;
use crate::registry::Empty;

endpoints! { Service::Work;
    /// Creates one task; twice under one idempotency key creates once.
    Create = "create" (TaskSpec) -> Created, Everyone, batched = true;
    /// Creates a graph of tasks, all or nothing; a cycle is refused and named.
    CreateGraph = "create_graph" (GraphSpec) -> GraphCreated, Everyone;
    /// Claims the best fitting task, waiting for one for as long as asked.
    Next = "next" (NextRequest) -> NextReply, Everyone;
    /// Claims one task by id.
    Claim = "claim" (ClaimRequest) -> ClaimResult, Everyone;
    /// The holder begins.
    Start = "start" (HoldRequest) -> TaskReceipt, Everyone, batched = true;
    /// The holder renews its lease, and may tell its progress.
    Extend = "extend" (ExtendRequest) -> TaskReceipt, Everyone, batched = true;
    /// The holder reports that it is done, and may take its next task along.
    Complete = "complete" (CompleteRequest) -> Completed, Everyone, batched = true;
    /// The holder reports that it failed.
    Fail = "fail" (FailRequest) -> TaskReceipt, Everyone, batched = true;
    /// The holder gives the task back.
    Release = "release" (ReleaseRequest) -> TaskReceipt, Everyone, batched = true;
    /// Calls off a task, its parts, and what depends on it.
    Cancel = "cancel" (CancelRequest) -> TaskIds, Everyone;
    /// Judges a report that waits for verification.
    Verify = "verify" (VerifyRequest) -> TaskReceipt, Everyone;
    /// Brings back what failed, died or was cancelled, and what fell with it.
    Revive = "revive" (ReviveRequest) -> TaskIds, Everyone;
    /// Reads one task.
    GetTask = "get" (TaskRef) -> TaskReply, Everyone;
    /// Lists tasks by every filter, page by page.
    ListTasks = "list" (TaskFilter) -> TaskPage, Everyone;
    /// Lists what an agent could claim, the first in the queue first.
    Available = "available" (AvailableRequest) -> AvailableReply, Everyone;
    /// Recommends who should do what, with a score and its reasons.
    Recommend = "recommend" (RecommendRequest) -> Recommendations, Everyone;
    /// Counts the work.
    WorkStats = "stats" (Empty) -> WorkStatistics, Everyone;
    /// Carries out several calls of one caller: creations, starts, renewals and reports.
    WorkBatch = "batch" (BatchRequest) -> BatchReply, Everyone;
}

/// The answer to a creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// The task's id, for ever.
    pub task_id: TaskId,
    /// Where the task is now: blocked or available, or further on if it was created before.
    pub status: TaskStatus,
    /// False if an earlier request with the same idempotency key had created it.
    pub created: bool,
}

/// A graph to be created.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// Each with a key; dependencies are keys of this graph.
    pub tasks: Vec<TaskSpec>,
    /// Creating twice under one key creates once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The answer to the creation of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphCreated {
    /// The graph's id.
    pub graph_id: Name,
    /// The tasks' ids by key.
    pub task_ids: BTreeMap<Name, TaskId>,
    /// False if an earlier request with the same idempotency key had created it.
    pub created: bool,
}

/// A long poll for work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextRequest {
    /// How long to wait for a task; 0 is not at all.
    #[serde(default)]
    pub wait_ms: u64,
    /// Starts the task with the claim, for an agent that begins at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub start: bool,
}

impl NextRequest {
    /// A poll that waits so long, and only claims.
    pub fn waiting(wait_ms: u64) -> Self {
        Self { wait_ms, start: false }
    }
}

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextReply {
    /// The task, now held by the caller; absent if none came in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ClaimedTask>,
}

/// A claim by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The task.
    pub task_id: TaskId,
    /// Only if the task still has this epoch.
    #[serde(default, alias = "expected_version", skip_serializing_if = "Option::is_none")]
    pub expected_epoch: Option<u64>,
}

/// The answer to a claim. Losing a race is an answer, not a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// Whether the caller now holds the task.
    pub success: bool,
    /// The task, if the caller holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ClaimedTask>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who was first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ClaimConflict>,
}

/// The hold that stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimConflict {
    /// The holder, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<AgentId>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Timestamp>,
    /// The task's epoch.
    pub epoch: u64,
}

/// A task and the epoch of the caller's hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The task.
    pub task_id: TaskId,
    /// The fencing token that the claim gave.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
}

/// A renewal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// The task.
    pub task_id: TaskId,
    /// The fencing token.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// How long from now; the task's own lease where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// How far it is, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_percent: Option<f64>,
}

/// A report of success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteRequest {
    /// The task.
    pub task_id: TaskId,
    /// The fencing token.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// What came out: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// What shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Claims and starts the best fitting task with the same request, if one is there now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next: bool,
}

impl CompleteRequest {
    /// A report of `result`, with nothing to show for it.
    pub fn new(task_id: TaskId, epoch: u64, result: Option<Json>) -> Self {
        Self { task_id, epoch, result, evidence: Vec::new(), next: false }
    }
}

/// The answer to a report of success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// The task.
    pub task_id: TaskId,
    /// Completed, or reported where it waits for verification.
    pub status: TaskStatus,
    /// Its epoch.
    pub epoch: u64,
    /// The next task, claimed and started, where it was asked for and there is one. Where there is
    /// none, a poll waits for one, and says why if the caller may not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ClaimedTask>,
}

/// A report of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// The task.
    pub task_id: TaskId,
    /// The fencing token.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// What went wrong.
    pub error: String,
    /// Whether trying again may help; true where nothing is said.
    #[serde(default = "yes")]
    pub retryable: bool,
}

fn yes() -> bool {
    true
}

/// Giving back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The task.
    pub task_id: TaskId,
    /// The fencing token.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// Calling off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// The task.
    pub task_id: TaskId,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// A judgement on a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The task.
    pub task_id: TaskId,
    /// The epoch of the report.
    #[serde(alias = "claim_version")]
    pub epoch: u64,
    /// Completed, or back to the queue.
    pub accept: bool,
    /// Why; a rejection must say it.
    #[serde(default)]
    pub reason: String,
    /// What the verifier saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// Bringing back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviveRequest {
    /// The task.
    pub task_id: TaskId,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// One task by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// The task.
    #[serde(alias = "id")]
    pub task_id: TaskId,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReply {
    /// The task.
    pub task: Arc<Task>,
}

/// The state of a task after a write that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReceipt {
    /// The task.
    pub task_id: TaskId,
    /// Its status.
    pub status: TaskStatus,
    /// Its epoch.
    pub epoch: u64,
    /// The end of the lease, while it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<Timestamp>,
}

/// The tasks that an operation touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskIds {
    /// The ids, the one asked for first.
    pub task_ids: Vec<TaskId>,
}

/// Which tasks; an empty list of a kind lets every task pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskFilter {
    /// Any of these statuses.
    pub statuses: Vec<TaskStatus>,
    /// Any of these priorities.
    pub priorities: Vec<Priority>,
    /// Any of these required roles.
    pub roles: Vec<Role>,
    /// Requires all of these capabilities.
    pub capabilities: Vec<Name>,
    /// Held, or last held, by this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<AgentId>,
    /// Created in this graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_id: Option<Name>,
    /// A part of this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// Only tasks that are a part of nothing.
    pub root_only: bool,
    /// At most so many; 100 where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only ids after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<TaskId>,
}

/// Tasks in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<Arc<Task>>,
    /// Ask again after this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<TaskId>,
}

/// What an agent could claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvailableRequest {
    /// The agent; the caller where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// At most so many; 100 where none is named, 0 to count only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What an agent could claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AvailableReply {
    /// The first in the queue first.
    pub tasks: Vec<Arc<Task>>,
    /// How many there are.
    pub total: u64,
}

/// For whom or what to recommend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecommendRequest {
    /// Only for this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Only for this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// At most so many; 10 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The best pairs first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendations {
    /// The best first.
    pub recommendations: Vec<AssignmentRecommendation>,
}

/// One pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRecommendation {
    /// The task.
    pub task_id: TaskId,
    /// The agent.
    pub agent_id: AgentId,
    /// The sum of the points below.
    pub score: f64,
    /// What gave and took points, in words.
    pub reasons: Vec<String>,
}

/// The work in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkStatistics {
    /// Tasks, without those that are archived.
    pub total_tasks: u64,
    /// By status; every status is there.
    pub by_status: BTreeMap<TaskStatus, u64>,
    /// By priority; every priority is there.
    pub by_priority: BTreeMap<Priority, u64>,
    /// By agent.
    pub by_agent: BTreeMap<AgentId, AgentWork>,
    /// From start to report, of tasks that were completed; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_completion_time_ms: Option<f64>,
    /// Completed within the last hour.
    pub completed_last_hour: u64,
    /// Failed or dead within the last hour.
    pub failed_last_hour: u64,
}

/// One agent's work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentWork {
    /// Tasks that it holds.
    pub held: u64,
    /// Tasks that it completed.
    pub completed: u64,
    /// Attempts of its that failed.
    pub failed: u64,
    /// Leases that it let run out.
    pub lease_expiries: u64,
    /// From start to report, over the tasks that it completed.
    pub busy_ms: u64,
}
