//! The service under the permissions that the contract generates: it may do everything that it does,
//! and nobody speaks or reads in another's name.

mod stage;

use std::time::Duration;

use async_nats::ConnectOptions;
use serde_json::json;
use stage::{Agent, PATIENCE, name, without_model};
use troupe_bus::{Bus, Settings};
use troupe_contract::generate::permissions::Kind;
use troupe_contract::generate::{User, nats_config};
use troupe_contract::registry::Register;
use troupe_contract::routing::*;
use troupe_contract::{Service, subject};
use troupe_semantic_routing::Replica;
use troupe_testkit::{NatsServer, eventually};

fn password(name: &str) -> String {
    format!("{name}-secret")
}

fn options(who: &str) -> ConnectOptions {
    ConnectOptions::with_user_and_password(who.to_owned(), password(who))
        .custom_inbox_prefix(subject::inbox_prefix(&name(who)))
}

async fn login(nats: &NatsServer, who: &str) -> Bus {
    let settings = Settings {
        url: nats.url(),
        user: Some(who.to_owned()),
        password: Some(password(who)),
        credentials_file: None,
    };
    Bus::connect(&settings, name(who)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_may_do_what_it_does_and_agents_speak_for_themselves() {
    let (routing, registry) = (Service::Routing.full_name(), Service::Registry.full_name());
    let users = [
        ("ann", Kind::Agent),
        ("bob", Kind::Agent),
        (routing, Kind::Service(Service::Routing)),
        (registry, Kind::Service(Service::Registry)),
    ];
    let users = users.map(|(who, kind)| User { name: name(who), password: password(who), kind });
    let block = nats_config(&users).unwrap();
    let nats = NatsServer::builder().auth(block, options(routing)).start().await.unwrap();

    let bus = login(&nats, registry).await;
    let settings = troupe_registry::Config::default().settings();
    let directory = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
    let bus = login(&nats, routing).await;
    let replica = Replica::start(&bus, &without_model(), None).await.unwrap();
    replica.ready().await;
    let ann = Agent { bus: login(&nats, "ann").await };
    let bob = Agent { bus: login(&nats, "bob").await };

    // A message through the endpoint, one published straight, one by intent, a route, an event.
    ann.send(json!({"id": "m1", "recipient_id": "bob"})).await;
    let raw = options("ann").connect(nats.url()).await.unwrap();
    raw.publish("troupe.v1.agent.bob.inbox.ann", r#"{"id":"m2"}"#.into()).await.unwrap();
    let declared = json!({"role": "implementer", "capabilities": ["translate"]});
    bob.call::<Register>(declared).await.unwrap();
    let intent = json!({"id": "m3", "intent": {
        "text": "please", "filters": {"capabilities": ["translate"]}, "fallback": "capability",
    }});
    eventually("bob to be known", PATIENCE, || async {
        ann.call::<Send>(intent.clone()).await.ok()
    })
    .await;
    let mut got = Vec::new();
    while got.len() < 3 {
        for delivered in bob.wait().await {
            got.push(delivered.message.id.to_string());
            bob.ack(&delivered).await;
        }
    }
    got.sort();
    assert_eq!(got, ["m1", "m2", "m3"]);
    let route = json!({"id": "r1", "target": {"role": "implementer"}, "utterances": ["do it"]});
    ann.call::<RoutePut>(route).await.unwrap();
    ann.call::<SessionOpen>(json!({"type": "planning"})).await.unwrap();
    let log = nats.log().to_lowercase();
    assert!(!log.contains("permissions violation"), "{log}");

    // Nobody else's name, and no service's operation.
    let refused = async |subject: &str| {
        let request = async_nats::Request::new()
            .payload("{}".into())
            .timeout(Some(Duration::from_millis(500)));
        raw.send_request(subject.to_owned(), request).await.unwrap_err();
        eventually("the server to refuse it", PATIENCE, || async {
            nats.log().contains(subject).then_some(())
        })
        .await;
    };
    refused("troupe.v1.routing.send.bob").await;
    refused("troupe.v1.routing.inbox.bob").await;
    refused("troupe.v1.routing.pending.ann").await;
    refused("troupe.v1.agent.bob.inbox.eve").await;
    refused("troupe.v1.ingress.inbox.0.bob.ann").await;
    refused("troupe.v1.internal.routing.ready").await;
    replica.drain().await;
    directory.drain().await;
}
