//! The fleet of a run: agents with mailboxes, senders, and the routes that lead to the agents.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use troupe_bus::call::CallOptions;
use troupe_bus::{Bus, wire};
use troupe_contract::routing::{Resolution, Resolve, ResolveRequest, Route, RoutePut, RouteTarget};
use troupe_contract::{Endpoint, subject};
use troupe_domain::message::IntentFilters;
use troupe_domain::{Name, RequiredCapability};
use troupe_testkit::try_eventually;

use crate::agents::{Agent, ask};
use crate::stack::connect;

/// Requests that are under way while a fleet is made.
const AT_ONCE: usize = 32;
/// How long a change may take until decisions follow it; a benchmark waits, and says how long.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_secs(600);

/// Calls `E` in the name of `caller`, whatever the connection's own name: the server of a run has no
/// users. One connection can so speak for a fleet.
pub(super) async fn ask_as<E: Endpoint>(
    bus: &Bus,
    caller: &Name,
    request: &E::Request,
) -> Result<E::Reply> {
    let place = || format!("{}.{}", E::SERVICE.token(), E::OPERATION);
    let body = wire::encode(request)?;
    let options = CallOptions::default();
    let answer = bus.call_raw(&subject::request::<E>(caller), body, &options).await;
    serde_json::from_slice(&answer.with_context(place)?).with_context(place)
}

/// Agents with a connection each, of whom agent number `n` can do what `can(n)` names.
pub(super) async fn join(
    url: &str,
    agents: usize,
    can: impl Fn(usize) -> Vec<Name>,
) -> Result<Vec<Arc<Agent>>> {
    let mut joined = Vec::with_capacity(agents);
    for number in 0..agents {
        joined.push(Arc::new(Agent::join(url, &format!("agent-{number}"), &can(number)).await?));
    }
    Ok(joined)
}

/// Connections of people or programs that are no members of the fleet.
pub(super) async fn senders(url: &str, senders: usize) -> Result<Vec<Bus>> {
    let mut connected = Vec::with_capacity(senders);
    for number in 0..senders {
        connected.push(connect(url, &format!("sender-{number}")).await?);
    }
    Ok(connected)
}

/// A route to be: its id, the capability that it leads to, and what people say who want it.
pub(super) type Wanted = (Name, Name, Vec<String>);

/// Declares routes.
pub(super) async fn declare(bus: &Bus, routes: Vec<Wanted>) -> Result<()> {
    let puts = routes.into_iter().map(|(id, name, utterances)| {
        let target = RouteTarget::Capability(RequiredCapability { name, min_proficiency: 0.0 });
        let route = Route { id, target, description: String::new(), utterances, threshold: None };
        let bus = bus.clone();
        async move { ask::<RoutePut>(&bus, &route).await.map(drop) }
    });
    stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
}

/// Asks who can act on `text`.
pub(super) async fn resolve(bus: &Bus, text: &str) -> Result<Resolution> {
    let request = ResolveRequest {
        text: text.to_owned(),
        filters: IntentFilters::default(),
        limit: Some(1),
        fallback: None,
    };
    ask::<Resolve>(bus, &request).await
}

/// Waits until decisions follow what was declared: each text leads to its route.
pub(super) async fn settled(bus: &Bus, probes: Vec<(String, Name)>) -> Result<()> {
    for (text, route) in probes {
        let what = format!("{text:?} to lead to {route}");
        let led = || {
            let (bus, text, route) = (bus.clone(), text.clone(), route.clone());
            async move {
                let told = resolve(&bus, &text).await.ok()?;
                (told.route_id == Some(route) && told.agent_id.is_some()).then_some(())
            }
        };
        try_eventually(what, SETTLED_WITHIN, led).await?;
    }
    Ok(())
}
