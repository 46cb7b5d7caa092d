//! The ways to address a message: topics, everybody, whoever can act; requests over each; and what
//! agents publish straight on NATS subjects.

mod stage;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stage::{Agent, PATIENCE, Stage, ids, name};
use troupe_contract::registry::{Deregister, Register};
use troupe_contract::routing::*;
use troupe_contract::stream::WhenFull;
use troupe_contract::{headers, ingress::Way};
use troupe_domain::message::DeliveryStatus;
use troupe_domain::{Code, MessageType};
use troupe_testkit::eventually;

async fn with_registry() -> (troupe_registry::Replica, Stage) {
    Stage::with_registry(stage::without_model()).await
}

/// An agent with capabilities.
async fn able(stage: &Stage, id: &str, capabilities: &[&str]) -> Agent {
    let agent = stage.agent(id).await;
    let declared =
        json!({"role": "implementer", "capabilities": capabilities, "max_concurrent_tasks": 64});
    agent.call::<Register>(declared).await.unwrap();
    agent
}

/// An intent that needs no model: who has the capability can act.
fn wanting(capability: &str, more: Value) -> Value {
    let mut message = json!({"intent": {
        "text": "please", "filters": {"capabilities": [capability]}, "fallback": "capability",
    }});
    for (key, value) in more.as_object().unwrap() {
        message[key] = value.clone();
    }
    message
}

