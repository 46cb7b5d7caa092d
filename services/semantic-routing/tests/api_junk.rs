//! Malformed and hostile input on every endpoint of semantic routing: each piece gets a clear fault or
//! an answer, and the next good request is served.

mod stage;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stage::{Agent, PATIENCE, Stage, call, name};
use troupe_contract::registry::Register;
use troupe_contract::routing::*;
use troupe_contract::{Endpoint, Service};
use troupe_semantic_routing::Config;
use troupe_testkit::eventually;
use troupe_testkit::hostile::{Chance, Hostile, Wire, check_fault, junk};

const ROUTE: &str = "a-route";

/// With the real model, and a registry, so that every endpoint can do its work.
async fn start() -> (troupe_registry::Replica, Stage) {
    let (registry, stage) = Stage::with_registry(Config::default()).await;
    stage.replicas[0].intents().ready(PATIENCE).await;
    (registry, stage)
}

fn sized(full: usize, scaled: usize) -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
}

fn hostile(stage: &Stage) -> Hostile<'_> {
    // One junk in a scaled-down run stands for twenty.
    Hostile { nats: &stage.nats, services: &[Service::Routing], one_in: sized(1, 20) }
}

async fn good<E: Endpoint>(
    agent: &Agent,
    request: Value,
    called: &mut BTreeSet<String>,
) -> E::Reply {
    let name = format!("{}.{}", E::SERVICE.token(), E::OPERATION);
    let reply = call::<E>(&agent.bus, request).await;
    let reply = reply.unwrap_or_else(|fault| panic!("a good {name} is refused: {fault}"));
    called.insert(name);
    reply
}

