//! What holders do: claim, start, extend, complete, fail, release, verify; and what timers do.

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_contract::work::TaskReceipt;
use troupe_domain::evidence::Evidence;
use troupe_domain::fault::{Code, Fault};
use troupe_domain::limits::MAX_INLINE_INPUT_BYTES;
use troupe_domain::task::change::Change;
use troupe_domain::task::rules::{Decision, Holder, Profile, Verdict};
use troupe_domain::task::{ClaimedTask, Input};
use troupe_domain::{AgentId, Json, Task, TaskId, TaskStatus, Timestamp};

use super::state::ShardState;
use super::timers::{Due, Renewal, TimerKind};

/// Who claims, and how it is recognised when it asks again.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Claimer {
    /// The agent.
    pub agent: AgentId,
    /// The idempotency id of its command.
    pub claim_id: Option<String>,
}

/// A lease that is due: somebody must find out whether its holder lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueLease {
    /// The task.
    pub task_id: TaskId,
    /// The epoch of the hold.
    pub epoch: u64,
    /// The holder.
    pub holder: AgentId,
}

/// What is known of the holder of a lease that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderLife {
    /// Alive, and says that it works on the task (or never says what it works on).
    AtWork,
    /// Alive, and works on other things.
    Elsewhere,
    /// Not there.
    Gone,
    /// Nobody can tell.
    Unknown,
}

impl ShardState {
    fn known(&self, id: &TaskId) -> Result<Arc<Task>, Fault> {
        self.tasks.get(id).cloned().ok_or_else(|| self.absent(id))
    }

    fn carry_out(
        &mut self,
        id: &TaskId,
        decision: Decision,
        now: Timestamp,
    ) -> Result<TaskReceipt, Fault> {
        if let Some(change) = decision? {
            self.change(id, change, now);
            let ended = self.tasks.get(id).is_some_and(|task| task.status.is_terminal());
            if ended {
                self.settle_dependents(id, now);
            }
        }
        self.receipt(id)
    }

    /// The state of a task as a write's answer.
    pub fn receipt(&self, id: &TaskId) -> Result<TaskReceipt, Fault> {
        let task = self.tasks.get(id).ok_or_else(|| self.absent(id))?;
        let lease = task.lease_expires_at.filter(|_| task.status.is_held());
        Ok(TaskReceipt {
            task_id: id.clone(),
            status: task.status,
            epoch: task.epoch,
            lease_expires_at: lease.map(|at| self.timers.lease_end(task, at)),
        })
    }

    /// The task that an earlier claim under the same command id gave, if it is still held.
    pub fn claimed_before(&self, claimer: &Claimer) -> Option<ClaimedTask> {
        let claim_id = claimer.claim_id.as_deref()?;
        let held = self.held.get(&claimer.agent)?;
        held.iter()
            .filter_map(|id| self.tasks.get(id))
            .find(|task| task.claim_id.as_deref() == Some(claim_id))
            .map(|task| self.hand_over(task))
    }

    /// Claims the first task in the queue that the profile fits, and starts it if `start` says so.
    pub fn claim_best(
        &mut self,
        claimer: &Claimer,
        profile: &Profile,
        start: bool,
        now: Timestamp,
    ) -> Result<Option<ClaimedTask>, Fault> {
        if let Some(before) = self.claimed_before(claimer) {
            return Ok(Some(before));
        }
        let Some((_, id)) = self.queue.first(profile) else { return Ok(None) };
        let claimed = self.claim_known(&id, claimer, now)?;
        if !start {
            return Ok(Some(claimed));
        }
        let holder = Holder { by: claimer.agent.clone(), epoch: claimed.task.epoch };
        self.start(&id, &holder, now)?;
        let task = self.known(&id)?;
        Ok(Some(self.hand_over(&task)))
    }

