//! What may happen to a task: each rule takes the task and a command, and gives the change, nothing
//! (the command was already carried out), or a fault.
//!
//! Invariant: a rule that speaks for a holder lets nothing pass but the current epoch of the current
//! holder. Repeating a command that succeeded gives its first answer again.

use super::change::Change;
use super::{OnFailure, Outcome, Reason, ReasonKind, Task, TaskStatus};
use crate::capability::covers;
use crate::evidence::{Evidence, check_evidence};
use crate::fault::{Code, Fault};
use crate::json::Json;
use crate::limits::{MAX_LEASE_EXPIRIES, MAX_RESULT_BYTES, MAX_TEXT_BYTES};
use crate::name::{AgentId, Name, Role, TaskId};
use crate::time::Timestamp;
use crate::{Capability, task::spec::check_text};

/// The change to make; `None` where the command was carried out before.
pub type Decision = Result<Option<Change>, Fault>;

/// Who speaks, with which fencing token.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The agent.
    pub by: AgentId,
    /// The epoch it was given.
    pub epoch: u64,
}

/// What a matching rule must know of an agent.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    /// Its role.
    pub role: Role,
    /// What it can do.
    pub capabilities: Vec<Capability>,
}

impl Task {
    /// Whether an agent with this profile may hold the task.
    pub fn fits(&self, profile: &Profile) -> bool {
        self.required_role.as_ref().is_none_or(|role| *role == profile.role)
            && covers(&profile.capabilities, &self.required_capabilities)
    }

    /// Whether it can be claimed at `now`.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.status == TaskStatus::Available && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Blocked or available, by its dependencies.
    pub fn waiting_status(&self) -> TaskStatus {
        if self.is_released() { TaskStatus::Available } else { TaskStatus::Blocked }
    }

    fn is_released(&self) -> bool {
        self.dependencies.iter().all(|edge| match edge.outcome {
            Some(Outcome::Succeeded) => true,
            Some(Outcome::DidNotSucceed) => edge.on_failure == OnFailure::Continue,
            None => false,
        })
    }

    /// An agent takes the task. The caller has checked that it [`fits`](Self::fits).
    pub fn claim(&self, by: &AgentId, claim_id: Option<&str>, now: Timestamp) -> Decision {
        if self.status.is_held()
            && self.claimed_by.as_ref() == Some(by)
            && claim_id.is_some()
            && self.claim_id.as_deref() == claim_id
        {
            return Ok(None);
        }
        if self.status != TaskStatus::Available {
            return Err(self.not_in("claimed", Code::Conflict));
        }
        if let Some(at) = self.retry_at.filter(|at| *at > now) {
            return Err(Fault::precondition(format!("waits for its retry at {at}"))
                .with("retry_at", at.to_string()));
        }
        Ok(Some(Change::Claimed {
            by: by.clone(),
            epoch: self.epoch + 1,
            until: now.plus_millis(self.lease_ms),
            claim_id: claim_id.map(str::to_owned),
        }))
    }

    /// The holder begins.
    pub fn start(&self, holder: &Holder) -> Decision {
        self.check_hold(holder)?;
        Ok((self.status == TaskStatus::Claimed).then_some(Change::Started))
    }