/// Sends an intent once routing has heard of the agents.
async fn send_when_known(sender: &Agent, message: Value) -> Sent {
    eventually("somebody who can act", PATIENCE, || async {
        sender.call::<Send>(message.clone()).await.ok()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_reaches_who_follows_it_and_nobody_else() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let follow = async |who: &str, patterns: &[&str]| {
        let agent = stage.agent(who).await;
        agent.call::<Subscribe>(json!({ "patterns": patterns })).await.unwrap();
        agent
    };
    let exact = follow("exact", &["news.eu.web"]).await;
    let one = follow("one", &["news.*.web"]).await;
    let rest = follow("rest", &["news.>", "news.eu.*"]).await;
    let other = follow("other", &["news.us.*", "sport"]).await;
    let sent = ann.send(json!({"id": "m1", "topic": "news.eu.web", "body": "hello"})).await;
    assert_eq!((sent.status, sent.duplicate), (DeliveryStatus::Sent, false));
    for agent in [&exact, &one, &rest] {
        let got = agent.take_one().await;
        assert_eq!(got.message.topic.as_ref().unwrap().as_str(), "news.eu.web");
    }
    assert!(ann.send(json!({"id": "m1", "topic": "news.eu.web"})).await.duplicate);
    let left = rest.call::<Unsubscribe>(json!({"patterns": ["news.>"]})).await.unwrap();
    assert_eq!(left.patterns.len(), 1);
    rest.call::<Unsubscribe>(json!({"patterns": ["news.eu.*"]})).await.unwrap();
    assert!(rest.call::<Subscriptions>(json!({})).await.unwrap().patterns.is_empty());
    ann.send(json!({"id": "m2", "topic": "news.eu.web"})).await;
    assert_eq!(exact.take_one().await.message.id, name("m2"));
    assert!(rest.pull().await.is_empty() && other.pull().await.is_empty());
    assert!(ann.pull().await.is_empty(), "nobody hears himself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_everybody_who_ever_came_and_who_is_registered() {
    let (registry, stage) = with_registry().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    bob.pull().await;
    let registered = able(&stage, "registered", &[]).await;
    eventually("routing to know the agent", PATIENCE, || async {
        stage.replicas[0].intents().everybody().contains(&name("registered")).then_some(())
    })
    .await;
    ann.send(json!({"id": "b1", "broadcast": true, "subject": "to all"})).await;
    assert_eq!(bob.take_one().await.message.kind, MessageType::Broadcast);
    assert_eq!(registered.take_one().await.message.id, name("b1"));
    assert!(ann.pull().await.is_empty());
    registry.drain().await;
}

/// Asks, has `responder` answer, and gets the answer by the request's id alone.
async fn ask_and_answer(asker: &Agent, responder: &Agent, mut request: Value) {
    request["type"] = json!("request");
    request["timeout_ms"] = json!(20_000);
    let sent = send_when_known(asker, request).await;
    assert!(sent.respond_by.is_some());
    let got = responder.take_one().await;
    assert_eq!(got.message.request_id.as_ref(), Some(&sent.message_id));
    let response = json!({
        "type": "response", "recipient_id": got.message.sender_id,
        "request_id": got.message.request_id, "body": {"answer": 42},
    });
    responder.send(response.clone()).await;
    let answers = asker.poll(json!({"wait_ms": 15_000, "request_id": sent.message_id})).await;
    assert_eq!((answers.len(), answers[0].message.kind), (1, MessageType::Response));
    assert_eq!(answers[0].message.body.as_ref().unwrap().to_value()["answer"], 42);
    asker.ack(&answers[0]).await;
    if got.message.recipient_id.is_some() {
        let fault = responder.refused(response).await;
        assert_eq!(fault.code, Code::FailedPrecondition, "it was answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_over_each_address() {
    let (registry, stage) = with_registry().await;
    let ann = stage.agent("ann").await;
    let bob = able(&stage, "bob", &["translate:0.9"]).await;
    bob.call::<Subscribe>(json!({"patterns": ["help.*"]})).await.unwrap();
    ask_and_answer(&ann, &bob, json!({"id": "r1", "recipient_id": "bob"})).await;
    ask_and_answer(&ann, &bob, json!({"id": "r2", "topic": "help.me"})).await;
    ask_and_answer(&ann, &bob, json!({"id": "r3", "broadcast": true})).await;
    ask_and_answer(&ann, &bob, wanting("translate", json!({"id": "r4"}))).await;
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_answers_runs_out_and_its_sender_is_told() {
    let (registry, stage) = with_registry().await;
    let ann = stage.agent("ann").await;
    let bob = able(&stage, "bob", &["translate"]).await;
    bob.call::<Subscribe>(json!({"patterns": ["help"]})).await.unwrap();
    let requests = [
        json!({"id": "r1", "recipient_id": "bob"}),
        json!({"id": "r2", "topic": "help"}),
        json!({"id": "r3", "broadcast": true}),
        wanting("translate", json!({"id": "r4"})),
    ];
    for mut request in requests {
        request["type"] = json!("request");
        request["timeout_ms"] = json!(500);
        let sent = send_when_known(&ann, request).await;
        let told = ann.poll(json!({"wait_ms": 15_000, "request_id": sent.message_id})).await;
        assert_eq!((told.len(), told[0].message.kind), (1, MessageType::Error));
        ann.ack(&told[0]).await;
        let late = bob
            .refused(json!({
                "type": "response", "recipient_id": "ann", "request_id": sent.message_id,
            }))
            .await;
        assert_eq!(late.code, Code::FailedPrecondition);
    }
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_reaches_one_who_can_act_and_the_next_best_when_that_one_refuses() {
    let (registry, stage) = with_registry().await;
    let ann = stage.agent("ann").await;
    let mut translators = Vec::new();
    for id in ["t1", "t2", "t3"] {
        translators.push(able(&stage, id, &["translate:0.9"]).await);
    }
    let _other = able(&stage, "other", &["review"]).await;
    eventually("routing to know everybody", PATIENCE, || async {
        (stage.replicas[0].intents().everybody().len() == 4).then_some(())
    })
    .await;
    let sent = ann.send(wanting("translate", json!({"id": "i1"}))).await;
    let resolution = sent.resolution.as_ref().expect("it is said how");
    assert_eq!(resolution.agent_id, sent.recipient_id);
    let again = ann.send(wanting("translate", json!({"id": "i1"}))).await;
    assert!(again.duplicate && again.recipient_id == sent.recipient_id, "the first one keeps it");

    let mut had = BTreeSet::new();
    let mut holder = sent.recipient_id.unwrap();
    for refusal in 0..3 {
        assert!(had.insert(holder.clone()), "{holder} had it before");
        let agent = translators.iter().find(|agent| *agent.id() == holder).unwrap();
        let got = agent.wait().await.remove(0);
        assert_eq!((got.message.id.as_str(), got.delivery_attempts), ("i1", 1));
        if refusal == 2 {
            agent.ack(&got).await;
            break;
        }
        let how = json!({"outcome": "rejected", "reason": "I am busy"});
        assert_eq!(agent.end(&got, how).await, AckEffect::Done);
        holder = eventually("somebody else to have it", PATIENCE, || async {
            for other in &translators {
                let request = PendingRequest { agent_ids: vec![other.id().clone()] };
                let counted = ann.bus.call::<Pending>(&request).await.unwrap().pending[0];
                if counted > 0 {
                    return Some(other.id().clone());
                }
            }
            None
        })
        .await;
    }
    assert_eq!(had.len(), 3);
    let nobody = json!({"intent": {"text": "x", "filters": {"capabilities": ["cook"]}, "fallback": "refuse"}});
    let fault = ann.refused(nobody).await;
    assert_eq!(fault.code, Code::FailedPrecondition, "{fault}");
    assert!(fault.details["resolution"]["reason"].is_string());
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_an_agent_that_leaves_goes_to_the_next_best() {
    let (registry, stage) = with_registry().await;
    let ann = stage.agent("ann").await;
    let (bob, cat) =
        (able(&stage, "bob", &["translate"]).await, able(&stage, "cat", &["translate"]).await);
    eventually("routing to know both", PATIENCE, || async {
        (stage.replicas[0].intents().everybody().len() == 2).then_some(())
    })
    .await;
    for number in 0..12 {
        ann.send(wanting("translate", json!({"id": format!("i{number}")}))).await;
    }
    let waiting = async || {
        let request = PendingRequest { agent_ids: vec![name("bob"), name("cat")] };
        ann.bus.call::<Pending>(&request).await.unwrap().pending
    };
    eventually("all to be in mailboxes", PATIENCE, || async {
        (waiting().await.iter().sum::<u64>() == 12).then_some(())
    })
    .await;
    bob.call::<Deregister>(json!({})).await.unwrap();
    eventually("the other to have them all", PATIENCE, || async {
        (waiting().await == [0, 12]).then_some(())
    })
    .await;
    let mut got: BTreeSet<String> = BTreeSet::new();
    while got.len() < 12 {
        for delivered in cat.wait().await {
            assert_eq!(delivered.message.sender_id, name("ann"));
            assert!(
                got.insert(delivered.message.id.to_string()),
                "{} came twice",
                delivered.message.id
            );
            cat.ack(&delivered).await;
        }
    }
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_agents_publish_themselves_is_delivered_once_and_in_order() {
    let (registry, stage) = with_registry().await;
    let ann = stage.agent("ann").await;
    let bob = able(&stage, "bob", &["translate"]).await;
    bob.call::<Subscribe>(json!({"patterns": ["news.>"]})).await.unwrap();
    let _ = send_when_known(&ann, wanting("translate", json!({"id": "known"}))).await;
    bob.take_one().await;
    let raw = stage.nats.connect().await.unwrap();
    let context = async_nats_jetstream(&raw);
    let publish = async |subject: &str, id: &str, body: &str| {
        let mut map = async_nats::HeaderMap::new();
        map.insert(headers::MSG_ID, id);
        let ack =
            context.publish_with_headers(subject.to_owned(), map, body.to_owned().into()).await;
        ack.unwrap().await.unwrap();
    };
    for number in 0..20 {
        let body = format!(r#"{{"body":{number}}}"#);
        publish("troupe.v1.agent.bob.inbox.ann", &format!("direct-{number:02}"), &body).await;
    }
    publish("troupe.v1.topic.news.eu.ann", "topic-1", r#"{"subject":"news"}"#).await;
    publish("troupe.v1.broadcast.ann", "broadcast-1", r#"{"subject":"all"}"#).await;
    let intent = r#"{"intent":{"text":"please","filters":{"capabilities":["translate"]},"fallback":"capability"}}"#;
    publish("troupe.v1.intent.ann", "intent-1", intent).await;
    let mut got: Vec<String> = Vec::new();
    while got.len() < 23 {
        for delivered in bob.wait().await {
            got.push(delivered.message.id.to_string());
            assert_eq!(delivered.message.sender_id, name("ann"));
            bob.ack(&delivered).await;
        }
    }
    let direct: Vec<&String> = got.iter().filter(|id| id.starts_with("direct")).collect();
    assert!(direct.is_sorted() && direct.len() == 20, "{got:?}");
    for wanted in ["topic-1", "broadcast-1", "intent-1"] {
        assert!(got.iter().any(|id| id == wanted), "{got:?}");
    }
    // The same through the endpoint is the same message.
    assert!(ann.send(json!({"id": "direct-07", "recipient_id": "bob"})).await.duplicate);
    // What was taken in is purged: the streams refuse when they are full.
    assert_eq!(Way::Inbox.stream(4).when_full, WhenFull::Refuse);
    for way in Way::ALL {
        let stream = context.get_stream(way.stream(4).name).await.unwrap();
        eventually("the stream to be purged", PATIENCE, || async {
            (stream.get_info().await.unwrap().state.messages == 0).then_some(())
        })
        .await;
    }
    registry.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_a_dead_letter_and_stops_nothing() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    ann.pull().await;
    let raw = stage.nats.connect().await.unwrap();
    let subject = "troupe.v1.agent.bob.inbox.ann";
    let large = format!(r#"{{"body":"{}"}}"#, "x".repeat(1_000_000));
    let bad: [&[u8]; 7] = [
        b"",
        b"hello",
        b"\xff\xfe",
        br#"{"sender_id":"eve"}"#,
        br#"{"nonsense":1}"#,
        br#"{"subject":"a\u0000b"}"#,
        large.as_bytes(),
    ];
    for payload in bad {
        raw.publish(subject, payload.to_vec().into()).await.unwrap();
    }
    // A name that is no name, and subjects that nobody would choose.
    raw.publish("troupe.v1.agent.bob.inbox.b@d", "{}".into()).await.unwrap();
    raw.publish("troupe.v1.intent.b@d", "{}".into()).await.unwrap();
    let words = ["שלום عالم", "🦀🎭", "日本語のメッセージ", "Ünïcödé"];
    for word in words {
        raw.publish(subject, json!({ "subject": word, "body": word }).to_string().into())
            .await
            .unwrap();
    }
    let mut heard = Vec::new();
    while heard.len() < words.len() {
        for delivered in bob.wait().await {
            heard.push(delivered.message.subject.clone());
            bob.ack(&delivered).await;
        }
    }
    assert_eq!(heard, words);
    let dead = bob.dead().await;
    assert_eq!(dead.len(), bad.len());
    assert!(dead.iter().all(|letter| letter.reason == DeadReason::Invalid));
    let mut told = 0;
    while told < bad.len() {
        let words = ann.wait().await;
        assert!(words.iter().all(|told| told.message.kind == MessageType::Error));
        told += words.len();
        for word in &words {
            ann.ack(word).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_is_who_the_subject_says() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let fault = ann.refused(json!({"recipient_id": "bob", "sender_id": "eve"})).await;
    assert_eq!(
        (fault.code, &fault.details["field"]),
        (Code::PermissionDenied, &json!("sender_id"))
    );
    ann.send(json!({"id": "m1", "recipient_id": "bob", "sender_id": "ann"})).await;
    // A mailbox is its caller's: nobody else can read or end what is in it.
    let eve = stage.agent("eve").await;
    assert!(eve.pull().await.is_empty());
    let bob = stage.agent("bob").await;
    let got = bob.wait().await.remove(0);
    assert_eq!(eve.ack(&got).await, AckEffect::Unknown);
    assert_eq!(bob.ack(&got).await, AckEffect::Done);
    assert_eq!(ids(&bob.pull().await), Vec::<&str>::new());
}

fn async_nats_jetstream(client: &async_nats::Client) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(client.clone())
}
