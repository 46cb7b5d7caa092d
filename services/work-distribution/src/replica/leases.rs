//! Leases that are due: the registry knows whether their holders live.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use troupe_bus::{Bus, CallOptions};
use troupe_contract::registry::{AgentLiveness, Life, Liveness, LivenessRequest};
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{AgentId, TaskId};
use troupe_shard::Ask;

use crate::rules::commands::{DueLease, HolderLife};
use crate::rules::state::ShardState;
use crate::shard::Shard;

/// How long the registry may take; it is asked again if it does not answer.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// Gives what the timers of shards hand their leases to.
pub fn asker(bus: &Bus) -> Ask<ShardState> {
    let bus = bus.clone();
    Arc::new(move |shard, leases| {
        tokio::spawn(judge(bus.clone(), shard.clone(), leases));
    })
}

/// Asks the registry about the holders, and judges the leases by what it says.
pub async fn judge(bus: Bus, shard: Arc<Shard>, leases: Vec<DueLease>) {
    let holders: BTreeSet<AgentId> = leases.iter().map(|lease| lease.holder.clone()).collect();
    let holders: Vec<AgentId> = holders.into_iter().collect();
    let mut known: HashMap<AgentId, AgentLiveness> = HashMap::new();
    for agent_ids in holders.chunks(MAX_PAGE_ROWS) {
        let request = LivenessRequest { agent_ids: agent_ids.to_vec() };
        let options = CallOptions { retry_unheard: false, ..CallOptions::within(ASK_WITHIN) };
        match bus.call_with::<Liveness>(&request, &options).await {
            Ok(reply) => {
                known.extend(reply.agents.into_iter().map(|a| (a.agent_id.clone(), a)));
            }
            Err(fault) => tracing::warn!(%fault, "the registry cannot say who is alive"),
        }
    }
    for lease in &leases {
        let life = life_of(known.get(&lease.holder), &lease.task_id);
        shard.act(|state, now| state.judge_lease(lease, life, now));
    }
}

fn life_of(liveness: Option<&AgentLiveness>, task: &TaskId) -> HolderLife {
    let Some(liveness) = liveness else { return HolderLife::Unknown };
    match (liveness.life, &liveness.running_task_ids) {
        (Life::Alive, Some(running)) if !running.contains(task) => HolderLife::Elsewhere,
        (Life::Alive, _) => HolderLife::AtWork,
        (Life::Gone, _) => HolderLife::Gone,
        (Life::Unknown, _) => HolderLife::Unknown,
    }
}
