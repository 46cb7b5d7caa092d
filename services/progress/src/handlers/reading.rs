//! Reading: one task, its history, sums, agents, counts.

use std::time::Duration;

use troupe_bus::{Call, CallOptions};
use troupe_contract::progress::{
    AgentProgressSummary, AgentSummaryRequest, HistoryPage, HistoryRequest, LatestReply,
    LatestRequest, ProgressStatistics, ProgressSummary, StalledReply, StalledRequest,
    SummaryRequest,
};
use troupe_contract::registry::{AgentRef, Empty, GetAgent};
use troupe_domain::{AgentId, Fault, Role};

use super::{Progress, answer_of, deadline, page_rows};
use crate::rules::reads::set_of;
use crate::rules::request::ProgressRequest;

/// How long the registry may take to say an agent's role.
const ROLE_WITHIN: Duration = Duration::from_millis(500);

/// `progress.latest`
pub async fn latest(progress: &Progress, call: Call<LatestRequest>) -> Result<LatestReply, Fault> {
    let until = deadline(&call);
    let request = ProgressRequest::Latest { task: call.request.task_id };
    let task = answer_of!(progress.ask(request, until).await?, Task)?;
    Ok(LatestReply { progress: *task })
}

/// `progress.history`
pub async fn history(
    progress: &Progress,
    call: Call<HistoryRequest>,
) -> Result<HistoryPage, Fault> {
    let until = deadline(&call);
    let HistoryRequest { task_id, limit, before } = call.request;
    let limit = page_rows(limit, 100)?;
    let request = ProgressRequest::History { task: task_id, before, limit };
    answer_of!(progress.ask(request, until).await?, History)
}

/// `progress.summary`
pub async fn summary(
    progress: &Progress,
    call: Call<SummaryRequest>,
) -> Result<ProgressSummary, Fault> {
    let until = deadline(&call);
    let over = call.request.over();
    set_of(&over)?;
    let reply = progress.ask(ProgressRequest::Summary { over }, until).await?;
    answer_of!(reply, Summary).map(|summary| *summary)
}

/// `progress.agent_summary`
pub async fn agent_summary(
    progress: &Progress,
    call: Call<AgentSummaryRequest>,
) -> Result<AgentProgressSummary, Fault> {
    let until = deadline(&call);
    let agent = call.request.agent_id.unwrap_or(call.caller);
    let request = ProgressRequest::Agent { agent: agent.clone() };
    let summary = answer_of!(progress.ask(request, until).await?, Agent)?;
    Ok(AgentProgressSummary { role: role_of(progress, agent).await, ..*summary })
}

/// What the registry says; a summary does not wait for long for it.
async fn role_of(progress: &Progress, agent: AgentId) -> Option<Role> {
    let options = CallOptions { retry_unheard: false, ..CallOptions::within(ROLE_WITHIN) };
    let reply = progress.bus.call_with::<GetAgent>(&AgentRef { agent_id: agent }, &options).await;
    reply.ok().map(|reply| reply.agent.role)
}

/// `progress.stalled`
pub async fn stalled(
    progress: &Progress,
    call: Call<StalledRequest>,
) -> Result<StalledReply, Fault> {
    let until = deadline(&call);
    let limit = page_rows(call.request.limit, 100)?;
    answer_of!(progress.ask(ProgressRequest::Stalled { limit }, until).await?, Stalled)
}

/// `progress.stats`
pub async fn stats(progress: &Progress, call: Call<Empty>) -> Result<ProgressStatistics, Fault> {
    let reply = progress.ask(ProgressRequest::Stats, deadline(&call)).await?;
    answer_of!(reply, Stats).map(|stats| *stats)
}