    /// Claims one task.
    pub fn claim(
        &mut self,
        id: &TaskId,
        claimer: &Claimer,
        profile: &Profile,
        expected_epoch: Option<u64>,
        now: Timestamp,
    ) -> Result<ClaimedTask, Fault> {
        let task = self.known(id)?;
        if !task.fits(profile) {
            return Err(Fault::precondition(format!(
                "{} does not have the role or the capabilities that the task requires",
                claimer.agent
            ))
            .with("required_role", task.required_role.as_ref().map(AgentId::as_str))
            .with("required_capabilities", serde_json::json!(task.required_capabilities)));
        }
        // The claim itself moved the epoch on: when it is repeated it finds what it had got.
        if let Some(before) = self.claimed_before(claimer).filter(|held| held.task.id == *id) {
            return Ok(before);
        }
        if expected_epoch.is_some_and(|expected| expected != task.epoch) {
            return Err(Fault::new(Code::Conflict, format!("the task is at epoch {}", task.epoch))
                .with("epoch", task.epoch));
        }
        self.claim_known(id, claimer, now)
    }

    fn claim_known(
        &mut self,
        id: &TaskId,
        claimer: &Claimer,
        now: Timestamp,
    ) -> Result<ClaimedTask, Fault> {
        let task = self.known(id)?;
        if let Some(change) = task.claim(&claimer.agent, claimer.claim_id.as_deref(), now)? {
            self.change(id, change, now);
        }
        let task = self.known(id)?;
        Ok(self.hand_over(&task))
    }

    /// The task with what its dependencies found, as far as it fits.
    fn hand_over(&self, task: &Arc<Task>) -> ClaimedTask {
        let mut room = MAX_INLINE_INPUT_BYTES;
        let mut inputs = BTreeMap::new();
        for edge in &task.dependencies {
            let local = self.tasks.get(&edge.task_id);
            let status = local.map_or_else(
                || match edge.outcome {
                    Some(troupe_domain::task::Outcome::Succeeded) => TaskStatus::Completed,
                    _ => TaskStatus::Failed,
                },
                |dependency| dependency.status,
            );
            let result = edge.result.as_ref().or(local.and_then(|d| d.result.as_ref()));
            let fits = result.filter(|result| result.len() <= room).cloned();
            room -= fits.as_ref().map_or(0, Json::len);
            let key = local.and_then(|d| d.key.clone()).unwrap_or_else(|| edge.task_id.clone());
            let input = Input {
                task_id: edge.task_id.clone(),
                status,
                truncated: result.is_some() && fits.is_none(),
                result: fits,
            };
            inputs.insert(key, input);
        }
        ClaimedTask { task: task.clone(), inputs, trace: task.trace.clone() }
    }

