//! Reading: one task, pages, what is available, recommendations, counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::{Call, CallOptions};
use troupe_contract::memory::{Alike, TrackRecords, TrackRecordsRequest};
use troupe_contract::registry::{Discover, DiscoveryFilter, Empty};
use troupe_contract::work::{
    AvailableReply, AvailableRequest, RecommendRequest, Recommendations, TaskFilter, TaskPage,
    TaskRef, TaskReply, WorkStatistics,
};
use troupe_domain::fault::{Code, Fault};
use troupe_domain::limits::{MAX_FILTER_NAMES, MAX_MEMORY_QUERY_BYTES, MAX_PAGE_ROWS};
use troupe_domain::{Agent, AgentId, Task, TaskId};

use super::{Work, deadline, page_rows};
use crate::rules::recommend::{Known, score};
use crate::rules::stats::{self, Timed};
use crate::shard::{ShardReply, ShardRequest};

/// Waiting tasks of each shard that one recommendation looks at.
const MAX_RECOMMENDED_TASKS: usize = 64;
/// How long memory may take to say what agents achieved at tasks like one.
const RECALL_WITHIN: Duration = Duration::from_millis(500);

/// `work.get`
pub async fn get(work: &Work, call: Call<TaskRef>) -> Result<TaskReply, Fault> {
    let until = deadline(&call);
    Ok(TaskReply { task: work.read(&call.request.task_id, until).await? })
}

/// `work.list`
pub async fn list(work: &Work, call: Call<TaskFilter>) -> Result<TaskPage, Fault> {
    let until = deadline(&call);
    let rows = page_rows(call.request.limit)?;
    let filter = &call.request;
    for (field, len) in [("roles", filter.roles.len()), ("capabilities", filter.capabilities.len())]
    {
        if len > MAX_FILTER_NAMES {
            return Err(Fault::exhausted("MAX_FILTER_NAMES", MAX_FILTER_NAMES).with("field", field));
        }
    }
    let shards = (0..work.router.shards()).map(|shard| pages(work, shard, filter, rows, until));
    let parts = futures::future::try_join_all(shards).await?;
    let more = parts.iter().any(|(_, more)| *more);
    let mut tasks: Vec<Arc<Task>> = parts.into_iter().flat_map(|(tasks, _)| tasks).collect();
    tasks.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let cut = tasks.len() > rows;
    tasks.truncate(rows);
    let next_after = tasks.last().filter(|_| cut || more).map(|task| task.id.clone());
    Ok(TaskPage { tasks, next_after })
}

/// The first `rows` of one shard, and whether there may be more. A shard gives its answer in small
/// pieces, so that a long search holds nobody else up.
async fn pages(
    work: &Work,
    shard: u16,
    filter: &TaskFilter,
    rows: usize,
    until: Instant,
) -> Result<(Vec<Arc<Task>>, bool), Fault> {
    let mut found: Vec<Arc<Task>> = Vec::new();
    let mut after: Option<TaskId> = filter.after.clone();
    loop {
        let limit = Some(rows - found.len());
        let piece = TaskFilter { after: after.clone(), limit, ..filter.clone() };
        match work.router.call(shard, ShardRequest::List { filter: piece }, until).await? {
            ShardReply::Page { tasks, next } => {
                found.extend(tasks);
                if next.is_none() || found.len() >= rows {
                    return Ok((found, next.is_some()));
                }
                after = next;
            }
            other => return Err(other.unexpected()),
        }
    }
}

/// `work.available`
pub async fn available(work: &Work, call: Call<AvailableRequest>) -> Result<AvailableReply, Fault> {
    let until = deadline(&call);
    let rows = page_rows(call.request.limit)?;
    let id = call.request.agent_id.unwrap_or(call.caller);
    let (_, profile) = work.fleet.agent(&id).await?;
    let request = ShardRequest::Available { profile, limit: rows };
    let (tasks, total) = waiting(work, request, rows, until).await?;
    Ok(AvailableReply { tasks, total })
}

async fn waiting(
    work: &Work,
    request: ShardRequest,
    rows: usize,
    until: Instant,
) -> Result<(Vec<Arc<Task>>, u64), Fault> {
    let (mut all, mut total) = (Vec::new(), 0);
    for reply in work.router.call_all(request, until).await? {
        match reply {
            ShardReply::Waiting { tasks, total: here } => {
                all.extend(tasks);
                total += here as u64;
            }
            other => return Err(other.unexpected()),
        }
    }
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    all.truncate(rows);
    Ok((all.into_iter().map(|(_, task)| task).collect(), total))
}