    /// The holder asks for more time, and may tell how far it is.
    pub fn extend(
        &self,
        holder: &Holder,
        lease_ms: Option<u64>,
        percent: Option<f64>,
        now: Timestamp,
    ) -> Decision {
        super::spec::check_lease(lease_ms)?;
        if percent.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            return Err(Fault::invalid("progress_percent", "must be within 0 and 100"));
        }
        self.check_hold(holder)?;
        let until = now.plus_millis(lease_ms.unwrap_or(self.lease_ms));
        Ok(Some(Change::Extended { until, percent }))
    }

    /// The holder reports that it is done.
    pub fn complete(
        &self,
        holder: &Holder,
        result: Option<Json>,
        evidence: Vec<Evidence>,
    ) -> Decision {
        if result.as_ref().is_some_and(|r| r.len() > MAX_RESULT_BYTES) {
            return Err(
                Fault::exhausted("MAX_RESULT_BYTES", MAX_RESULT_BYTES).with("field", "result")
            );
        }
        check_evidence(&evidence)?;
        if matches!(self.status, TaskStatus::Completed | TaskStatus::Reported)
            && self.claimed_by.as_ref() == Some(&holder.by)
            && self.epoch == holder.epoch
        {
            return Ok(None);
        }
        self.check_hold(holder)?;
        let Some(verification) = &self.verification else {
            return Ok(Some(Change::Completed { result, evidence }));
        };
        if let Some(kind) = verification.missing(&evidence) {
            let kind = serde_json::to_value(kind).unwrap_or_default();
            return Err(Fault::precondition(format!("the task asks for evidence of kind {kind}"))
                .with("field", "evidence")
                .with("missing", kind));
        }
        Ok(Some(Change::Reported { result, evidence }))
    }

    /// The holder reports that it failed. `jitter` within 0 and 1 spreads retries.
    pub fn fail(
        &self,
        holder: &Holder,
        error: &str,
        retryable: bool,
        now: Timestamp,
        jitter: f64,
    ) -> Decision {
        check_text("error", error, MAX_TEXT_BYTES)?;
        if self.was_ended(ReasonKind::Failed, holder) {
            return Ok(None);
        }
        self.check_hold(holder)?;
        let reason = Reason {
            at: now,
            kind: ReasonKind::Failed,
            message: error.to_owned(),
            by: Some(holder.by.clone()),
            epoch: Some(holder.epoch),
            task_id: None,
        };
        Ok(Some(if !retryable {
            Change::Failed(reason)
        } else if self.failures >= self.max_retries {
            Change::Died(reason)
        } else {
            let backoff = self.backoff.as_deref().copied().unwrap_or_default();
            let at = now.plus_millis(backoff.wait_ms(self.failures + 1, jitter));
            Change::Retrying { reason, at }
        }))
    }

    /// The holder gives the task back.
    pub fn release(&self, holder: &Holder, why: &str, now: Timestamp) -> Decision {
        check_text("reason", why, MAX_TEXT_BYTES)?;
        if self.was_ended(ReasonKind::Released, holder) {
            return Ok(None);
        }
        self.check_hold(holder)?;
        Ok(Some(Change::Released(Reason {
            at: now,
            kind: ReasonKind::Released,
            message: why.to_owned(),
            by: Some(holder.by.clone()),
            epoch: Some(holder.epoch),
            task_id: None,
        })))
    }

    /// Nobody renewed the lease of `epoch`. Nothing happens if the task moved on.
    pub fn expire(&self, epoch: u64, why: &str, now: Timestamp) -> Option<Change> {
        if !self.status.is_held() || self.epoch != epoch {
            return None;
        }
        let mut reason = Reason {
            at: now,
            kind: ReasonKind::LeaseExpired,
            message: why.to_owned(),
            by: self.claimed_by.clone(),
            epoch: Some(epoch),
            task_id: None,
        };
        if self.lease_expiries + 1 < MAX_LEASE_EXPIRIES {
            return Some(Change::LeaseExpired(reason));
        }
        reason.kind = ReasonKind::Exhausted;
        reason.message = format!("{why}; expired {MAX_LEASE_EXPIRIES} times");
        Some(Change::Died(reason))
    }

    /// Somebody calls the task off.
    pub fn cancel(&self, by: &Name, why: &str, now: Timestamp) -> Decision {
        check_text("reason", why, MAX_TEXT_BYTES)?;
        match self.status {
            TaskStatus::Cancelled => Ok(None),
            status if status.is_terminal() => {
                Err(self.not_in("cancelled", Code::FailedPrecondition))
            }
            _ => Ok(Some(Change::Cancelled(Reason {
                at: now,
                kind: ReasonKind::Cancelled,
                message: why.to_owned(),
                by: Some(by.clone()),
                epoch: None,
                task_id: None,
            }))),
        }
    }

    /// Somebody else judges the report of `epoch`.
    pub fn verify(&self, verdict: &Verdict, now: Timestamp) -> Decision {
        check_evidence(&verdict.evidence)?;
        check_text("reason", &verdict.reason, MAX_TEXT_BYTES)?;
        if self.status == TaskStatus::Completed
            && self.epoch == verdict.epoch
            && verdict.accept
            && self.verified_by.as_ref() == Some(&verdict.by)
        {
            return Ok(None);
        }
        if self.status != TaskStatus::Reported {
            return Err(self.not_in("verified", Code::FailedPrecondition));
        }
        if self.epoch != verdict.epoch {
            return Err(self.stale(verdict.epoch));
        }
        if self.claimed_by.as_ref() == Some(&verdict.by) {
            return Err(Fault::new(
                Code::PermissionDenied,
                "the agent that reported the result cannot verify it",
            ));
        }
        if verdict.accept {
            let evidence = verdict.evidence.clone();
            return Ok(Some(Change::Verified { by: verdict.by.clone(), evidence }));
        }
        if verdict.reason.trim().is_empty() {
            return Err(Fault::invalid("reason", "a rejection must say why"));
        }
        let mut reason = Reason {
            at: now,
            kind: ReasonKind::Rejected,
            message: verdict.reason.clone(),
            by: Some(verdict.by.clone()),
            epoch: Some(verdict.epoch),
            task_id: None,
        };
        let rejections = self.reasons.iter().filter(|r| r.kind == ReasonKind::Rejected).count();
        if rejections as u32 >= self.max_retries {
            reason.kind = ReasonKind::Exhausted;
            return Ok(Some(Change::Died(reason)));
        }
        Ok(Some(Change::Rejected(reason)))
    }

    /// Whether `profile` may judge the report. A person without a profile may where the task names
    /// neither a role nor capabilities.
    pub fn may_verify(&self, profile: Option<&Profile>) -> bool {
        let Some(wanted) = &self.verification else { return true };
        match profile {
            Some(profile) => {
                wanted.role.as_ref().is_none_or(|role| *role == profile.role)
                    && covers(&profile.capabilities, &wanted.capabilities)
            }
            None => wanted.role.is_none() && wanted.capabilities.is_empty(),
        }
    }

    /// Somebody brings back what had failed, died or been cancelled.
    pub fn revive(&self, by: &Name, why: &str, now: Timestamp) -> Decision {
        check_text("reason", why, MAX_TEXT_BYTES)?;
        match self.status {
            TaskStatus::Failed | TaskStatus::Dead | TaskStatus::Cancelled => {
                Ok(Some(Change::Revived(Reason {
                    at: now,
                    kind: ReasonKind::Revived,
                    message: why.to_owned(),
                    by: Some(by.clone()),
                    epoch: None,
                    task_id: None,
                })))
            }
            _ => Err(self.not_in("revived", Code::FailedPrecondition)),
        }
    }

    /// What follows for this task when its dependencies are as they are: unblocked, cancelled with
    /// the reason, or nothing. Only a blocked task is touched.
    pub fn follow_dependencies(&self, now: Timestamp) -> Option<Change> {
        if self.status != TaskStatus::Blocked {
            return None;
        }
        let fatal = self.dependencies.iter().find(|edge| {
            edge.outcome == Some(Outcome::DidNotSucceed) && edge.on_failure == OnFailure::Cancel
        });
        if let Some(edge) = fatal {
            return Some(Change::Cancelled(Reason {
                at: now,
                kind: ReasonKind::DependencyFailed,
                message: format!("the dependency {} did not succeed", edge.task_id),
                by: None,
                epoch: None,
                task_id: Some(edge.task_id.clone()),
            }));
        }
        self.is_released().then_some(Change::Unblocked)
    }

    /// Whether the task was cancelled because `dependency` did not succeed.
    pub fn fell_with(&self, dependency: &TaskId) -> bool {
        self.status == TaskStatus::Cancelled
            && self.reasons.last().is_some_and(|reason| {
                reason.kind == ReasonKind::DependencyFailed
                    && reason.task_id.as_ref() == Some(dependency)
            })
    }

    /// Refuses whoever does not hold the task at this epoch.
    pub fn check_hold(&self, holder: &Holder) -> Result<(), Fault> {
        if self.status.is_held()
            && self.epoch == holder.epoch
            && self.claimed_by.as_ref() == Some(&holder.by)
        {
            Ok(())
        } else {
            Err(self.stale(holder.epoch))
        }
    }

    fn was_ended(&self, kind: ReasonKind, holder: &Holder) -> bool {
        !self.status.is_held()
            && self.epoch == holder.epoch
            && self.reasons.last().is_some_and(|reason| {
                reason.kind == kind
                    && reason.epoch == Some(holder.epoch)
                    && reason.by.as_ref() == Some(&holder.by)
            })
    }

    fn stale(&self, offered: u64) -> Fault {
        let message = match &self.claimed_by {
            Some(by) if self.status.is_held() => {
                format!("epoch {offered} is stale: {by} holds the task at epoch {}", self.epoch)
            }
            _ => format!(
                "epoch {offered} is stale: nobody holds the task ({}, epoch {})",
                self.status.as_str(),
                self.epoch
            ),
        };
        self.with_facts(Fault::new(Code::StaleEpoch, message))
    }

    fn not_in(&self, wanted: &str, code: Code) -> Fault {
        let message = format!("a task that is {} cannot be {wanted}", self.status.as_str());
        self.with_facts(Fault::new(code, message))
    }

    fn with_facts(&self, fault: Fault) -> Fault {
        let fault = fault
            .with("task_id", self.id.as_str())
            .with("status", self.status.as_str())
            .with("epoch", self.epoch);
        match (&self.claimed_by, self.claimed_at) {
            (Some(by), Some(at)) => {
                fault.with("claimed_by", by.as_str()).with("claimed_at", at.to_string())
            }
            _ => fault,
        }
    }
}

/// A verifier's judgement.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Who judges.
    pub by: AgentId,
    /// The epoch of the report.
    pub epoch: u64,
    /// Completed, or back to the queue.
    pub accept: bool,
    /// Why; a rejection must say it.
    pub reason: String,
    /// What the verifier saw.
    pub evidence: Vec<Evidence>,
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
