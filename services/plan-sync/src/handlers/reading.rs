//! Reading what is there now: lists, conflicts, proofs, objects, counts.

use troupe_bus::Call;
use troupe_contract::plan::{
    ConflictPage, ConflictsRequest, ForkList, ListPlansRequest, ObjectRef, ObjectReply, PlanPage,
    PlanStatistics,
};
use troupe_contract::registry::Empty;
use troupe_domain::Fault;
use troupe_domain::plan::PlanHead;

use super::{Plans, answer_of, deadline, page_rows};
use crate::rules::reading::add_statistics;
use crate::rules::request::PlanRequest;

/// `plan.list`
pub async fn list(plans: &Plans, call: Call<ListPlansRequest>) -> Result<PlanPage, Fault> {
    let rows = page_rows(call.request.limit)?;
    let request = ListPlansRequest { limit: Some(rows), ..call.request.clone() };
    let mut found: Vec<PlanHead> = Vec::new();
    let mut more = false;
    for answer in plans.router.call_all(PlanRequest::List(request), deadline(&call)).await? {
        let page = answer_of!(answer, Page)?;
        more |= page.next_after.is_some();
        found.extend(page.plans);
    }
    found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let cut = found.len() > rows;
    found.truncate(rows);
    let next_after = found.last().filter(|_| cut || more).map(|plan| plan.id.clone());
    Ok(PlanPage { plans: found, next_after })
}

/// `plan.conflicts`
pub async fn conflicts(plans: &Plans, call: Call<ConflictsRequest>) -> Result<ConflictPage, Fault> {
    let rows = page_rows(call.request.limit)?;
    let request = ConflictsRequest { limit: Some(rows), ..call.request.clone() };
    let object = request.plan_id.clone();
    let until = deadline(&call);
    let answer = plans.ask(&object, PlanRequest::Conflicts(request), until).await?;
    let mut page = answer_of!(answer, Conflicts)?;
    super::versions::offer_merges(plans, &object, &mut page.conflicts, until).await?;
    Ok(page)
}

/// `plan.forks`
pub async fn forks(plans: &Plans, call: Call<ObjectRef>) -> Result<ForkList, Fault> {
    let object = call.request.object_id.clone();
    let answer = plans.ask(&object, PlanRequest::Forks(object.clone()), deadline(&call)).await?;
    Ok(ForkList { forks: answer_of!(answer, Forks)? })
}

/// `plan.object_get`
pub async fn object(plans: &Plans, call: Call<ObjectRef>) -> Result<ObjectReply, Fault> {
    let object = call.request.object_id.clone();
    let request = PlanRequest::GetObject(object.clone());
    Ok(*answer_of!(plans.ask(&object, request, deadline(&call)).await?, Object)?)
}

/// `plan.stats`
pub async fn stats(plans: &Plans, call: Call<Empty>) -> Result<PlanStatistics, Fault> {
    let mut total = PlanStatistics::default();
    for answer in plans.router.call_all(PlanRequest::Stats, deadline(&call)).await? {
        add_statistics(&mut total, *answer_of!(answer, Stats)?);
    }
    Ok(total)
}
