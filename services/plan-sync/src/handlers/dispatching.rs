//! Dispatch: ready items become tasks of the work service.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::{Bus, Call, CallOptions};
use troupe_contract::plan::{DispatchReply, DispatchRequest, DispatchedItem};
use troupe_contract::work;
use troupe_domain::plan::{ObjectId, PlanItem};
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{Code, Fault, Json, Role, TaskId};

use super::{Plans, answer_of, deadline, page_rows};
use crate::rules::record::{NewLink, Place};
use crate::rules::request::{PlanAnswer, PlanRequest};

/// How long the work service may take to make one task.
const CREATE_WITHIN: Duration = Duration::from_secs(5);
/// Tasks that are made at once.
const MAX_CREATED_AT_ONCE: usize = 16;

/// `plan.dispatch`
///
/// The links are durable before any task is made. A task that cannot be made now is made later by
/// [`following`](crate::replica::following): the item has it in any case.
pub async fn dispatch(plans: &Plans, call: Call<DispatchRequest>) -> Result<DispatchReply, Fault> {
    let rows = page_rows(call.request.limit)?;
    let DispatchRequest { plan_id, item_ids, required_role, .. } = call.request.clone();
    let until = deadline(&call);
    let ready = PlanRequest::Ready { plan: plan_id.clone(), item_ids, limit: rows };
    let (items, left) = match plans.ask(&plan_id, ready, until).await? {
        PlanAnswer::Ready { items, left } => (items, left),
        other => return Err(other.unexpected()),
    };
    if items.is_empty() {
        return Ok(DispatchReply { dispatched: Vec::new(), left });
    }
    let place = newest(plans).await?;
    let links = items
        .iter()
        .map(|item| {
            let (item, role) = (item.id.clone(), required_role.clone());
            plans.new_id().map(|task| NewLink { item, task, role })
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    let request = PlanRequest::Link {
        caller: call.caller.clone(),
        plan: plan_id.clone(),
        links: links.clone(),
        place,
        trace: call.trace.clone(),
    };
    let edited = answer_of!(plans.ask(&plan_id, request, until).await?, Edited)?;
    let linked = items.into_iter().zip(links);
    let linked: Vec<_> =
        linked.filter(|(_, link)| edited.receipt.item_ids.contains(&link.item)).collect();
    // What is not made by then is made later.
    let _ = tokio::time::timeout_at(until, make_all(plans, &plan_id, &linked)).await;
    let dispatched = linked.into_iter().map(|(item, link)| DispatchedItem {
        item_id: link.item,
        task_id: link.task,
        status: item.status,
    });
    Ok(DispatchReply { dispatched: dispatched.collect(), left })
}

async fn make_all(plans: &Plans, plan: &ObjectId, linked: &[(PlanItem, NewLink)]) {
    for some in linked.chunks(MAX_CREATED_AT_ONCE) {
        let mut making = Vec::with_capacity(some.len());
        for (item, link) in some {
            making.push(make(plans, plan, item, link));
        }
        futures::future::join_all(making).await;
    }
}

/// Makes one task, and remembers that it is there.
async fn make(plans: &Plans, plan: &ObjectId, item: &PlanItem, link: &NewLink) {
    let task = &link.task;
    let confirm = PlanRequest::Confirm { task: task.clone() };
    let made = match create(&plans.bus, plan, item, task, link.role.clone()).await {
        Ok(()) => plans.ask(plan, confirm, Instant::now() + CREATE_WITHIN).await.map(|_| ()),
        Err(why) => Err(why),
    };
    if let Err(why) = made {
        tracing::warn!(%why, %task, "a task is made later");
    }
}

/// The newest place in the event stream: what happens to tasks that are made now comes after it.
async fn newest(plans: &Plans) -> Result<Place, Fault> {
    let unavailable = |why: troupe_bus::port::ReadError| {
        Fault::new(Code::Unavailable, format!("the event stream does not answer: {why}"))
    };
    let (stream_made_at, sequence) = plans.events.newest().await.map_err(unavailable)?;
    Ok(Place { stream_made_at, sequence })
}

/// Makes the task of an item. Made twice, it is one.
pub(crate) async fn create(
    bus: &Bus,
    plan: &ObjectId,
    item: &PlanItem,
    task: &TaskId,
    role: Option<Role>,
) -> Result<(), Fault> {
    let facts = serde_json::json!({ "plan_id": plan, "item_id": item.id });
    let spec = TaskSpec {
        id: Some(task.clone()),
        title: item.title.clone(),
        description: item.description.clone(),
        priority: item.priority,
        required_role: role,
        estimated_minutes: item.estimated_minutes.map(|minutes| minutes as f64),
        metadata: Json::of(&facts).ok(),
        ..TaskSpec::default()
    };
    let options = CallOptions {
        retry_unheard: false,
        command_id: Some(format!("plan-{task}")),
        ..CallOptions::within(CREATE_WITHIN)
    };
    match bus.call_with::<work::Create>(&spec, &options).await {
        Ok(_) => Ok(()),
        // It was made before, from an item that said something else then.
        Err(fault) if fault.code == Code::AlreadyExists => Ok(()),
        Err(fault) => Err(fault),
    }
}
