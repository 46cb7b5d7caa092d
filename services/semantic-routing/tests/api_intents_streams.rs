//! Routes and agents in their streams: who writes at the same time, what is no route, and who hears.

mod intents;

use std::sync::Arc;

use intents::{PATIENCE, Stage, ask, connect, name, route, soon, until, who};
use serde_json::json;
use troupe_bus::port::{Entry, Log};
use troupe_contract::event::{ROUTE, RouteEvent};
use troupe_contract::routing::{RouteListRequest, RouteRef};
use troupe_contract::{Service, stream, subject};
use troupe_semantic_routing::intents::Intents;
use troupe_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_at_the_same_time_loses_nothing() {
    let stage = Stage::start().await;
    let (one, two) = (stage.intents().await, stage.intents().await);
    let write = async |intents: Arc<Intents>, by: &'static str| {
        for number in 0..20 {
            let says = format!("{by} says {number}");
            let shared = route("shared", json!({"role": by}), &[&says]);
            intents.route_put(&name(by), shared, soon()).await.unwrap();
            let own = route(&format!("{by}-{number}"), json!({"role": by}), &[&says]);
            intents.route_put(&name(by), own, soon()).await.unwrap();
        }
    };
    tokio::join!(write(one.clone(), "ann"), write(two.clone(), "bob"));
    let list = |intents: &Intents| intents.route_list(&RouteListRequest::default()).unwrap().routes;
    let routes = eventually("both to know the same", PATIENCE, || async {
        (list(&one) == list(&two)).then(|| list(&one))
    })
    .await;
    assert_eq!(routes.len(), 41);
    let shared = routes.iter().find(|route| route.id == name("shared")).unwrap();
    let last = [vec!["ann says 19".to_owned()], vec!["bob says 19".to_owned()]];
    assert!(last.contains(&shared.utterances), "one of the last words counts: {shared:?}");
    one.drain().await;
    two.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_route_is_told_once() {
    let stage = Stage::start().await;
    let intents = stage.intents().await;
    let (ann, travel) = (name("ann"), route("travel", json!({"role": "r"}), &["book a flight"]));
    intents.route_put(&ann, travel.clone(), soon()).await.unwrap();
    intents.route_put(&ann, travel, soon()).await.unwrap();
    let gone = RouteRef { route_id: name("travel") };
    intents.route_delete(&name("bob"), gone, soon()).await.unwrap();
    intents.drain().await;
    let log = connect(&stage.nats, "reader").await.events(Service::Routing, 1).await.unwrap().log;
    let mut told: Vec<RouteEvent> = Vec::new();
    let mut each = |entry: Entry| {
        let events = troupe_contract::event::decode(&entry.body).unwrap();
        told.extend(events.into_iter().map(|event| event.data));
    };
    log.read(&subject::events_of(ROUTE), 0, &mut each).await.unwrap();
    let told: Vec<(&str, bool)> =
        told.iter().map(|event| (event.by.as_str(), event.removed)).collect();
    assert_eq!(told, [("ann", false), ("bob", true)], "what changes nothing is no news");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route_and_no_agent_is_passed_over() {
    let stage = Stage::start().await;
    stage.crew().await;
    let bus = connect(&stage.nats, "service").await;
    let routes = bus.open_stream(&stream::routes(), 1).await.unwrap();
    let agents = bus.open_stream(&stream::agents(), 1).await.unwrap();
    let junk = async |what: &str| {
        let (route, agent) = (subject::route_state(&name(what)), subject::agent_state(&name(what)));
        let bodies = ["", "{", "null", "[1]", r#"{"id":"other","by":"x","at":1,"write_id":"w"}"#];
        for body in bodies {
            routes.put(&route, body.as_bytes().to_vec().into()).await.unwrap();
            agents.put(&agent, body.as_bytes().to_vec().into()).await.unwrap();
        }
    };
    junk("before").await;
    let intents = stage.intents().await;
    assert_eq!(who(&ask(&intents, "write unit tests for the parser").await), "tess");
    junk("after").await;
    let travel = route("travel", json!({"role": "accountant"}), &["book a flight", "find a hotel"]);
    intents.route_put(&name("operator"), travel, soon()).await.unwrap();
    let second = stage.intents().await;
    for replica in [&intents, &second] {
        until(replica, "please book a flight for me", "bill", PATIENCE).await;
        assert_eq!(replica.everybody().len(), 3);
    }
    // A route can be declared where there was junk.
    let mended = route("after", json!({"role": "tester"}), &["water the plants"]);
    intents.route_put(&name("operator"), mended, soon()).await.unwrap();
    until(&second, "water the plants", "tess", PATIENCE).await;
    intents.drain().await;
    second.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_is_followed_on() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    stage.nats.kill9().unwrap();
    assert_eq!(who(&ask(&intents, "write unit tests for the parser").await), "tess");
    stage.nats.restart().await.unwrap();
    let travel = route("travel", json!({"role": "accountant"}), &["book a flight", "find a hotel"]);
    eventually("a route to be declared", PATIENCE, || async {
        intents.route_put(&name("operator"), travel.clone(), soon()).await.ok()
    })
    .await;
    until(&intents, "please book a flight for me", "bill", PATIENCE).await;
    eventually("an agent to be heard of", PATIENCE, || async {
        let declared = serde_json::from_value(
            json!({"role": "gardener", "capabilities": ["watering-plants"]}),
        );
        let bus = connect(&stage.nats, "gus").await;
        bus.call::<troupe_contract::registry::Register>(&declared.unwrap()).await.ok()?;
        intents.everybody().contains(&name("gus")).then_some(())
    })
    .await;
    intents.drain().await;
}
