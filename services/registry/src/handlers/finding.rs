//! `discover`, `find_by_capability`

use std::sync::Arc;

use troupe_bus::Call;
use troupe_contract::registry::{AgentList, DiscoveryFilter, FindByCapabilityRequest};
use troupe_domain::Fault;

use crate::rules::discovery::{Found, check_filter, check_search};
use crate::rules::fleet::Seen;
use crate::service::Registry;

pub(super) async fn discover(
    registry: Arc<Registry>,
    call: Call<DiscoveryFilter>,
) -> Result<AgentList, Fault> {
    let rows = check_filter(&call.request)?;
    let now = registry.store.now();
    let found = registry.fleet.read().discover(&call.request, rows, now);
    Ok(answer(found))
}

pub(super) async fn find_by_capability(
    registry: Arc<Registry>,
    call: Call<FindByCapabilityRequest>,
) -> Result<AgentList, Fault> {
    let rows = check_search(&call.request)?;
    let found = registry.fleet.read().find_able(&call.request, rows);
    Ok(answer(found))
}

/// The agents are copied after the fleet is let go.
pub(super) fn answer(found: Found) -> AgentList {
    let agents = found.seen.into_iter().map(Seen::into_agent).collect();
    AgentList { agents, total: found.total }
}
