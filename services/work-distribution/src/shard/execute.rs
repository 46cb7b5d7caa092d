//! From a request to the rules: one line each.

use troupe_domain::{Fault, Task, Timestamp};

use super::request::{ShardReply, ShardRequest};
use crate::rules::record::{CreatedUnder, CreationKey};
use crate::rules::state::ShardState;

/// Whether a request can only read.
pub fn only_reads(request: &ShardRequest) -> bool {
    matches!(
        request,
        ShardRequest::CreatedUnder { .. }
            | ShardRequest::Peek { .. }
            | ShardRequest::Get { .. }
            | ShardRequest::List { .. }
            | ShardRequest::Available { .. }
            | ShardRequest::Heads { .. }
            | ShardRequest::Records { .. }
            | ShardRequest::Stats
    )
}

/// Carries a request out. What it writes is drafted in the state.
pub fn execute(
    state: &mut ShardState,
    request: ShardRequest,
    now: Timestamp,
    jitter: f64,
) -> Result<ShardReply, Fault> {
    if only_reads(&request) {
        read(state, request, now)
    } else {
        write(state, request, now, jitter)
    }
}

fn write(
    state: &mut ShardState,
    request: ShardRequest,
    now: Timestamp,
    jitter: f64,
) -> Result<ShardReply, Fault> {
    use ShardRequest as Q;
    let receipt = |receipt| ShardReply::Receipt(receipt);
    match request {
        Q::Create { tasks, key } => create(state, tasks, key, now),
        Q::ClaimBest { profile, claimer, start } => {
            state.claim_best(&claimer, &profile, start, now).map(ShardReply::Claimed)
        }
        Q::Claim { id, profile, claimer, expected_epoch } => state
            .claim(&id, &claimer, &profile, expected_epoch, now)
            .map(|task| ShardReply::Claimed(Some(task))),
        Q::Start(hold) => state.start(&hold.id, &hold.holder(), now).map(receipt),
        Q::Extend { hold, lease_ms, percent } => {
            state.extend(&hold.id, &hold.holder(), lease_ms, percent, now).map(receipt)
        }
        Q::Complete { hold, result, evidence } => {
            state.complete(&hold.id, &hold.holder(), result, evidence, now).map(receipt)
        }
        Q::Fail { hold, error, retryable } => {
            state.fail(&hold.id, &hold.holder(), &error, retryable, now, jitter).map(receipt)
        }
        Q::Release { hold, reason } => {
            state.release(&hold.id, &hold.holder(), &reason, now).map(receipt)
        }
        Q::Cancel { id, by, reason } => state.cancel(&id, &by, &reason, now).map(ShardReply::Ids),
        Q::Verify { id, judgement, profile } => {
            state.verify(&id, &judgement.into(), profile.as_deref(), now).map(receipt)
        }
        Q::Revive { id, by, reason, archived } => {
            if let Some(task) = archived {
                state.restore_archived(*task);
            }
            state.revive(&id, &by, &reason, now).map(ShardReply::Ids)
        }
        Q::Watch { id, watcher } => state.watch(&id, watcher).map(ShardReply::Task),
        Q::Letter(content) => state.receive(content, now).map(|()| ShardReply::Done),
        Q::Leave { piece, ended, spared } => {
            state.leave(piece, &ended, spared);
            Ok(ShardReply::Done)
        }
        read => Err(ShardReply::Done.unexpected().with("request", format!("{read:?}"))),
    }
}

/// A single task is given back as it came to be; a graph is not.
fn create(
    state: &mut ShardState,
    tasks: Vec<Task>,
    key: Option<CreationKey>,
    now: Timestamp,
) -> Result<ShardReply, Fault> {
    let single = if let [task] = &*tasks { Some(task.id.clone()) } else { None };
    let before = state.create(tasks, key, now)?;
    let single = match &before {
        Some(CreatedUnder::Task(id)) => Some(id.clone()),
        Some(CreatedUnder::Graph { .. }) => None,
        None => single,
    };
    let single = single.and_then(|id| state.task(&id).map(|task| task.status).map(|now| (id, now)));
    Ok(ShardReply::Created { before, single })
}

fn read(state: &ShardState, request: ShardRequest, now: Timestamp) -> Result<ShardReply, Fault> {
    use ShardRequest as Q;
    Ok(match request {
        Q::CreatedUnder { key, digest } => {
            ShardReply::Created { before: state.created_under(&key, digest)?, single: None }
        }
        Q::Peek { profile, claimer } => ShardReply::Peeked {
            place: state.peek(&profile),
            held: state.held_by(&claimer.agent),
            again: state.claimed_before(&claimer),
        },
        Q::Get { id } => {
            let task = state.task(&id).ok_or_else(|| state.absent(&id))?;
            ShardReply::Task(state.shown(task))
        }
        Q::List { filter } => {
            let limit = filter.limit.unwrap_or(100);
            let visit = state.visit(&filter, filter.after.as_ref(), limit);
            ShardReply::Page { tasks: visit.tasks, next: visit.next }
        }
        Q::Available { profile, limit } => {
            let (tasks, total) = state.available(&profile, limit);
            ShardReply::Waiting { tasks, total }
        }
        Q::Heads { limit } => {
            ShardReply::Waiting { tasks: state.heads(limit), total: state.queued() }
        }
        Q::Records { agents } => ShardReply::Records(
            agents.iter().map(|a| (state.tally_of(a), state.held_by(a) as u64)).collect(),
        ),
        _ => {
            let (stats, timed) = state.statistics(now);
            ShardReply::Stats(Box::new(stats), timed)
        }
    })
}
