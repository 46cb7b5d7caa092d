//! Claiming work, by long poll or by id, and holding it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::{Call, trace};
use troupe_contract::work::{
    ClaimConflict, ClaimRequest, ClaimResult, ExtendRequest, HoldRequest, NextReply, NextRequest,
    TaskReceipt,
};
use troupe_domain::fault::{Code, Fault};
use troupe_domain::limits::MAX_WAIT_MS;
use troupe_domain::task::ClaimedTask;
use troupe_domain::task::rules::Profile;
use troupe_domain::{AgentId, Name, Timestamp, TraceContext};

use super::{Work, deadline};
use crate::replica::waiters::MAX_WAITERS;
use crate::rules::commands::Claimer;
use crate::rules::queue::Place;
use crate::shard::request::Hold;
use crate::shard::{ShardReply, ShardRequest};

/// A waiter looks for itself this often, should the hint that would have woken it be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A task older than this joins its trace by a link: the trace has long ended.
const TRACE_JOINS_FOR_MS: u64 = 60 * 60 * 1000;

/// `work.next`
pub async fn next(work: &Work, call: Call<NextRequest>) -> Result<NextReply, Fault> {
    let NextRequest { wait_ms, start } = call.request;
    if wait_ms > MAX_WAIT_MS {
        return Err(Fault::invalid("wait_ms", format!("must be at most {MAX_WAIT_MS}")));
    }
    let answer_by = deadline(&call);
    let wait_until = (Instant::now() + Duration::from_millis(wait_ms)).min(answer_by);
    let claimer = Claimer { agent: call.caller.clone(), claim_id: call.command_id.clone() };
    let mut draining = work.draining.clone();
    let mut ticket = None;
    loop {
        // Looked up each time: an agent that has left meanwhile must not be handed anything.
        let (agent, profile) = work.fleet.worker(&call.caller).await?;
        let max = agent.max_concurrent_tasks as usize;
        if let Some(task) = work.claim_best(&profile, &claimer, start, max, answer_by).await? {
            return Ok(NextReply { task: Some(work.handed_over(task, call.trace.as_ref())) });
        }
        if wait_ms == 0 {
            return Ok(NextReply { task: None });
        }
        // Join the line, and look once more: what came in between would wake nobody.
        let Some(place) = ticket.take() else {
            let full = || Fault::exhausted("MAX_WAITERS", MAX_WAITERS);
            ticket = Some(work.waiters.join(&profile).ok_or_else(full)?);
            continue;
        };
        let look_again = (Instant::now() + LOOK_AGAIN).min(wait_until);
        let woken = tokio::select! {
            () = place.called.notified() => true,
            () = tokio::time::sleep_until(look_again) => false,
            _ = draining.wait_for(|draining| *draining) => return Ok(NextReply { task: None }),
        };
        if woken {
            continue;
        }
        if Instant::now() >= wait_until {
            return Ok(NextReply { task: None });
        }
        ticket = Some(place);
    }
}

impl Work {
    /// Claims the best fitting task of all shards.
    async fn claim_best(
        &self,
        profile: &Arc<Profile>,
        claimer: &Claimer,
        start: bool,
        max: usize,
        until: Instant,
    ) -> Result<Option<ClaimedTask>, Fault> {
        loop {
            let (mut places, held, again) = self.look(profile, claimer, until).await?;
            if let Some(task) = again {
                return Ok(Some(task));
            }
            if held >= max {
                return Err(Fault::precondition(format!(
                    "{} holds {held} tasks and takes {max} at once",
                    claimer.agent
                ))
                .with("held", held)
                .with("max_concurrent_tasks", max));
            }
            places.sort_unstable();
            let Some((_, shard)) = places.into_iter().next() else { return Ok(None) };
            let (profile, claimer) = (profile.clone(), claimer.clone());
            let request = ShardRequest::ClaimBest { profile, claimer, start };
            match self.router.call(shard, request, until).await? {
                ShardReply::Claimed(Some(task)) => return Ok(Some(task)),
                // Somebody else was faster: look again.
                ShardReply::Claimed(None) => {}
                other => return Err(other.unexpected()),
            }
        }
    }