/// `work.recommend`
pub async fn recommend(
    work: &Work,
    call: Call<RecommendRequest>,
) -> Result<Recommendations, Fault> {
    let until = deadline(&call);
    let limit = page_rows(Some(call.request.limit.unwrap_or(10)))?;
    let agents = match &call.request.agent_id {
        Some(id) => vec![work.fleet.agent(id).await?.0],
        None => work.live_agents().await?,
    };
    let tasks = match (&call.request.task_id, &*agents) {
        (Some(id), _) => vec![work.read(id, until).await?],
        (None, [only]) => {
            let request =
                ShardRequest::Available { profile: Arc::new(only.profile()), limit: MAX_PAGE_ROWS };
            waiting(work, request, MAX_PAGE_ROWS, until).await?.0
        }
        (None, _) => {
            let heads = ShardRequest::Heads { limit: MAX_RECOMMENDED_TASKS };
            waiting(work, heads, MAX_PAGE_ROWS, until).await?.0
        }
    };
    let ids = agents.iter().map(|agent| agent.id.clone()).collect();
    let records = work.records(ids, until).await?;
    let alike = match &*tasks {
        [only] => work.achieved(only, &agents).await,
        _ => HashMap::new(),
    };
    let now = work.world.now();
    let mut all = Vec::new();
    for task in &tasks {
        for (agent, (tally, held)) in agents.iter().zip(&records) {
            let known = Known { tally, held: *held, alike: alike.get(&agent.id).copied() };
            all.extend(score(task, agent, known, now));
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.task_id.cmp(&b.task_id)));
    all.truncate(limit);
    Ok(Recommendations { recommendations: all })
}

impl Work {
    async fn live_agents(&self) -> Result<Vec<Arc<Agent>>, Fault> {
        let filter = DiscoveryFilter { limit: Some(MAX_PAGE_ROWS), ..DiscoveryFilter::default() };
        let found =
            self.bus.call_with::<Discover>(&filter, &CallOptions::default()).await.map_err(
                |fault| {
                    Fault::new(Code::Unavailable, format!("the registry does not answer: {fault}"))
                },
            )?;
        Ok(found.agents.into_iter().map(Arc::new).collect())
    }

    /// What agents achieved at tasks like this one, as far as memory knows and says so in time.
    async fn achieved(&self, task: &Task, agents: &[Arc<Agent>]) -> HashMap<AgentId, Alike> {
        let mut query = format!("{}\n{}", task.title, task.description);
        query.truncate(query.floor_char_boundary(MAX_MEMORY_QUERY_BYTES));
        let agents: Vec<AgentId> =
            agents.iter().take(MAX_PAGE_ROWS).map(|agent| agent.id.clone()).collect();
        if agents.is_empty() {
            return HashMap::new();
        }
        let request = TrackRecordsRequest { agents, query: Some(query) };
        let options = CallOptions { retry_unheard: false, ..CallOptions::within(RECALL_WITHIN) };
        match self.bus.call_with::<TrackRecords>(&request, &options).await {
            Ok(reply) => {
                let known = reply.records.into_iter();
                known.filter_map(|record| Some((record.agent_id, record.alike?))).collect()
            }
            Err(fault) => {
                tracing::debug!(%fault, "recommended without what memory knows");
                HashMap::new()
            }
        }
    }

    /// What each agent did, and how many tasks it holds, over all shards.
    async fn records(
        &self,
        agents: Vec<AgentId>,
        until: Instant,
    ) -> Result<Vec<(stats::AgentTally, u64)>, Fault> {
        let mut sums = vec![(stats::AgentTally::default(), 0); agents.len()];
        for reply in self.router.call_all(ShardRequest::Records { agents }, until).await? {
            let ShardReply::Records(part) = reply else { return Err(reply.unexpected()) };
            for (sum, (tally, held)) in sums.iter_mut().zip(part) {
                sum.0.completed += tally.completed;
                sum.0.failed += tally.failed;
                sum.0.expired += tally.expired;
                sum.0.busy_ms += tally.busy_ms;
                sum.1 += held;
            }
        }
        Ok(sums)
    }
}

/// `work.stats`
pub async fn stats(work: &Work, call: Call<Empty>) -> Result<WorkStatistics, Fault> {
    let mut total = WorkStatistics::default();
    let mut timed = Timed::default();
    for reply in work.router.call_all(ShardRequest::Stats, deadline(&call)).await? {
        let ShardReply::Stats(part, part_timed) = reply else { return Err(reply.unexpected()) };
        stats::add(&mut total, *part);
        timed.busy_ms += part_timed.busy_ms;
        timed.count += part_timed.count;
    }
    total.avg_completion_time_ms =
        (timed.count > 0).then(|| timed.busy_ms as f64 / timed.count as f64);
    Ok(total)
}
