//! Receiving: a long poll of the caller's mailbox, and what became of what it got.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::{Call, trace};
use troupe_contract::routing::{
    AckReply, AckRequest, DeadLetterPage, DeadLettersRequest, DeliveredMessage, InboxReply,
    InboxRequest,
};
use troupe_domain::fault::Fault;
use troupe_domain::limits::MAX_WAIT_MS;
use troupe_domain::{AgentId, Timestamp, TraceContext};

use super::{Routing, answer_of, deadline};
use crate::replica::waiters::MAX_WAITERS;
use crate::rules::mailbox::Wanted;
use crate::rules::request::RoutingRequest;

/// Messages of a poll that names no number.
const DEFAULT_MESSAGES: usize = 16;
/// A poll looks for itself this often, should the hint that would have woken it be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A message older than this joins its trace by a link: the trace has long ended.
const TRACE_JOINS_FOR_MS: u64 = 60 * 60 * 1000;

/// `routing.inbox`
pub async fn inbox(routing: &Routing, call: Call<InboxRequest>) -> Result<InboxReply, Fault> {
    let answer_by = deadline(&call);
    let InboxRequest { wait_ms, max_messages, request_id, without_answers, ack_wait_ms } =
        call.request;
    if wait_ms > MAX_WAIT_MS {
        return Err(Fault::invalid("wait_ms", format!("must be at most {MAX_WAIT_MS}")));
    }
    let wait_until = (Instant::now() + Duration::from_millis(wait_ms)).min(answer_by);
    let pull = RoutingRequest::Pull {
        agent: call.caller.clone(),
        max: max_messages.unwrap_or(DEFAULT_MESSAGES),
        ack_wait_ms,
        id: call.command_id.clone(),
        wanted: match request_id {
            Some(_) if without_answers => {
                return Err(Fault::invalid("without_answers", "does not go with request_id"));
            }
            Some(id) => Wanted::AnswersTo(id),
            None if without_answers => Wanted::NoAnswers,
            None => Wanted::Everything,
        },
    };
    let mut draining = routing.draining.clone();
    let mut ticket = None;
    // What the last look found, where it must not be looked again.
    let mut seen: Option<InboxReply> = None;
    loop {
        if seen.is_none() || routing.may_have_mail(&call.caller) {
            let mut reply =
                answer_of!(routing.ask(&call.caller, pull.clone(), answer_by).await?, Inbox)?;
            if !reply.messages.is_empty() || wait_ms == 0 || Instant::now() >= wait_until {
                routing.hand_over(&mut reply.messages, call.trace.as_ref());
                return Ok(reply);
            }
            seen = Some(reply);
        }
        // Join the line, and look once more: what came in between would wake nobody.
        let Some(place) = ticket.take() else {
            let full = || Fault::exhausted("MAX_WAITERS", MAX_WAITERS);
            ticket = Some(routing.waiters.join(&call.caller).ok_or_else(full)?);
            continue;
        };
        let look_again = (Instant::now() + LOOK_AGAIN).min(wait_until);
        let woken = tokio::select! {
            () = place.called.notified() => true,
            () = tokio::time::sleep_until(look_again) => false,
            // The shards are leaving: whoever asks again asks another replica.
            _ = draining.wait_for(|draining| *draining) => {
                return Ok(seen.unwrap_or(InboxReply { messages: Vec::new(), remaining: 0 }));
            }
        };
        // The last look of a poll is always at the mailbox itself.
        seen = seen.filter(|_| Instant::now() < wait_until);
        if !woken {
            ticket = Some(place);
        }
    }
}

impl Routing {
    /// Whether a pull may get something: only of a mailbox that is here is it known that it would
    /// not.
    fn may_have_mail(&self, agent: &AgentId) -> bool {
        let owner = self.router.find(self.home_of(agent));
        owner.is_none_or(|shard| shard.look(|state| state.may_have_mail(agent)))
    }

    /// Joins each delivery to its message's trace: what the recipient does is a part of what the
    /// sender began, the poll that got it is linked.
    fn hand_over(&self, messages: &mut [DeliveredMessage], poll: Option<&TraceContext>) {
        for delivered in messages {
            let message = &delivered.message;
            let span = tracing::info_span!(
                target: trace::TARGET,
                parent: None,
                "deliver",
                otel.name = "message.deliver",
                otel.kind = "consumer",
                service = troupe_contract::Service::Routing.full_name(),
                messaging.system = "nats",
                messaging.operation.type = "receive",
                messaging.message.id = %message.id,
                troupe.message.attempt = delivered.delivery_attempts,
            );
            if span.is_disabled() {
                delivered.trace.clone_from(&message.trace);
                continue;
            }
            let fresh =
                |since: Timestamp| self.world.now().millis_since(since) <= TRACE_JOINS_FOR_MS;
            if let Some(life) = &message.trace {
                if fresh(message.created_at) {
                    trace::set_parent(&span, life);
                } else {
                    trace::add_link(&span, life);
                }
            }
            if let Some(poll) = poll {
                trace::add_link(&span, poll);
            }
            delivered.trace = trace::of_span(&span).or_else(|| message.trace.clone());
        }
    }
}

/// `routing.ack`
pub async fn ack(routing: &Routing, call: Call<AckRequest>) -> Result<AckReply, Fault> {
    let until = deadline(&call);
    let request = RoutingRequest::Ack { agent: call.caller.clone(), ack: call.request };
    let results = answer_of!(routing.ask(&call.caller, request, until).await?, Acked)?;
    Ok(AckReply { results })
}

/// `routing.dead_letters`
pub async fn dead_letters(
    routing: &Routing,
    call: Call<DeadLettersRequest>,
) -> Result<DeadLetterPage, Fault> {
    let until = deadline(&call);
    let request = RoutingRequest::DeadLetters { agent: call.caller.clone(), request: call.request };
    answer_of!(routing.ask(&call.caller, request, until).await?, DeadLetters)
}
