//! Milestones. Tasks that nobody has heard of yet may have been created a moment ago: a milestone that
//! requires them waits for a moment, and then work distribution is asked.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::{Call, CallOptions};
use troupe_contract::progress::{
    MilestoneFilter, MilestonePage, MilestoneRef, MilestoneReply, MilestoneSpec,
    MilestoneUpdateRequest,
};
use troupe_contract::work::{ListTasks, TaskFilter};
use troupe_domain::limits::{MAX_FILTER_NAMES, MAX_MILESTONE_TASKS, MAX_PAGE_ROWS};
use troupe_domain::{Fault, Name, TaskId};

use super::{Progress, answer_of, deadline, page_rows};
use crate::replica::asking;
use crate::rules::facts::Fact;
use crate::rules::milestone::{check_spec, check_update};
use crate::rules::request::{ProgressReply, ProgressRequest};

/// How long the events may take before work distribution is asked.
const WAIT_FOR_EVENTS: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Tasks that are asked about together.
const ASKED_TOGETHER: usize = 500;

/// `progress.milestone_create`
pub async fn create(
    progress: &Progress,
    call: Call<MilestoneSpec>,
) -> Result<MilestoneReply, Fault> {
    let until = deadline(&call);
    let mut spec = call.request;
    check_spec(&spec)?;
    if let Some(graph) = spec.graph_id.take() {
        spec.required_task_ids.extend(tasks_of(progress, &graph, until).await?);
        check_spec(&spec)?;
    }
    let id = match spec.id.take() {
        Some(id) => id,
        None => progress.id_for(call.command_id.as_deref())?,
    };
    let request = ProgressRequest::MilestoneCreate { id, spec: Box::new(spec), by: call.caller };
    write(progress, request, until).await
}

/// `progress.milestone_update`
pub async fn update(
    progress: &Progress,
    call: Call<MilestoneUpdateRequest>,
) -> Result<MilestoneReply, Fault> {
    let until = deadline(&call);
    check_update(&call.request)?;
    let update = Box::new(call.request);
    write(progress, ProgressRequest::MilestoneUpdate { update, by: call.caller }, until).await
}

/// `progress.milestone_get`
pub async fn get(progress: &Progress, call: Call<MilestoneRef>) -> Result<MilestoneReply, Fault> {
    let until = deadline(&call);
    let request = ProgressRequest::MilestoneGet { id: call.request.milestone_id };
    let milestone = answer_of!(progress.ask(request, until).await?, Milestone)?;
    Ok(MilestoneReply { milestone })
}

/// `progress.milestone_list`
pub async fn list(
    progress: &Progress,
    call: Call<MilestoneFilter>,
) -> Result<MilestonePage, Fault> {
    let until = deadline(&call);
    let limit = page_rows(call.request.limit, 100)?;
    if call.request.statuses.len() > MAX_FILTER_NAMES {
        let fault = Fault::exhausted("MAX_FILTER_NAMES", MAX_FILTER_NAMES);
        return Err(fault.with("field", "statuses"));
    }
    let request = ProgressRequest::MilestoneList { filter: Box::new(call.request), limit };
    answer_of!(progress.ask(request, until).await?, Milestones)
}

async fn write(
    progress: &Progress,
    request: ProgressRequest,
    until: Instant,
) -> Result<MilestoneReply, Fault> {
    let wait_until = until.min(Instant::now() + WAIT_FOR_EVENTS);
    loop {
        let missing = match progress.ask(request.clone(), until).await? {
            ProgressReply::Missing(missing) => missing,
            reply => {
                let milestone = answer_of!(reply, Milestone)?;
                return Ok(MilestoneReply { milestone });
            }
        };
        if Instant::now() < wait_until {
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        }
        for some in missing.chunks(ASKED_TOGETHER) {
            introduce(progress, some, until).await?;
        }
        return match progress.ask(request, until).await? {
            ProgressReply::Missing(_) => Err(Fault::new(
                troupe_domain::Code::ResourceExhausted,
                "the service follows as many tasks as it may: see max_tasks",
            )
            .with("limit", "max_tasks")),
            reply => answer_of!(reply, Milestone).map(|milestone| MilestoneReply { milestone }),
        };
    }
}

/// Lets work distribution say what tasks nobody has heard of are.
async fn introduce(progress: &Progress, tasks: &[TaskId], until: Instant) -> Result<(), Fault> {
    let known = asking::ask_all(&progress.bus, tasks).await?;
    if let Some(nobody) = tasks.iter().find(|id| known.iter().all(|facts| facts.id != **id)) {
        return Err(Fault::not_found("task", nobody).with("field", "required_task_ids"));
    }
    let facts = known.into_iter().map(|facts| Fact::Seen(Box::new(facts))).collect();
    progress.ask(ProgressRequest::Learn { facts, heard: None, complete: None }, until).await?;
    Ok(())
}

/// Every task that a graph has now. The events may be on their way: work distribution knows.
async fn tasks_of(progress: &Progress, graph: &Name, until: Instant) -> Result<Vec<TaskId>, Fault> {
    let mut filter = TaskFilter {
        graph_id: Some(graph.clone()),
        limit: Some(MAX_PAGE_ROWS),
        ..TaskFilter::default()
    };
    let mut ids = Vec::new();
    loop {
        let within = until.saturating_duration_since(Instant::now());
        let page =
            progress.bus.call_with::<ListTasks>(&filter, &CallOptions::within(within)).await?;
        ids.extend(page.tasks.iter().map(|task| task.id.clone()));
        if ids.len() > MAX_MILESTONE_TASKS {
            let fault = Fault::exhausted("MAX_MILESTONE_TASKS", MAX_MILESTONE_TASKS);
            return Err(fault.with("field", "graph_id"));
        }
        match page.next_after {
            None if ids.is_empty() => {
                return Err(Fault::not_found("graph with tasks", graph).with("field", "graph_id"));
            }
            None => return Ok(ids),
            after => filter.after = after,
        }
    }
}
