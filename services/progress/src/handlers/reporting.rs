//! Reports. Whoever is held up is told what memory has about it. The events of a claim may be on their way when its holder reports: a report that knows more
//! than was heard waits for a moment, and then work distribution is asked.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::{Call, CallOptions};
use troupe_contract::memory::{MemoryHit, SuggestMemories, SuggestRequest};
use troupe_contract::progress::{ReportReceipt, ReportRequest, Suggestion};
use troupe_domain::limits::MAX_MEMORY_QUERY_BYTES;
use troupe_domain::{AgentId, Fault, TaskId};

use super::{Progress, answer_of, deadline};
use crate::replica::asking;
use crate::rules::reporting::{Said, check};
use crate::rules::request::{ProgressReply, ProgressRequest};

/// How long the events may take before work distribution is asked.
const WAIT_FOR_EVENTS: Duration = Duration::from_millis(250);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long memory may take to say what it has about a blocker.
const SUGGEST_WITHIN: Duration = Duration::from_millis(500);
/// Entries that are suggested.
const SUGGESTIONS: usize = 3;
/// Bytes of each that are shown.
const MAX_SUGGESTION_BYTES: usize = 1_024;

/// `progress.report`
pub async fn report(
    progress: &Progress,
    call: Call<ReportRequest>,
) -> Result<ReportReceipt, Fault> {
    check(&call.request)?;
    let until = deadline(&call);
    let (stuck, by) = (blocked_by(&call.request), call.caller.clone());
    let mut receipt = stored(progress, call, until).await?;
    if let Some(query) = stuck {
        receipt.suggestions = suggestions(progress, query, by, &receipt.task_id, until).await;
    }
    Ok(receipt)
}

async fn stored(
    progress: &Progress,
    call: Call<ReportRequest>,
    until: Instant,
) -> Result<ReportReceipt, Fault> {
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

/// What holds the task up, in the words of the report.
fn blocked_by(request: &ReportRequest) -> Option<String> {
    let mut words = request.blockers.join("\n");
    words.truncate(words.floor_char_boundary(MAX_MEMORY_QUERY_BYTES));
    (!words.trim().is_empty()).then_some(words)
}

/// What memory has about it. The report is stored: nothing that goes wrong here is the reporter's.
async fn suggestions(
    progress: &Progress,
    query: String,
    by: AgentId,
    task: &TaskId,
    until: Instant,
) -> Vec<Suggestion> {
    let within = SUGGEST_WITHIN.min(until.saturating_duration_since(Instant::now()));
    let request = SuggestRequest {
        query,
        task_id: Some(task.clone()),
        namespace: None,
        reader: Some(by),
        limit: Some(SUGGESTIONS),
    };
    let options = CallOptions { retry_unheard: false, ..CallOptions::within(within) };
    let found = match progress.bus.call_with::<SuggestMemories>(&request, &options).await {
        Ok(found) => found.results,
        Err(fault) => {
            tracing::debug!(%fault, "nothing is suggested");
            return Vec::new();
        }
    };
    let suggestion = |hit: MemoryHit| {
        let mut text = hit.memory.content?;
        text.truncate(text.floor_char_boundary(MAX_SUGGESTION_BYTES));
        Some(Suggestion {
            memory_id: hit.memory.id,
            memory_type: hit.memory.memory_type,
            trust_level: hit.memory.trust_level,
            text,
        })
    };
    found.into_iter().filter_map(suggestion).collect()
}

async fn known(
    progress: &Progress,
    task: &TaskId,
) -> Result<Box<crate::rules::facts::Facts>, Fault> {
    let facts = asking::ask(&progress.bus, task).await?;
    facts.map(Box::new).ok_or_else(|| Fault::not_found("task", task))
}
