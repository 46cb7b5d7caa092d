//! A task in this agent's hands.
//!
//! Every write carries the task and the epoch, and is sent again while its outcome is unknown: the
//! service takes the same write of the same holder at the same epoch once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use troupe_bus::port::{System, World};
use troupe_contract::work::{
    Complete, CompleteRequest, Completed, Extend, ExtendRequest, Fail, FailRequest, HoldRequest,
    Release, ReleaseRequest, Start, TaskReceipt,
};
use troupe_domain::evidence::Evidence;
use troupe_domain::task::{ClaimedTask, Input};
use troupe_domain::{Fault, Json, Name, Task, TaskId, TaskStatus};

use crate::session::Shared;
use crate::text::bounded;
use crate::watch::{Hold, Loss, over};
use crate::{Patience, insist};

/// A task that this agent holds. Dropping it stops the renewals, and the lease runs out.
#[derive(Debug)]
pub struct HeldTask {
    shared: Arc<Shared>,
    claimed: ClaimedTask,
    lost: watch::Receiver<Option<Loss>>,
    watcher: JoinHandle<()>,
}

impl HeldTask {
    pub(crate) fn take(shared: Arc<Shared>, claimed: ClaimedTask) -> Self {
        shared.state.lock().running.insert(claimed.task.id.clone(), claimed.task.epoch);
        shared.news.notify_one();
        let hold = Hold {
            task_id: claimed.task.id.clone(),
            epoch: claimed.task.epoch,
            holder: shared.troupe.name().clone(),
            lease: Duration::from_millis(claimed.task.lease_ms),
        };
        let (tell, lost) = watch::channel(None);
        let watcher = tokio::spawn(over(shared.troupe.clone(), hold, tell));
        Self { shared, claimed, lost, watcher }
    }

    /// The task as it was when it was claimed.
    pub fn task(&self) -> &Task {
        &self.claimed.task
    }

    /// The results of its dependencies, by key in the graph or by id.
    pub fn inputs(&self) -> &BTreeMap<Name, Input> {
        &self.claimed.inputs
    }

    /// Task and inputs together, as an agent's program reads them.
    pub fn claimed(&self) -> &ClaimedTask {
        &self.claimed
    }

    /// The fencing token of this hold.
    pub fn epoch(&self) -> u64 {
        self.claimed.task.epoch
    }

    pub(crate) fn troupe(&self) -> &crate::Troupe {
        &self.shared.troupe
    }

    fn id(&self) -> TaskId {
        self.claimed.task.id.clone()
    }

    /// Completes when the hold is lost: stop working, nothing can be written any more.
    pub async fn lost(&self) -> Loss {
        let mut lost = self.lost.clone();
        if let Ok(loss) = lost.wait_for(Option::is_some).await
            && let Some(loss) = loss.clone()
        {
            return loss;
        }
        // The watcher is gone without having said so: this value is being dropped.
        std::future::pending().await
    }

    /// Whether it was started with the claim.
    pub fn is_started(&self) -> bool {
        self.claimed.task.status == TaskStatus::InProgress
    }

    /// Says that the work begins.
    pub async fn start(&self) -> Result<TaskReceipt, Fault> {
        let request = HoldRequest { task_id: self.id(), epoch: self.epoch() };
        insist::<Start>(&self.shared.troupe, &request, None, Patience::default()).await
    }

    /// Renews the lease and tells the progress, 0 to 100. The lease alone is renewed by itself.
    pub async fn extend(&self, progress_percent: Option<f64>) -> Result<TaskReceipt, Fault> {
        let request = ExtendRequest {
            task_id: self.id(),
            epoch: self.epoch(),
            lease_ms: None,
            progress_percent,
        };
        insist::<Extend>(&self.shared.troupe, &request, None, Patience::default()).await
    }

    /// Reports success.
    pub async fn complete(
        &self,
        result: Option<Json>,
        evidence: Vec<Evidence>,
    ) -> Result<Completed, Fault> {
        let report = CompleteRequest::new(self.id(), self.epoch(), result);
        let report = CompleteRequest { evidence, ..report };
        insist::<Complete>(&self.shared.troupe, &report, None, Patience::default()).await
    }

    /// Reports success, and takes the next task with the same request, claimed and started, if there
    /// is one now. It has one command id, however often it is sent: no task is taken twice.
    pub async fn complete_and_next(
        &self,
        result: Option<Json>,
        evidence: Vec<Evidence>,
    ) -> Result<(Completed, Option<HeldTask>), Fault> {
        let report = CompleteRequest::new(self.id(), self.epoch(), result);
        let report = CompleteRequest { evidence, next: true, ..report };
        let command_id = System.ulid().to_string();
        let troupe = &self.shared.troupe;
        let mut done =
            insist::<Complete>(troupe, &report, Some(command_id), Patience::default()).await?;
        let next = done.next.take().map(|task| Self::take(self.shared.clone(), task));
        Ok((done, next))
    }

    /// Reports a failure; the error is cut to what the service takes.
    pub async fn fail(&self, error: &str, retryable: bool) -> Result<TaskReceipt, Fault> {
        let request = FailRequest {
            task_id: self.id(),
            epoch: self.epoch(),
            error: bounded(error),
            retryable,
        };
        insist::<Fail>(&self.shared.troupe, &request, None, Patience::default()).await
    }

    /// Gives the task back to the queue.
    pub async fn release(&self, reason: &str) -> Result<TaskReceipt, Fault> {
        let request =
            ReleaseRequest { task_id: self.id(), epoch: self.epoch(), reason: bounded(reason) };
        insist::<Release>(&self.shared.troupe, &request, None, Patience::default()).await
    }
}

impl Drop for HeldTask {
    fn drop(&mut self) {
        self.watcher.abort();
        let id = &self.claimed.task.id;
        let mut state = self.shared.state.lock();
        // A newer hold on the same task, by this same agent, stays listed.
        if state.running.get(id) == Some(&self.epoch()) {
            state.running.remove(id);
        }
        drop(state);
        self.shared.news.notify_one();
    }
}
