//! From what an agent published to what its shard is told: read, joined to its trace, and for an
//! intent somebody chosen.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;
use troupe_bus::follow;
use troupe_bus::trace;
use troupe_contract::ingress::Way;
use troupe_domain::message::Intent;
use troupe_domain::{AgentId, AgentMessage, Fault};

use crate::handlers::Shard;
use crate::intents::{Choice, Intents};
use crate::rules::handing_on::chosen;
use crate::rules::ingress::{Published, ReadMessage, read};
use crate::rules::record::IngressPlace;
use crate::rules::sending::{IngressContent, IngressItem};

/// How long one decision may take.
const CHOOSE_WITHIN: Duration = Duration::from_secs(5);
/// Decisions about one message before its sender is told that there is none.
const MAX_CHOICES: u32 = 5;
/// Agents that a broadcast names. Beyond it only those get it who ever asked for their mailbox, so that
/// the names of a large fleet do not outgrow a message.
const MAX_NAMED: usize = 20_000;
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Admits what was published.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Who can act on what.
    pub intents: Arc<Intents>,
}

impl Admission {
    /// What `shard` is told of `batch`, in its order. Each becomes something: nothing is passed over.
    pub(crate) async fn admit(
        &self,
        shard: &Shard,
        way: Way,
        batch: &[follow::Published],
        place: impl Fn(u64) -> IngressPlace,
    ) -> Vec<IngressItem> {
        let admitted = batch.iter().map(|published| {
            let place = place(published.entry.sequence);
            async move {
                let content = self.admit_one(shard, way, published, place).await;
                IngressItem { way, place, content }
            }
        });
        futures::future::join_all(admitted).await
    }

    async fn admit_one(
        &self,
        shard: &Shard,
        way: Way,
        published: &follow::Published,
        place: IngressPlace,
    ) -> IngressContent {
        let span = taking_in(way);
        if let Some(context) = &published.trace {
            trace::set_parent(&span, context);
        }
        let message = Published {
            way,
            place,
            subject: &published.entry.subject,
            id: published.message_id.as_deref(),
            at: published.at,
            trace: trace::of_span(&span).or_else(|| published.trace.clone()),
            payload: &published.entry.body,
        };
        match read(&message) {
            ReadMessage::Known(IngressContent::Spread { message, .. }) if way == Way::Broadcast => {
                IngressContent::Spread { message, audience: everybody(&self.intents) }
            }
            ReadMessage::Known(content) => content,
            ReadMessage::Wants(message, intent) => {
                self.choose(shard, *message, &intent).instrument(span).await
            }
        }
    }

    /// Chooses for an intent. One that came before keeps whom it had, and is passed over.
    async fn choose(
        &self,
        shard: &Shard,
        message: AgentMessage,
        intent: &Intent,
    ) -> IngressContent {
        let before = shard.look(|state| state.chosen_before(&message.sender_id, &message.id));
        if let Some(recipient) = before {
            return IngressContent::Direct(
                AgentMessage { recipient_id: Some(recipient), ..message }.into(),
            );
        }
        match self.patiently(&message, intent).await {
            Ok(Choice { agent: Some(agent), alternatives, key, resolution }) => {
                self.intents.remember(&message.id, intent, &resolution);
                IngressContent::Direct(chosen(message, agent, alternatives, key).into())
            }
            Ok(Choice { resolution, .. }) => {
                IngressContent::Unroutable { message: message.into(), why: resolution.reason }
            }
            Err(fault) => {
                IngressContent::Unroutable { message: message.into(), why: fault.message }
            }
        }
    }

    /// Asks again while the fault passes.
    async fn patiently(&self, message: &AgentMessage, intent: &Intent) -> Result<Choice, Fault> {
        let mut wait = FIRST_RETRY;
        let mut attempt = 1;
        loop {
            let until = Instant::now() + CHOOSE_WITHIN;
            match self.intents.choose(&message.sender_id, intent, until).await {
                Err(fault) if fault.code.is_transient() && attempt < MAX_CHOICES => {
                    tracing::debug!(%fault, "choosing again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

/// Who gets a broadcast though it may have no mailbox yet; at most [`MAX_NAMED`].
pub(crate) fn everybody(intents: &Intents) -> Vec<AgentId> {
    let mut everybody = intents.everybody();
    everybody.truncate(MAX_NAMED);
    everybody
}

/// The span of taking a message in; what its recipient does hangs below it.
fn taking_in(way: Way) -> tracing::Span {
    tracing::info_span!(
        target: trace::TARGET,
        parent: None,
        "take_in",
        otel.name = "message.send",
        otel.kind = "producer",
        service = troupe_contract::Service::Routing.full_name(),
        messaging.system = "nats",
        messaging.operation.type = "send",
        troupe.message.address = way.token(),
    )
}
