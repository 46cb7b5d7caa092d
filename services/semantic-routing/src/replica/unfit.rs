//! Agents that should not have what they have: it is handed on, or comes back.
//!
//! Invariant: whoever becomes unfit is looked after by the owner of its mailbox, also if the mailbox
//! changes hands at that moment: who takes a shard over looks at everybody in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use troupe_contract::ingress::shard_of_agent;
use troupe_domain::{AgentId, Fault};

use crate::handlers::Router;
use crate::intents::{Intents, Unfit};
use crate::rules::handing_on::MAX_HANDED_ON;
use crate::rules::request::{RoutingReply, RoutingRequest};
use crate::rules::state::RoutingState;
use crate::rules::unfit::Unfitness;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Looks after agents that are no longer fit, until nobody tells of any.
///
/// Every replica learns of an agent that is gone. The one that owns its mailbox acts; acting twice
/// hands on once.
pub async fn run(router: Arc<Router>, intents: Arc<Intents>, mut told: mpsc::Receiver<Unfit>) {
    let mut changes = router.changes();
    changes.mark_changed();
    let mut known = BTreeSet::new();
    loop {
        tokio::select! {
            unfit = told.recv() => {
                let Some(Unfit { agent, why }) = unfit else { return };
                take_from(&router, &agent, why).await;
            }
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                look_at_new(&router, &intents, &mut known).await;
            }
        }
    }
}

/// Looks at everybody whose mailbox came here: who owned it may have ended before it acted.
async fn look_at_new(router: &Router, intents: &Intents, known: &mut BTreeSet<u16>) {
    let before = std::mem::take(known);
    for shard in router.local() {
        known.insert(shard.number());
        if before.contains(&shard.number()) {
            continue;
        }
        for agent in shard.look(RoutingState::with_mail) {
            if let Some(why) = intents.unfitness(&agent) {
                take_from(router, &agent, why).await;
            }
        }
    }
}

async fn take_from(router: &Router, agent: &AgentId, why: Unfitness) {
    let shard = shard_of_agent(agent, router.shards());
    if router.find(shard).is_none() {
        return;
    }
    let request = RoutingRequest::TakeFrom { agent: agent.clone(), why };
    let result = loop {
        let reply = router.call(shard, request.clone(), Instant::now() + ANSWER_WITHIN).await;
        match reply {
            Ok(RoutingReply::TakeFrom(count)) if count >= MAX_HANDED_ON as u64 => {}
            Ok(RoutingReply::TakeFrom(_)) => break Ok::<(), Fault>(()),
            Ok(other) => break Err(other.unexpected()),
            Err(fault) => break Err(fault),
        }
    };
    if let Err(fault) = result {
        tracing::warn!(%agent, %fault, "an agent that is not fit keeps what it has for now");
    }
}