/// Every endpoint, called as it is meant to be called. Gives the operations.
async fn whole_life(stage: &Stage, round: usize) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let c = &mut called;
    let ann = stage.agent(&format!("good-{round}")).await;
    let me = ann.id().to_string();
    good::<Send>(&ann, json!({"recipient_id": me, "subject": "note"}), c).await;
    let got = good::<Inbox>(&ann, json!({}), c).await.messages.remove(0);
    let done = json!({"messages": [{"message_id": got.message.id, "attempt": 1}]});
    assert_eq!(good::<Ack>(&ann, done, c).await.results[0].result, AckEffect::Done);
    good::<DeadLetters>(&ann, json!({}), c).await;
    good::<Subscribe>(&ann, json!({"patterns": ["news.>"]}), c).await;
    good::<Subscriptions>(&ann, json!({}), c).await;
    good::<Unsubscribe>(&ann, json!({"patterns": ["news.>"]}), c).await;
    good::<Resolve>(&ann, json!({"text": "do it"}), c).await;
    let route =
        json!({"id": format!("route-{round}"), "target": {"role": "x"}, "utterances": ["a"]});
    good::<RoutePut>(&ann, route, c).await;
    let kept = json!({"id": ROUTE, "target": {"role": "x"}, "utterances": ["do a thing"]});
    good::<RoutePut>(&ann, kept, c).await;
    good::<RouteList>(&ann, json!({}), c).await;
    good::<RouteDelete>(&ann, json!({"route_id": format!("route-{round}")}), c).await;
    call::<Register>(&ann.bus, json!({"role": "x"})).await.unwrap();
    let feedback = json!({"text": "x", "agent_id": me, "success": true});
    eventually("routing to know the agent", PATIENCE, || async {
        call::<Feedback>(&ann.bus, feedback.clone()).await.ok()
    })
    .await;
    good::<Feedback>(&ann, feedback, c).await;
    let examples: Vec<Value> =
        (0..4).map(|n| json!({"text": format!("a {n}"), "route_id": ROUTE})).collect();
    let fit = json!({"examples": examples, "dry_run": true});
    eventually("the route to be learned", PATIENCE, || async {
        call::<Fit>(&ann.bus, fit.clone()).await.ok()
    })
    .await;
    good::<Fit>(&ann, fit, c).await;
    let id = format!("talk-{round}");
    let talk = json!({ "session_id": id });
    let spec =
        json!({"id": id, "type": "planning", "anyone_may_join": true, "participants": ["bob"]});
    good::<SessionOpen>(&ann, spec, c).await;
    good::<SessionJoin>(&ann, talk.clone(), c).await;
    good::<SessionSay>(&ann, json!({"session_id": id, "class": "planning"}), c).await;
    good::<SessionGet>(&ann, talk.clone(), c).await;
    good::<SessionList>(&ann, json!({}), c).await;
    good::<SessionTranscript>(&ann, talk.clone(), c).await;
    // Another keeps it open meanwhile.
    good::<SessionLeave>(&ann, talk.clone(), c).await;
    good::<SessionJoin>(&ann, talk, c).await;
    good::<SessionClose>(&ann, json!({"session_id": id, "outcome": "completed"}), c).await;
    good::<RoutingStats>(&ann, json!({}), c).await;
    good::<Pending>(&ann, json!({ "agent_ids": [me] }), c).await;
    called
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_in_any_field_of_any_endpoint_gets_a_fault_that_names_it() {
    let (_registry, stage) = start().await;
    let hostile = hostile(&stage);
    let serves = async |round| assert_eq!(whole_life(&stage, round).await, hostile.names());
    hostile.put_junk_in_every_field(serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_requests_get_a_clear_fault() {
    let (_registry, stage) = start().await;
    hostile(&stage).send_what_is_no_request().await;
    whole_life(&stage, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_headers_callers_and_silence_do_no_harm() {
    let (_registry, stage) = start().await;
    let serves = async |round| {
        whole_life(&stage, round).await;
    };
    hostile(&stage).misuse_headers_and_names(serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_between_replicas_and_in_the_ways_in_does_no_harm() {
    let (_registry, stage) = start().await;
    let mut wire = Wire::connect(&stage.nats).await;
    let mut chance = Chance(7);
    let subjects = [
        "troupe.v1.internal.routing.presence",
        "troupe.v1.internal.routing.ready",
        "troupe.v1.internal.routing.peers",
        "troupe.v1.internal.routing.shard.0",
        "troupe.v1.event.agent.x",
        "troupe.v1.agent.bob.inbox.ann",
        "troupe.v1.topic.ann",
        "troupe.v1.topic.a.b.c.d.e.f.g.h.i.j.ann",
        "troupe.v1.broadcast.ann",
        "troupe.v1.intent.ann",
    ];
    for subject in subjects {
        for body in junk::bodies(&mut chance) {
            wire.publish(subject, None, &[], &body).await;
        }
    }
    let answer = wire.ask("troupe.v1.internal.routing.shard.0", &[], b"{").await;
    assert_eq!(answer.code(), "invalid_argument");
    // Each of bob's is a dead letter, but for the two that are a message without fields.
    let bob = stage.agent("bob").await;
    let pieces = junk::bodies(&mut Chance(7)).len() as u64;
    eventually("everything to be taken in", PATIENCE, || async {
        let dead = bob.call::<DeadLetters>(json!({})).await.unwrap().total;
        let got =
            call::<Pending>(&bob.bus, json!({"agent_ids": ["bob"]})).await.unwrap().pending[0];
        (dead + got == pieces).then_some(())
    })
    .await;
    whole_life(&stage, 0).await;
}

/// Texts of every kind, in the three places where people write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_texts_get_an_answer_or_a_clear_fault() {
    let (_registry, stage) = start().await;
    let mut wire = Wire::connect(&stage.nats).await;
    let megabyte = "x".repeat(1024 * 1024);
    let texts = [
        "",
        " ",
        "\u{0}",
        "a\u{7}b",
        "\n\r\t",
        "\u{202e}gnp.exe",
        "שלום עולם",
        "مرحبا بالعالم",
        "🦀🎭👩‍👩‍👧‍👦",
        "日本語のメッセージ",
        "Ünïcödé",
        "e\u{301}",
        "\u{feff}",
        "'; DROP TABLE",
        "{{7*7}}",
        "../../etc",
        "\u{fffd}",
        "Ａ Ｂ Ｃ",
        &megabyte,
    ];
    for text in texts {
        for (operation, body) in [
            ("send", json!({"recipient_id": "bob", "subject": text})),
            ("send", json!({"recipient_id": "bob", "body": text})),
            ("send", json!({"intent": {"text": text}})),
            ("resolve", json!({ "text": text })),
            ("feedback", json!({"text": text, "agent_id": "bob", "success": true})),
            ("route_put", json!({"id": "r", "target": {"role": "x"}, "utterances": [text]})),
            ("session_open", json!({"type": "planning", "title": text})),
        ] {
            let (at, body) = (format!("troupe.v1.routing.{operation}.hostile"), body.to_string());
            let answer = wire.ask(&at, &[], body.as_bytes()).await;
            check_fault(&at, body.as_bytes(), &answer);
        }
    }
    let bob = stage.agent("bob").await;
    let got = bob.pull().await;
    assert!(got.iter().any(|delivered| delivered.message.subject == "שלום עולם"));
    assert!(got.iter().all(|delivered| delivered.message.sender_id == name("hostile")));
    whole_life(&stage, 0).await;
}
