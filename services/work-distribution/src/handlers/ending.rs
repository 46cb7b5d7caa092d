//! Ending work: complete, fail, release, cancel, verify, revive.

use troupe_bus::Call;
use troupe_contract::work::{
    CancelRequest, CompleteRequest, Completed, FailRequest, NextRequest, ReleaseRequest,
    ReviveRequest, TaskIds, TaskReceipt, VerifyRequest,
};
use troupe_domain::Task;
use troupe_domain::fault::{Code, Fault};

use super::{Work, claiming, deadline};
use crate::shard::request::{Hold, Judgement};
use crate::shard::{ShardReply, ShardRequest};

/// `work.complete`
pub async fn complete(work: &Work, call: Call<CompleteRequest>) -> Result<Completed, Fault> {
    let until = deadline(&call);
    let Call { caller, request, command_id, deadline, trace } = call;
    let CompleteRequest { task_id, epoch, result, evidence, next } = request;
    let hold = Hold { id: task_id.clone(), by: caller.clone(), epoch };
    let report = ShardRequest::Complete { hold, result, evidence };
    let TaskReceipt { task_id, status, epoch, .. } = work.receipt(&task_id, report, until).await?;
    let next = if next {
        let request = NextRequest { wait_ms: 0, start: true };
        let poll = Call { caller, request, command_id, deadline, trace };
        // The report is stored, and that is the answer: whoever may not have a task hears it from
        // a poll.
        claiming::next(work, poll).await.ok().and_then(|reply| reply.task)
    } else {
        None
    };
    Ok(Completed { task_id, status, epoch, next })
}

/// `work.fail`
pub async fn fail(work: &Work, call: Call<FailRequest>) -> Result<TaskReceipt, Fault> {
    let until = deadline(&call);
    let FailRequest { task_id, epoch, error, retryable } = call.request;
    let hold = Hold { id: task_id.clone(), by: call.caller, epoch };
    work.receipt(&task_id, ShardRequest::Fail { hold, error, retryable }, until).await
}

/// `work.release`
pub async fn release(work: &Work, call: Call<ReleaseRequest>) -> Result<TaskReceipt, Fault> {
    let until = deadline(&call);
    let ReleaseRequest { task_id, epoch, reason } = call.request;
    let hold = Hold { id: task_id.clone(), by: call.caller, epoch };
    work.receipt(&task_id, ShardRequest::Release { hold, reason }, until).await
}

/// `work.cancel`
pub async fn cancel(work: &Work, call: Call<CancelRequest>) -> Result<TaskIds, Fault> {
    let until = deadline(&call);
    let CancelRequest { task_id, reason } = call.request;
    let request = ShardRequest::Cancel { id: task_id.clone(), by: call.caller, reason };
    match work.ask(&task_id, request, until).await? {
        ShardReply::Ids(task_ids) => Ok(TaskIds { task_ids }),
        other => Err(other.unexpected()),
    }
}

/// `work.verify`
pub async fn verify(work: &Work, call: Call<VerifyRequest>) -> Result<TaskReceipt, Fault> {
    let until = deadline(&call);
    let VerifyRequest { task_id, epoch, accept, reason, evidence } = call.request;
    // A person need not be registered; the task says whether that will do.
    let profile = match work.fleet.agent(&call.caller).await {
        Ok((_, profile)) => Some(profile),
        Err(fault) if fault.code == Code::FailedPrecondition => None,
        Err(fault) => return Err(fault),
    };
    let judgement = Judgement { by: call.caller, epoch, accept, reason, evidence };
    let request = ShardRequest::Verify { id: task_id.clone(), judgement, profile };
    work.receipt(&task_id, request, until).await
}

/// `work.revive`
pub async fn revive(work: &Work, call: Call<ReviveRequest>) -> Result<TaskIds, Fault> {
    let until = deadline(&call);
    let ReviveRequest { task_id, reason } = call.request;
    let request = |archived| ShardRequest::Revive {
        id: task_id.clone(),
        by: call.caller.clone(),
        reason: reason.clone(),
        archived,
    };
    let reply = match work.ask(&task_id, request(None), until).await {
        Err(fault) if fault.code == Code::NotFound => {
            let task = work.archived(&task_id, &fault).await?.ok_or(fault)?;
            let mut task = Task::clone(&task);
            work.refresh_edges(&mut task, until).await?;
            work.ask(&task_id, request(Some(Box::new(task))), until).await?
        }
        reply => reply?,
    };
    match reply {
        ShardReply::Ids(task_ids) => Ok(TaskIds { task_ids }),
        other => Err(other.unexpected()),
    }
}
