//! `get`, `list`, `children`, `stats`, `liveness`

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use troupe_bus::Call;
use troupe_contract::registry::{
    AgentList, AgentLiveness, AgentPage, AgentRef, AgentReply, Empty, FleetStats, Life,
    ListAgentsRequest, LivenessReply, LivenessRequest,
};
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{AgentId, Fault};

use crate::rules::discovery::check_limit;
use crate::rules::fleet::Seen;
use crate::service::Registry;

/// Agents unknown here that are looked up at once.
const LOOK_UPS_IN_FLIGHT: usize = 32;

pub(super) async fn get(
    registry: Arc<Registry>,
    call: Call<AgentRef>,
) -> Result<AgentReply, Fault> {
    let id = &call.request.agent_id;
    let seen = registry.store.find(id).await?.ok_or_else(|| Fault::not_found("agent", id))?;
    Ok(AgentReply { agent: seen.into_agent() })
}

pub(super) async fn list(
    registry: Arc<Registry>,
    call: Call<ListAgentsRequest>,
) -> Result<AgentPage, Fault> {
    let rows = check_limit(call.request.limit)?;
    let (seen, more) = registry.fleet.read().page(call.request.after.as_ref(), rows);
    let last = seen.last().map(|seen| seen.version.agent.id.clone());
    let agents = seen.into_iter().map(Seen::into_agent).collect();
    Ok(AgentPage { agents, next_after: last.filter(|_| more) })
}

pub(super) async fn children(
    registry: Arc<Registry>,
    call: Call<AgentRef>,
) -> Result<AgentList, Fault> {
    let id = &call.request.agent_id;
    registry.store.find(id).await?.ok_or_else(|| Fault::not_found("agent", id))?;
    let found = registry.fleet.read().children_of(id);
    Ok(super::finding::answer(found))
}

pub(super) async fn stats(
    registry: Arc<Registry>,
    _call: Call<Empty>,
) -> Result<FleetStats, Fault> {
    let heartbeats = registry.heartbeats.load(Ordering::Relaxed);
    Ok(FleetStats { heartbeats, ..registry.fleet.read().stats() })
}

pub(super) async fn liveness(
    registry: Arc<Registry>,
    call: Call<LivenessRequest>,
) -> Result<LivenessReply, Fault> {
    let ids = call.request.agent_ids;
    if ids.len() > MAX_PAGE_ROWS {
        return Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "agent_ids"));
    }
    let registry = &*registry;
    let agents = futures::stream::iter(ids).map(|id| one_life(registry, id));
    Ok(LivenessReply { agents: agents.buffered(LOOK_UPS_IN_FLIGHT).collect().await })
}

/// Who is unknown here may have registered at another replica a moment ago: the stream knows.
async fn one_life(registry: &Registry, agent_id: AgentId) -> AgentLiveness {
    if registry.store.find(&agent_id).await.is_err() {
        return AgentLiveness { agent_id, life: Life::Unknown, running_task_ids: None };
    }
    let fleet = registry.fleet.read();
    let life = fleet.detector.life(&agent_id, registry.store.now_ms());
    let running = fleet.peek(&agent_id).and_then(|(_, vital)| vital.running.as_deref());
    AgentLiveness { life, running_task_ids: running.map(<[_]>::to_vec), agent_id }
}