    /// The holder begins.
    pub fn start(
        &mut self,
        id: &TaskId,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<TaskReceipt, Fault> {
        let decision = self.known(id)?.start(holder);
        self.carry_out(id, decision, now)
    }

    /// The holder renews its lease.
    pub fn extend(
        &mut self,
        id: &TaskId,
        holder: &Holder,
        lease_ms: Option<u64>,
        percent: Option<f64>,
        now: Timestamp,
    ) -> Result<TaskReceipt, Fault> {
        let decision = self.known(id)?.extend(holder, lease_ms, percent, now);
        self.carry_out(id, decision, now)
    }

    /// The holder reports that it is done.
    pub fn complete(
        &mut self,
        id: &TaskId,
        holder: &Holder,
        result: Option<Json>,
        evidence: Vec<Evidence>,
        now: Timestamp,
    ) -> Result<TaskReceipt, Fault> {
        let decision = self.known(id)?.complete(holder, result, evidence);
        self.carry_out(id, decision, now)
    }

    /// The holder reports that it failed.
    pub fn fail(
        &mut self,
        id: &TaskId,
        holder: &Holder,
        error: &str,
        retryable: bool,
        now: Timestamp,
        jitter: f64,
    ) -> Result<TaskReceipt, Fault> {
        let decision = self.known(id)?.fail(holder, error, retryable, now, jitter);
        self.carry_out(id, decision, now)
    }

    /// The holder gives the task back.
    pub fn release(
        &mut self,
        id: &TaskId,
        holder: &Holder,
        why: &str,
        now: Timestamp,
    ) -> Result<TaskReceipt, Fault> {
        let decision = self.known(id)?.release(holder, why, now);
        self.carry_out(id, decision, now)
    }

    /// Somebody else judges a report.
    pub fn verify(
        &mut self,
        id: &TaskId,
        verdict: &Verdict,
        profile: Option<&Profile>,
        now: Timestamp,
    ) -> Result<TaskReceipt, Fault> {
        let task = self.known(id)?;
        if !task.may_verify(profile) {
            return Err(Fault::new(
                Code::PermissionDenied,
                "the task asks for a verifier with another role or other capabilities",
            ));
        }
        let decision = task.verify(verdict, now);
        self.carry_out(id, decision, now)
    }

    /// Fires what is due. Gives the leases whose holders somebody must ask about; they fire again
    /// after `ask_again_ms` unless they are judged by then.
    pub fn fire(&mut self, now: Timestamp, limit: usize, ask_again_ms: u64) -> Vec<DueLease> {
        let mut leases = Vec::new();
        let due: Vec<Due> = self.timers.due(now, limit);
        for (kind, id) in due {
            let Some(task) = self.tasks.get(&id).cloned() else { continue };
            match kind {
                TimerKind::Retry => self.retry_is_due(&id, now),
                TimerKind::Stalled => self.change(&id, Change::Stalled, now),
                TimerKind::Budget => self.end_attempt_over_budget(&task, now),
                TimerKind::Lease => {
                    let Some(holder) = task.claimed_by.clone() else { continue };
                    self.timers.renew(&task, now.plus_millis(ask_again_ms), Renewal::Asking);
                    leases.push(DueLease { task_id: id, epoch: task.epoch, holder });
                }
            }
        }
        leases
    }

    fn end_attempt_over_budget(&mut self, task: &Task, now: Timestamp) {
        let Some(by) = task.claimed_by.clone() else { return };
        let holder = Holder { by, epoch: task.epoch };
        let decision = task.fail(&holder, "the time budget is spent", true, now, 0.0);
        // The holder was just read from the task, so the rule cannot refuse it.
        if let Err(fault) = self.carry_out(&task.id, decision, now) {
            tracing::error!(task = %task.id, %fault, "a budget could not be enforced");
        }
    }

    /// Judges a lease that is due, now that it is known whether its holder lives.
    pub fn judge_lease(&mut self, lease: &DueLease, life: HolderLife, now: Timestamp) {
        let Some(task) = self.tasks.get(&lease.task_id).cloned() else { return };
        if !task.status.is_held() || task.epoch != lease.epoch {
            return;
        }
        let until = now.plus_millis(task.lease_ms);
        let why = match life {
            HolderLife::AtWork => return self.timers.renew(&task, until, Renewal::Alive),
            HolderLife::Unknown if self.timers.graces(&task) == 0 => {
                return self.timers.renew(&task, until, Renewal::Grace);
            }
            HolderLife::Unknown => {
                format!("the lease of {} ran out and nobody knows of it", lease.holder)
            }
            HolderLife::Elsewhere => format!("{} does not work on the task any more", lease.holder),
            HolderLife::Gone => format!("{} is not there any more", lease.holder),
        };
        if let Some(change) = task.expire(lease.epoch, &why, now) {
            let _ = self.carry_out(&lease.task_id, Ok(Some(change)), now);
        }
    }

    /// The leases that an agent holds, to be judged at once because it is said to be gone.
    pub fn leases_of(&self, agent: &AgentId) -> Vec<DueLease> {
        let held = self.held.get(agent).into_iter().flatten();
        held.filter_map(|id| self.tasks.get(id))
            .map(|task| DueLease {
                task_id: task.id.clone(),
                epoch: task.epoch,
                holder: agent.clone(),
            })
            .collect()
    }

    /// How many tasks an agent holds.
    pub fn held_by(&self, agent: &AgentId) -> usize {
        self.held.get(agent).map_or(0, std::collections::BTreeSet::len)
    }
}
