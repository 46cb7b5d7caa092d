//! Hints of the shards that are here: a mailbox has something, and polls of its owner may wait at
//! another replica; a message that came by intent ended, and routing learns from it.
//!
//! A hint that is lost costs time and nothing else: a poll looks again by itself.

use std::sync::Arc;

use troupe_bus::Bus;
use troupe_contract::subject;
use troupe_domain::AgentId;
use troupe_shard::{OnReady, Presence};

use super::waiters::Waiters;
use crate::intents::{End, Intents, Outcome};
use crate::rules::hint::{Ended, Ending, Hint};
use crate::rules::state::RoutingState;

/// Names in one hint; what became ready at once beyond it goes in several.
const MAX_NAMES_PER_HINT: usize = 1_024;

/// What became ready wakes polls here, and is told to the other replicas: one poll may wait here for
/// anything, and another elsewhere for the answers to a request.
pub fn on_ready(
    bus: &Bus,
    waiters: &Arc<Waiters>,
    intents: &Arc<Intents>,
    presence: &Arc<Presence>,
) -> OnReady<RoutingState> {
    let (bus, waiters) = (bus.clone(), waiters.clone());
    let (intents, presence) = (intents.clone(), presence.clone());
    Arc::new(move |hints| {
        let mut ready: Vec<&AgentId> = Vec::new();
        for hint in hints {
            match hint {
                Hint::Mailbox(agent) => {
                    waiters.call(agent);
                    ready.push(agent);
                }
                Hint::Ended(ended) => intents.heard(outcome(ended)),
            }
        }
        if ready.is_empty() || presence.is_alone() {
            return;
        }
        let hints = ready.chunks(MAX_NAMES_PER_HINT);
        let bodies: Vec<Vec<u8>> =
            hints.map(|names| serde_json::to_vec(names).unwrap_or_default()).collect();
        let bus = bus.clone();
        tokio::spawn(async move {
            for body in bodies {
                bus.tell(subject::routing_ready(), body.into()).await;
            }
        });
    })
}

fn outcome(ended: &Ended) -> Outcome {
    let Ended { agent, key, how, latency_ms, handed_to } = ended.clone();
    let end = match how {
        Ending::Done => End::Answered,
        Ending::Failed => End::Failed,
        Ending::Left => End::Dropped,
    };
    Outcome { agent, key, end, latency_ms, handed_to }
}

/// Hears what became ready elsewhere, until the connection is closed.
pub async fn hear(bus: Bus, waiters: Arc<Waiters>) {
    let mut hints = match bus.listen(&subject::routing_ready()).await {
        Ok(hints) => hints,
        Err(why) => return tracing::error!(%why, "hints of other replicas are not heard"),
    };
    while let Some(hint) = hints.next().await {
        // Junk on an internal subject is no hint.
        let Ok(names) = hint.decode::<Vec<AgentId>>() else { continue };
        for agent in &names {
            waiters.call(agent);
        }
    }
}
