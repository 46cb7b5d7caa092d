//! The events of routes, breakers and feedback. Whoever wrote a change tells it, under an id that
//! follows from the change.

use serde::Serialize;
use troupe_bus::port::OutgoingEvent;
use troupe_contract::event::{
    BREAKER, BreakerEvent, BreakerEventKind, FEEDBACK, FeedbackEvent, FeedbackEventKind, ROUTE,
    RouteEvent, RouteEventKind,
};
use troupe_contract::routing::FeedbackRequest;
use troupe_domain::{AgentId, Name, Timestamp};

use super::explain::breaker_state;
use crate::rules::breaker::State;
use crate::rules::breaker::fleet::Change;

/// Events that wait to be told.
pub(super) const WAITING_EVENTS: usize = 4_096;
/// The event that a change of a breaker is; half-open is nobody's news.
pub(super) fn of_breaker(change: &Change, now: Timestamp) -> Option<OutgoingEvent> {
    let event = match change.shared.state {
        State::Open => BreakerEventKind::BreakerOpened,
        State::Closed => BreakerEventKind::BreakerClosed,
        State::HalfOpen => return None,
    };
    let reason = match event {
        BreakerEventKind::BreakerOpened => {
            let until = change.shared.until;
            format!(
                "too much of {} failed or was slow; it is tried again at {until}",
                change.capability
            )
        }
        BreakerEventKind::BreakerClosed => format!("{} works again", change.capability),
    };
    let data = BreakerEvent {
        event,
        agent_id: change.agent.clone(),
        state: breaker_state(change.shared.state),
        at: now,
        reason: Some(reason),
    };
    let shared = &change.shared;
    let id = format!(
        "{BREAKER}-{}-{}-{}-{}",
        change.agent,
        change.capability,
        shared.version,
        shared.since.as_millis()
    );
    Some(outgoing(BREAKER, &change.agent, event.token(), id, now, &data))
}

/// The event that the write of a route at `sequence` is.
pub(super) fn of_route(
    route: &Name,
    by: &AgentId,
    removed: bool,
    sequence: u64,
    at: Timestamp,
) -> OutgoingEvent {
    let event = RouteEventKind::RouteChanged;
    let data = RouteEvent { event, route_id: route.clone(), by: by.clone(), at, removed };
    outgoing(ROUTE, route, event.token(), format!("{ROUTE}-{route}-{sequence}"), at, &data)
}

/// The event that feedback is. What the message wanted is not in it: everybody may read events.
pub(super) fn of_feedback(
    id: String,
    by: &AgentId,
    request: &FeedbackRequest,
    at: Timestamp,
) -> OutgoingEvent {
    let event = FeedbackEventKind::FeedbackGiven;
    let data = FeedbackEvent {
        event,
        agent_id: request.agent_id.clone(),
        success: request.success,
        by: by.clone(),
        at,
        message_id: request.message_id.clone(),
        route_id: request.route_id.clone(),
        right_route_id: request.right_route_id.clone(),
    };
    outgoing(FEEDBACK, &request.agent_id, event.token(), format!("{FEEDBACK}-{id}"), at, &data)
}

fn outgoing(
    entity: &str,
    id: &Name,
    token: &str,
    event_id: String,
    at: Timestamp,
    data: &impl Serialize,
) -> OutgoingEvent {
    let event = OutgoingEvent::new(entity, id, token, event_id, at, data);
    OutgoingEvent { trace: troupe_bus::trace::current(), ..event }
}
