//! Reports. The events of a claim may be on their way when its holder reports: a report that knows more
//! than was heard waits for a moment, and then work distribution is asked.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::Call;
use troupe_contract::progress::{ReportReceipt, ReportRequest};
use troupe_domain::{Fault, TaskId};

use super::{Progress, answer_of, deadline};
use crate::replica::asking;
use crate::rules::reporting::{Said, check};
use crate::rules::request::{ProgressReply, ProgressRequest};

/// How long the events may take before work distribution is asked.
const WAIT_FOR_EVENTS: Duration = Duration::from_millis(250);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// `progress.report`
pub async fn report(
    progress: &Progress,
    call: Call<ReportRequest>,
) -> Result<ReportReceipt, Fault> {
    check(&call.request)?;
    let until = deadline(&call);
    let id = progress.id_for(call.command_id.as_deref())?;
    let said = Box::new(Said { id, by: call.caller, request: call.request });
    let task = said.request.task_id.clone();
    let ask = |seen| ProgressRequest::Report { said: said.clone(), seen };
    let wait_until = until.min(Instant::now() + WAIT_FOR_EVENTS);
    loop {
        let reply = progress.ask(ask(None), until).await?;
        if !matches!(reply, ProgressReply::Behind) {
            return answer_of!(reply, Reported);
        }
        if Instant::now() + LOOK_AGAIN >= wait_until {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let seen = known(progress, &task).await?;
    answer_of!(progress.ask(ask(Some(seen)), until).await?, Reported)
}

async fn known(
    progress: &Progress,
    task: &TaskId,
) -> Result<Box<crate::rules::facts::Facts>, Fault> {
    let facts = asking::ask(&progress.bus, task).await?;
    facts.map(Box::new).ok_or_else(|| Fault::not_found("task", task))
}
