//! Sending a message: to an agent, to a topic, to everybody, to whoever can act on it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument;
use troupe_bus::Call;
use troupe_bus::trace::{self, of_span};
use troupe_contract::ingress::shard_of_topic;
use troupe_contract::routing::{Resolution, Sent};
use troupe_domain::message::{Address, Birth, Intent, MessageSpec};
use troupe_domain::{AgentMessage, Fault};

use super::{Routing, answer_of, deadline};
use crate::intents::{Choice, End, Outcome};
use crate::replica::admission;
use crate::rules::handing_on::chosen;
use crate::rules::request::RoutingRequest;

/// `routing.send`
pub async fn send(routing: &Routing, call: Call<MessageSpec>) -> Result<Sent, Fault> {
    let until = deadline(&call);
    let Call { caller, request: spec, command_id, trace, .. } = call;
    let address = spec.check(&caller)?;
    // Only what has a name can have come before.
    let may_be_known = spec.id.is_some() || command_id.is_some();
    let span = sending(&address);
    let birth = Birth {
        id: routing.id_for(command_id.as_deref())?,
        sender: caller,
        at: routing.world.now(),
        trace: of_span(&span).or(trace),
    };
    let message = spec.into_message(&address, birth);
    routing.post(message, address, may_be_known, until).instrument(span).await
}

/// The span of accepting a message; what its recipient does hangs below it.
fn sending(address: &Address) -> tracing::Span {
    let kind = match address {
        Address::Agent(_) => "agent",
        Address::Broadcast => "broadcast",
        Address::Topic(_) => "topic",
        Address::Intent(_) => "intent",
    };
    tracing::info_span!(
        target: trace::TARGET,
        "send",
        otel.name = "message.send",
        otel.kind = "producer",
        service = troupe_contract::Service::Routing.full_name(),
        messaging.system = "nats",
        messaging.operation.type = "send",
        troupe.message.address = kind,
    )
}

impl Routing {
    async fn post(
        &self,
        message: AgentMessage,
        address: Address,
        may_be_known: bool,
        until: Instant,
    ) -> Result<Sent, Fault> {
        let sender = message.sender_id.clone();
        let reply = match address {
            Address::Agent(to) => {
                let request = RoutingRequest::Send { message: Arc::new(message) };
                self.ask(&to, request, until).await?
            }
            Address::Topic(topic) => {
                let shard = shard_of_topic(&topic, &sender, self.router.shards());
                let (message, audience) = (Arc::new(message), Vec::new());
                let request = RoutingRequest::Spread { message, audience };
                self.router.call(shard, request, until).await?
            }
            Address::Broadcast => {
                let (message, audience) = (Arc::new(message), admission::everybody(&self.intents));
                self.ask(&sender, RoutingRequest::Spread { message, audience }, until).await?
            }
            Address::Intent(intent) => {
                return Box::pin(self.route(message, &intent, may_be_known, until)).await;
            }
        };
        answer_of!(reply, Sent)
    }

    /// Chooses somebody for an intent, and gives it the message. One that came before keeps whom it
    /// had.
    async fn route(
        &self,
        mut message: AgentMessage,
        intent: &Intent,
        may_be_known: bool,
        until: Instant,
    ) -> Result<Sent, Fault> {
        let (sender, id) = (message.sender_id.clone(), message.id.clone());
        if may_be_known {
            let asked = RoutingRequest::ChosenBefore { sender: sender.clone(), id };
            let before = answer_of!(self.ask(&sender, asked, until).await?, Chosen)?;
            if let Some(recipient) = before {
                message.recipient_id = Some(recipient);
                let request = RoutingRequest::Route { message: Arc::new(message) };
                return answer_of!(self.ask(&sender, request, until).await?, Sent);
            }
        }
        let Choice { resolution, agent, alternatives, key } =
            self.intents.choose(&sender, intent, until).await?;
        let Some(agent) = agent else { return Err(nobody(&resolution)) };
        self.intents.remember(&message.id, intent, &resolution);
        let message = chosen(message, agent.clone(), alternatives, key.clone());
        let request = RoutingRequest::Route { message: Arc::new(message) };
        let sent = self.ask(&sender, request, until).await;
        let sent = sent.and_then(|reply| answer_of!(reply, Sent));
        if !sent.as_ref().is_ok_and(|sent| !sent.duplicate) {
            // It did not go to whom it was chosen for. Where the outcome is unknown this may be one too
            // many, which costs a little balance.
            let (end, latency_ms, handed_to) = (End::Dropped, None, None);
            self.intents.heard(Outcome { agent, key, end, latency_ms, handed_to });
        }
        let sent = sent?;
        let resolution = Some(Box::new(resolution)).filter(|_| !sent.duplicate);
        Ok(Sent { resolution, ..sent })
    }
}

/// Nobody can act on the intent: what was decided says why.
fn nobody(resolution: &Resolution) -> Fault {
    let why = format!("nobody can act on it: {}", resolution.reason);
    let told = serde_json::to_value(resolution).unwrap_or_default();
    Fault::precondition(why).with("field", "intent").with("resolution", told)
}
