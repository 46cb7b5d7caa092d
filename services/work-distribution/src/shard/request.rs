//! What a shard can be asked, by a handler in the same process or by a peer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::work::{TaskFilter, TaskReceipt, WorkStatistics};
use troupe_domain::evidence::Evidence;
use troupe_domain::task::ClaimedTask;
use troupe_domain::task::rules::{Holder, Profile, Verdict};
use troupe_domain::{AgentId, Fault, Json, Name, Task, TaskId, TaskStatus, Timestamp};

use crate::rules::commands::Claimer;
use crate::rules::queue::Place;
use crate::rules::record::{CreatedUnder, CreationKey, LetterContent, Watcher};
use crate::rules::stats::{AgentTally, Timed};

/// [`Holder`], as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hold {
    /// The task.
    pub id: TaskId,
    /// The agent.
    pub by: AgentId,
    /// The fencing token.
    pub epoch: u64,
}

impl Hold {
    /// For the rules.
    pub fn holder(&self) -> Holder {
        Holder { by: self.by.clone(), epoch: self.epoch }
    }
}

/// [`Verdict`], as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judgement {
    /// Who judges.
    pub by: AgentId,
    /// The epoch of the report.
    pub epoch: u64,
    /// Completed, or back.
    pub accept: bool,
    /// Why.
    pub reason: String,
    /// What was seen.
    pub evidence: Vec<Evidence>,
}

impl From<Judgement> for Verdict {
    fn from(j: Judgement) -> Self {
        Self { by: j.by, epoch: j.epoch, accept: j.accept, reason: j.reason, evidence: j.evidence }
    }
}

/// What a shard is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the endpoints of the same names say it
pub enum ShardRequest {
    Create { tasks: Vec<Task>, key: Option<CreationKey> },
    CreatedUnder { key: String, digest: u64 },
    Peek { profile: Arc<Profile>, claimer: Claimer },
    ClaimBest { profile: Arc<Profile>, claimer: Claimer, start: bool },
    Claim { id: TaskId, profile: Arc<Profile>, claimer: Claimer, expected_epoch: Option<u64> },
    Start(Hold),
    Extend { hold: Hold, lease_ms: Option<u64>, percent: Option<f64> },
    Complete { hold: Hold, result: Option<Json>, evidence: Vec<Evidence> },
    Fail { hold: Hold, error: String, retryable: bool },
    Release { hold: Hold, reason: String },
    Cancel { id: TaskId, by: Name, reason: String },
    Verify { id: TaskId, judgement: Judgement, profile: Option<Arc<Profile>> },
    Revive { id: TaskId, by: Name, reason: String, archived: Option<Box<Task>> },
    Get { id: TaskId },
    List { filter: TaskFilter },
    Available { profile: Arc<Profile>, limit: usize },
    Heads { limit: usize },
    Records { agents: Vec<AgentId> },
    Stats,
    Watch { id: TaskId, watcher: Watcher },
    Letter(LetterContent),
    Leave { piece: u64, ended: Vec<(TaskId, Option<Timestamp>)>, spared: Vec<TaskId> },
}

/// What a shard answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the requests of the same names say it
pub enum ShardReply {
    Created { before: Option<CreatedUnder>, single: Option<(TaskId, TaskStatus)> },
    Peeked { place: Option<Place>, held: usize, again: Option<ClaimedTask> },
    Claimed(Option<ClaimedTask>),
    Receipt(TaskReceipt),
    Ids(Vec<TaskId>),
    Task(Arc<Task>),
    Page { tasks: Vec<Arc<Task>>, next: Option<TaskId> },
    Waiting { tasks: Vec<(Place, Arc<Task>)>, total: usize },
    Records(Vec<(AgentTally, u64)>),
    Stats(Box<WorkStatistics>, Timed),
    Done,
}

impl ShardReply {
    /// The answer of another kind than was asked for: a defect.
    pub fn unexpected(&self) -> Fault {
        Fault::new(troupe_domain::Code::Internal, format!("unexpected answer of a shard: {self:?}"))
    }
}
