//! Readers are told of what was taken back: a message to each, once it is in the log, until it is in a
//! mailbox or can never be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::routing::Send;
use troupe_domain::message::MessageSpec;
use troupe_domain::{Json, MessagePriority};

use crate::handlers::{Router, Shard};
use crate::rules::record::Telling as Tale;
use crate::rules::request::MemoryRequest;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long after a failure nothing is tried, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// Messages of one shard in one round.
const MAX_TOGETHER: usize = 16;
/// How long a message counts: a reader may be away for days.
const EXPIRES_IN_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Tells the readers of what was taken back in this replica's shards.
#[derive(Debug)]
pub struct Telling {
    /// The bus.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
}

impl Telling {
    /// Works until it is aborted.
    pub async fn run(self) {
        let mut wait = RETRY.0;
        loop {
            sleep(LOOK_EVERY).await;
            let mut failed = false;
            for shard in self.router.local() {
                failed |= !self.tell(&shard).await;
            }
            if failed {
                sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            } else {
                wait = RETRY.0;
            }
        }
    }

    /// Whether everybody who was tried was told, or cannot be.
    async fn tell(&self, shard: &Arc<Shard>) -> bool {
        if shard.look(|state| state.tellings(1).is_empty()) {
            return true;
        }
        let tales = shard.look_stored(|state| state.tellings(MAX_TOGETHER)).await;
        let sent = tales.into_iter().flatten().map(|tale| self.send(shard.number(), tale));
        let sent = futures::future::join_all(sent).await;
        let told: Vec<u64> = sent.iter().flatten().copied().collect();
        let is_done = told.len() == sent.len();
        if !told.is_empty()
            && let Err(fault) = shard.call(MemoryRequest::Told(told)).await
        {
            tracing::debug!(%fault, "readers are told again");
        }
        is_done
    }

    /// The number of what was told, or cannot be.
    async fn send(&self, shard: u16, tale: Tale) -> Option<u64> {
        let body = serde_json::json!({
            "event": "memory_retracted",
            "memory_id": tale.root,
            "namespace": tale.namespace,
            "by": tale.by,
            "reason": tale.reason,
            "at": tale.at,
            "affected": tale.affected,
        });
        let message = MessageSpec {
            recipient_id: Some(tale.reader.clone()),
            priority: MessagePriority::High,
            subject: format!("the memory {} was taken back", tale.root),
            body: Json::of(&body).ok(),
            expires_in_ms: Some(EXPIRES_IN_MS),
            ..MessageSpec::default()
        };
        let options = CallOptions {
            retry_unheard: false,
            command_id: Some(format!("memory-{shard}-{}-{}", tale.number, tale.at.as_millis())),
            ..CallOptions::within(SEND_WITHIN)
        };
        match self.bus.call_with::<Send>(&message, &options).await {
            Ok(_) => Some(tale.number),
            Err(fault) if fault.code.is_transient() => None,
            Err(fault) => {
                tracing::debug!(%fault, reader = %tale.reader, "a reader cannot be told");
                Some(tale.number)
            }
        }
    }
}
