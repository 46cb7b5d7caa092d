//! `heartbeat`
//!
//! Invariant: a heartbeat writes nothing durable unless it changes the agent's status; it costs the
//! other replicas one look-up.

use std::sync::Arc;
use std::time::Duration;

use troupe_bus::{Call, CallOptions};
use troupe_contract::registry::{HeartbeatRequest, HeartbeatResponse};
use troupe_contract::work::{Available, AvailableRequest};
use troupe_domain::{AgentId, AgentStatus, Code, Fault};

use crate::rules::declare::{check_running, check_status};
use crate::rules::fleet::Hearing;
use crate::service::Registry;

/// How long a heartbeat waits for the count of tasks.
const COUNT_TIMEOUT: Duration = Duration::from_millis(250);

pub(super) async fn heartbeat(
    registry: Arc<Registry>,
    call: Call<HeartbeatRequest>,
) -> Result<HeartbeatResponse, Fault> {
    check_running(call.request.running_task_ids.as_deref())?;
    if let Some(status) = call.request.status {
        check_status(status)?;
    }
    take(&registry, &call.caller, &call.request).await?;
    let awake = awake(&registry, &call.caller, call.request.status);
    if let Some(status) = awake {
        registry.set_status(&call.caller, status, None, call.trace.clone()).await?;
    }
    let (pending_messages, pending_tasks) = tokio::join!(
        registry.mailboxes.pending(&call.caller),
        pending_tasks(&registry, &call.caller)
    );
    Ok(HeartbeatResponse {
        accepted: true,
        next_heartbeat_ms: registry.timing.heartbeat_interval_ms,
        pending_messages,
        pending_tasks,
        server_time: registry.store.now(),
    })
}

/// Takes the sign of life in. An agent or a life that is new here may have come by another replica.
async fn take(
    registry: &Registry,
    caller: &AgentId,
    request: &HeartbeatRequest,
) -> Result<(), Fault> {
    let hear = || {
        let (now, now_ms) = (registry.store.now(), registry.store.now_ms());
        let (session, running) = (request.session_id.as_ref(), request.running_task_ids.as_deref());
        let mut fleet = registry.fleet.write();
        let heard = fleet.heard(caller, session, running, now, now_ms);
        if heard == Hearing::Heard {
            fleet.mark_unsaved(caller);
        }
        heard
    };
    if hear() == Hearing::Heard {
        return Ok(());
    }
    registry.store.refresh(caller).await?;
    match hear() {
        Hearing::Heard => Ok(()),
        Hearing::Stranger => Err(super::not_registered(caller)),
        Hearing::FormerSession => Err(Fault::new(
            Code::Conflict,
            format!("{caller} has registered anew since: this life of it has ended"),
        )
        .with("field", "session_id")),
    }
}

/// The status to change to, if this heartbeat changes it.
fn awake(registry: &Registry, caller: &AgentId, said: Option<AgentStatus>) -> Option<AgentStatus> {
    let fleet = registry.fleet.read();
    let (agent, _) = fleet.peek(caller)?;
    let said = said.or_else(|| (!agent.status.is_live()).then_some(AgentStatus::Active));
    said.filter(|status| *status != agent.status)
}

async fn pending_tasks(registry: &Registry, caller: &AgentId) -> Option<u64> {
    let request = AvailableRequest { agent_id: Some(caller.clone()), limit: Some(0) };
    let options = CallOptions { retry_unheard: false, ..CallOptions::within(COUNT_TIMEOUT) };
    let reply = registry.bus.call_with::<Available>(&request, &options).await;
    reply.ok().map(|reply| reply.total)
}
