//! The events of routes and breakers. Whoever wrote the change tells it, under an id that follows from
//! the change.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use troupe_bus::port::{EventSink, OutgoingEvent};
use troupe_contract::event::{
    BREAKER, BreakerEvent, BreakerEventKind, ROUTE, RouteEvent, RouteEventKind,
};
use troupe_contract::subject;
use troupe_domain::{AgentId, Name, Timestamp};

use super::explain::breaker_state;
use crate::rules::breaker::State;
use crate::rules::breaker::fleet::Change;

/// Events that wait to be told.
pub(super) const WAITING_EVENTS: usize = 4_096;
/// Events that are told at once.
const BATCH_EVENTS: usize = 256;
/// First and longest wait before events are sent again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

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

fn outgoing(
    entity: &str,
    id: &Name,
    token: &str,
    event_id: String,
    at: Timestamp,
    data: &impl Serialize,
) -> OutgoingEvent {
    OutgoingEvent {
        subject: subject::event(entity, id, token),
        id: event_id,
        kind: format!("troupe.{entity}.{token}.v1"),
        entity_id: id.to_string(),
        at,
        trace: troupe_bus::trace::current(),
        // A tree of plain fields always serialises.
        body: serde_json::to_vec(data).unwrap_or_default().into(),
    }
}

/// Tells what comes, each until it is acknowledged; ends when `stop` is true and everything is told.
pub(super) async fn run(
    sink: Arc<dyn EventSink>,
    mut waiting: mpsc::Receiver<OutgoingEvent>,
    mut stop: watch::Receiver<bool>,
) {
    let mut batch = Vec::with_capacity(BATCH_EVENTS);
    loop {
        let taken = tokio::select! {
            biased;
            taken = waiting.recv_many(&mut batch, BATCH_EVENTS) => taken,
            _ = stop.wait_for(|stop| *stop), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        if taken == 0 {
            return;
        }
        let mut wait = RETRY.0;
        while let Err(why) = sink.publish(&batch).await {
            tracing::warn!(%why, events = batch.len(), "events are not acknowledged; again");
            sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
        batch.clear();
    }
}
