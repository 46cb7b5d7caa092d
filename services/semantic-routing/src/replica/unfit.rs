//! Agents that should get nothing more for now: what waits for them by intent is handed on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use troupe_contract::ingress::shard_of_agent;
use troupe_domain::Fault;

use crate::handlers::Router;
use crate::intents::Unfit;
use crate::rules::handing_on::MAX_HANDED_ON;
use crate::rules::request::{RoutingReply, RoutingRequest};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Hands on what waits for agents that are no longer fit, until nobody tells of any.
///
/// Every replica learns of an agent that is gone. The one that owns its mailbox acts; handing on twice
/// hands on once.
pub async fn hand_on(router: Arc<Router>, mut unfit: mpsc::Receiver<Unfit>) {
    while let Some(Unfit { agent, key }) = unfit.recv().await {
        let shard = shard_of_agent(&agent, router.shards());
        if router.find(shard).is_none() {
            continue;
        }
        let request = RoutingRequest::HandOn { agent: agent.clone(), key };
        let result = loop {
            let reply = router.call(shard, request.clone(), Instant::now() + ANSWER_WITHIN).await;
            match reply {
                Ok(RoutingReply::HandedOn(count)) if count >= MAX_HANDED_ON as u64 => {}
                Ok(RoutingReply::HandedOn(_)) => break Ok::<(), Fault>(()),
                Ok(other) => break Err(other.unexpected()),
                Err(fault) => break Err(fault),
            }
        };
        if let Err(fault) = result {
            tracing::warn!(%agent, %fault, "what waits for an agent was not handed on");
        }
    }
}
