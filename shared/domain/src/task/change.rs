//! What happened to a task. A task is the fold of its changes; folding decides nothing.

use serde::{Deserialize, Serialize};

use super::{Outcome, Reason, ReasonKind, Task, TaskStatus};
use crate::evidence::Evidence;
use crate::json::Json;
use crate::limits::MAX_REASONS;
use crate::name::{AgentId, TaskId};
use crate::time::Timestamp;

/// One thing that happened to one task. Names are short: every change is kept in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// An agent took it; the epoch is the new one.
    Claimed {
        /// The new holder.
        by: AgentId,
        /// The fencing token of this hold.
        epoch: u64,
        /// When the hold ends unless it is renewed.
        until: Timestamp,
        /// The idempotency id of the claiming command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim_id: Option<String>,
    },
    /// The holder began.
    Started,
    /// The holder renewed its lease, perhaps with progress.
    Extended {
        /// The new end of the lease.
        until: Timestamp,
        /// What the holder says, 0 to 100.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<f64>,
    },
    /// No progress for a long time. Nothing changes but the record.
    Stalled,
    /// The holder says it is done, and the task asks for verification.
    Reported {
        /// What came out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Json>,
        /// What shows it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// It is done.
    Completed {
        /// What came out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Json>,
        /// What shows it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// Somebody else believed the report: it is done.
    Verified {
        /// The verifier.
        by: AgentId,
        /// What the verifier adds.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// Somebody else did not believe the report: back to the queue.
    Rejected(Reason),
    /// It failed and will be tried again.
    Retrying {
        /// Why.
        reason: Reason,
        /// Not to be claimed before this.
        at: Timestamp,
    },
    /// It failed for good.
    Failed(Reason),
    /// It failed, and its retries or expiries are used up.
    Died(Reason),
    /// The holder gave it back.
    Released(Reason),
    /// Nobody renewed the lease: back to the queue.
    LeaseExpired(Reason),
    /// It was called off.
    Cancelled(Reason),
    /// A dependency ended.
    Settled {
        /// The dependency.
        on: TaskId,
        /// How.
        outcome: Outcome,
        /// Its result, where it lives in another shard.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Json>,
    },
    /// A dependency that had ended was revived: wait for it again.
    Unsettled {
        /// The dependency.
        on: TaskId,
    },
    /// The last dependency ended: it can be claimed.
    Unblocked,
    /// Somebody brought it back.
    Revived(Reason),
    /// A part was added to it.
    SubtaskAdded {
        /// The part.
        id: TaskId,
    },
}

impl Task {
    /// Folds one change that happened at `at` into the task.
    pub fn apply(&mut self, change: &Change, at: Timestamp) {
        self.updated_at = at;
        match change {
            Change::Claimed { by, epoch, until, claim_id } => {
                self.status = TaskStatus::Claimed;
                self.claimed_by = Some(by.clone());
                self.claimed_at = Some(at);
                self.claim_id.clone_from(claim_id);
                self.epoch = *epoch;
                self.lease_expires_at = Some(*until);
                self.retry_at = None;
                self.started_at = None;
                self.progress_percent = None;
                self.progress_at = None;
            }
            Change::Started => {
                self.status = TaskStatus::InProgress;
                self.started_at = Some(at);
                self.progress_at = Some(at);
            }
            Change::Extended { until, percent } => {
                self.lease_expires_at = Some(*until);
                if percent.is_some() {
                    self.progress_percent = *percent;
                    self.progress_at = Some(at);
                }
            }
            Change::Stalled => {}
            Change::Reported { result, evidence } => {
                self.finish(TaskStatus::Reported, result.as_ref(), evidence, at);
            }
            Change::Completed { result, evidence } => {
                self.finish(TaskStatus::Completed, result.as_ref(), evidence, at);
                self.completed_at = Some(at);
            }
            Change::Verified { by, evidence } => {
                self.status = TaskStatus::Completed;
                self.completed_at = Some(at);
                self.verified_by = Some(by.clone());
                self.evidence.extend(evidence.iter().cloned());
            }
            Change::Retrying { reason, at: retry_at } => {
                self.failures += 1;
                self.requeue(reason);
                self.retry_at = Some(*retry_at);
            }
            Change::Failed(reason) => {
                self.failures += 1;
                self.end(TaskStatus::Failed, reason, at);
            }
            Change::Died(reason) => self.end(TaskStatus::Dead, reason, at),
            Change::Rejected(reason) | Change::Released(reason) => self.requeue(reason),
            Change::LeaseExpired(reason) => {
                self.lease_expiries += 1;
                self.requeue(reason);
            }
            Change::Cancelled(reason) => self.end(TaskStatus::Cancelled, reason, at),
            Change::Settled { on, outcome, result } => {
                self.settle(on, Some(*outcome), result.as_ref());
            }
            Change::Unsettled { on } => self.settle(on, None, None),
            Change::Unblocked => self.status = TaskStatus::Available,
            Change::Revived(reason) => {
                self.record(reason);
                self.failures = 0;
                self.lease_expiries = 0;
                self.completed_at = None;
                self.error = None;
                self.retry_at = None;
                self.status = self.waiting_status();
            }
            Change::SubtaskAdded { id } => self.subtask_ids.push(id.clone()),
        }
    }

    fn finish(
        &mut self,
        status: TaskStatus,
        result: Option<&Json>,
        evidence: &[Evidence],
        at: Timestamp,
    ) {
        self.status = status;
        self.result = result.cloned();
        self.evidence = evidence.to_vec();
        self.actual_minutes = self.started_at.map(|started| at.minutes_since(started));
        self.error = None;
        self.lease_expires_at = None;
    }

    fn requeue(&mut self, reason: &Reason) {
        self.status = TaskStatus::Available;
        self.drop_hold();
        self.result = None;
        self.evidence.clear();
        self.record(reason);
    }

    fn end(&mut self, status: TaskStatus, reason: &Reason, at: Timestamp) {
        self.status = status;
        self.drop_hold();
        self.retry_at = None;
        self.completed_at = Some(at);
        self.record(reason);
    }

    fn drop_hold(&mut self) {
        self.claimed_by = None;
        self.claimed_at = None;
        self.claim_id = None;
        self.lease_expires_at = None;
        self.progress_percent = None;
        self.progress_at = None;
    }

    fn record(&mut self, reason: &Reason) {
        if !matches!(reason.kind, ReasonKind::Revived | ReasonKind::Released) {
            self.error = Some(reason.message.clone());
        }
        if self.reasons.len() >= MAX_REASONS {
            self.reasons.remove(0);
        }
        self.reasons.push(reason.clone());
    }

    fn settle(&mut self, on: &TaskId, outcome: Option<Outcome>, result: Option<&Json>) {
        for edge in self.dependencies.iter_mut().filter(|edge| edge.task_id == *on) {
            edge.outcome = outcome;
            edge.result = result.cloned();
        }
    }
}
