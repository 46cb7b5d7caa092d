//! From a request to the rules: one line each.

use troupe_contract::plan::PlanReply;
use troupe_domain::{Fault, Timestamp};

use super::history;
use super::request::{PlanAnswer, PlanRequest};
use super::state::PlanState;

/// Whether a request can only read.
pub fn only_reads(request: &PlanRequest) -> bool {
    use PlanRequest as Q;
    matches!(
        request,
        Q::Get(_)
            | Q::List(_)
            | Q::Sync(_)
            | Q::Snapshot(_)
            | Q::Conflicts(_)
            | Q::History(_)
            | Q::Forks(_)
            | Q::GetObject(_)
            | Q::Stats
            | Q::Version { .. }
            | Q::Ready { .. }
    )
}

/// Carries a request out. What it writes is drafted in the state.
pub fn execute(
    state: &mut PlanState,
    request: PlanRequest,
    now: Timestamp,
) -> Result<PlanAnswer, Fault> {
    use PlanRequest as Q;
    let done = |()| PlanAnswer::Done;
    match request {
        Q::Edit { caller, operation, key, trace } => {
            let edited = state.edit(&caller, &operation, key, trace, now)?;
            Ok(PlanAnswer::Edited(Box::new(edited)))
        }
        Q::Apply { caller, object, batches, trace } => {
            let taken = state.take(&caller, &object, &batches, trace.as_ref(), now)?;
            state.shorten(&object);
            Ok(PlanAnswer::Taken(Box::new(taken)))
        }
        Q::Digest { caller, digest } => {
            Ok(PlanAnswer::Digest(Box::new(state.compare(&caller, &digest, now)?)))
        }
        Q::Link { caller, plan, links, place, trace } => {
            let edited = state.link(&caller, &plan, links, place, trace, now)?;
            Ok(PlanAnswer::Edited(Box::new(edited)))
        }
        Q::Alike { plan, found } => state.found_alike(&plan, found, now).map(done),
        Q::Confirm { task } => {
            state.confirm(&task);
            Ok(PlanAnswer::Done)
        }
        Q::TasksMoved { moves, place } => {
            state.tasks_moved(&moves, place, now);
            Ok(PlanAnswer::Done)
        }
        Q::Followed(place) => {
            state.followed_to(place);
            Ok(PlanAnswer::Done)
        }
        Q::Archived { object, first, through, snapshot } => {
            state.archived(&object, (first, through), snapshot, now).map(done)
        }
        read => read_only(state, read),
    }
}

fn read_only(state: &mut PlanState, request: PlanRequest) -> Result<PlanAnswer, Fault> {
    use PlanRequest as Q;
    Ok(match request {
        Q::Get(request) => {
            let object = state.plan(&request.plan_id)?;
            let (offset, limit) = (request.offset.unwrap_or(0), request.limit);
            let open = object.conflicts.len();
            let reply: PlanReply =
                super::reading::plan_page(&object.document, object.sequence, open, offset, limit)?;
            PlanAnswer::Plan(Box::new(reply))
        }
        Q::List(request) => PlanAnswer::Page(state.list(&request)),
        Q::Sync(request) => PlanAnswer::Sync(Box::new(state.delta(&request)?)),
        Q::Snapshot(request) => PlanAnswer::Snapshot(Box::new(state.snapshot_piece(&request)?)),
        Q::Conflicts(request) => PlanAnswer::Conflicts(state.conflict_page(&request)?),
        Q::History(request) => {
            let object = state.object(&request.plan_id)?;
            let limit = request.limit.unwrap_or(100);
            PlanAnswer::History(history::page(object, &request, limit))
        }
        Q::Forks(object) => PlanAnswer::Forks(state.object(&object)?.forks.clone()),
        Q::GetObject(object) => PlanAnswer::Object(Box::new(state.value(&object)?)),
        Q::Version { object, at } => {
            PlanAnswer::Version(Box::new(state.object(&object)?.version(&at)?))
        }
        Q::Ready { plan, item_ids, limit } => {
            let (items, left) = state.ready(&plan, &item_ids, limit)?;
            PlanAnswer::Ready { items, left }
        }
        _ => PlanAnswer::Stats(Box::new(state.statistics())),
    })
}