    /// The first fitting place of each shard, how many tasks the agent holds, and what it already
    /// claimed under the same command.
    async fn look(
        &self,
        profile: &Arc<Profile>,
        claimer: &Claimer,
        until: Instant,
    ) -> Result<(Vec<(Place, u16)>, usize, Option<ClaimedTask>), Fault> {
        let mut places = Vec::new();
        let (mut total, mut before) = (0, None);
        let mut take = |shard: u16, place: Option<Place>, held: usize, again| {
            places.extend(place.map(|place| (place, shard)));
            total += held;
            before = before.take().or(again);
        };
        let mut far = Vec::new();
        for shard in 0..self.router.shards() {
            match self.router.find(shard) {
                Some(owner) => owner.look(|state| {
                    if state.claimed_before(claimer).is_some() {
                        // What it was given may not be stored yet: the owner answers when it is.
                        far.push(shard);
                    } else {
                        take(shard, state.peek(profile), state.held_by(&claimer.agent), None);
                    }
                }),
                None => far.push(shard),
            }
        }
        let peeks = far.into_iter().map(|shard| async move {
            let request = ShardRequest::Peek { profile: profile.clone(), claimer: claimer.clone() };
            (shard, self.router.call(shard, request, until).await)
        });
        for (shard, reply) in futures::future::join_all(peeks).await {
            match reply? {
                ShardReply::Peeked { place, held, again } => take(shard, place, held, again),
                other => return Err(other.unexpected()),
            }
        }
        Ok((places, total, before))
    }

    /// Joins the claim to the task's trace: the work is a part of the life of the task, the poll that
    /// found it is linked.
    fn handed_over(&self, mut task: ClaimedTask, poll: Option<&TraceContext>) -> ClaimedTask {
        let span = tracing::info_span!(
            target: trace::TARGET,
            parent: None,
            "claim",
            otel.name = "task.claim",
            otel.kind = "consumer",
            service = troupe_contract::Service::Work.full_name(),
            messaging.system = "nats",
            troupe.task.id = %task.task.id,
            troupe.task.epoch = task.task.epoch,
        );
        let fresh = |since: Timestamp| self.world.now().millis_since(since) <= TRACE_JOINS_FOR_MS;
        if let Some(life) = &task.task.trace {
            if fresh(task.task.created_at) {
                trace::set_parent(&span, life);
            } else {
                trace::add_link(&span, life);
            }
        }
        if let Some(poll) = poll {
            trace::add_link(&span, poll);
        }
        task.trace = trace::of_span(&span).or(task.trace);
        task
    }
}

/// `work.claim`
pub async fn claim(work: &Work, call: Call<ClaimRequest>) -> Result<ClaimResult, Fault> {
    let until = deadline(&call);
    let (agent, profile) = work.fleet.worker(&call.caller).await?;
    let claimer = Claimer { agent: call.caller.clone(), claim_id: call.command_id.clone() };
    let (_, held, _) = work.look(&profile, &claimer, until).await?;
    if held >= agent.max_concurrent_tasks as usize && call.command_id.is_none() {
        return Err(Fault::precondition(format!("{} already holds {held} tasks", call.caller)));
    }
    let id = call.request.task_id;
    let request = ShardRequest::Claim {
        id: id.clone(),
        profile,
        claimer,
        expected_epoch: call.request.expected_epoch,
    };
    match work.ask(&id, request, until).await {
        Ok(ShardReply::Claimed(Some(task))) => Ok(ClaimResult {
            success: true,
            task: Some(work.handed_over(task, call.trace.as_ref())),
            reason: None,
            conflict: None,
        }),
        Ok(other) => Err(other.unexpected()),
        Err(fault) if fault.code == Code::Conflict => Ok(lost(&fault)),
        Err(fault) => Err(fault),
    }
}

/// Losing a race is an answer.
fn lost(fault: &Fault) -> ClaimResult {
    let detail = |key: &str| fault.details.get(key);
    let claimed_by: Option<AgentId> =
        detail("claimed_by").and_then(|by| by.as_str()).and_then(|by| Name::parse(by).ok());
    let claimed_at: Option<Timestamp> =
        detail("claimed_at").and_then(|at| serde_json::from_value(at.clone()).ok());
    let epoch = detail("epoch").and_then(serde_json::Value::as_u64).unwrap_or(0);
    ClaimResult {
        success: false,
        task: None,
        reason: Some(fault.message.clone()),
        conflict: Some(ClaimConflict { claimed_by, claimed_at, epoch }),
    }
}

/// `work.start`
pub async fn start(work: &Work, call: Call<HoldRequest>) -> Result<TaskReceipt, Fault> {
    let until = deadline(&call);
    let hold =
        Hold { id: call.request.task_id.clone(), by: call.caller, epoch: call.request.epoch };
    work.receipt(&call.request.task_id, ShardRequest::Start(hold), until).await
}

/// `work.extend`
pub async fn extend(work: &Work, call: Call<ExtendRequest>) -> Result<TaskReceipt, Fault> {
    let until = deadline(&call);
    let ExtendRequest { task_id, epoch, lease_ms, progress_percent } = call.request;
    let hold = Hold { id: task_id.clone(), by: call.caller, epoch };
    let request = ShardRequest::Extend { hold, lease_ms, percent: progress_percent };
    work.receipt(&task_id, request, until).await
}
