//! Mailboxes over the bus: what is sent is there when its recipient comes, in order, once, with an end.

mod stage;

use serde_json::json;
use stage::{Agent, PATIENCE, Stage, ids, name, without_model};
use troupe_bus::CallOptions;
use troupe_contract::registry::{Empty, Heartbeat, Register};
use troupe_contract::routing::*;
use troupe_domain::message::DeliveryStatus;
use troupe_domain::{Code, MessageType};
use troupe_semantic_routing::Config;
use troupe_testkit::eventually;

/// Messages come back soon, so that a test sees it.
fn hasty() -> Config {
    Config { ack_wait_ms: 250, max_deliver: 2, ..without_model() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_away_finds_its_messages_in_order_and_acknowledges_them() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    for number in 0..10 {
        let id = format!("m{number}");
        let sent = ann
            .send(json!({"id": id, "recipient_id": "bob", "subject": "hi", "body": {"n": number}}))
            .await;
        assert_eq!((sent.status, sent.duplicate), (DeliveryStatus::Queued, false));
        assert_eq!(sent.message_id.as_str(), id);
    }
    let bob = stage.agent("bob").await;
    let got = bob.pull().await;
    let wanted: Vec<String> = (0..10).map(|number| format!("m{number}")).collect();
    assert_eq!(ids(&got), wanted);
    assert!(got.iter().all(|delivered| delivered.message.sender_id == *ann.id()));
    assert!(got.iter().all(|delivered| delivered.delivery_attempts == 1));
    let read = bob.result(&got[0], json!({"outcome": "read"})).await;
    assert_eq!((read.result, read.status), (AckEffect::Done, Some(DeliveryStatus::Read)));
    for delivered in &got {
        assert_eq!(bob.ack(delivered).await, AckEffect::Done);
        assert_eq!(bob.ack(delivered).await, AckEffect::Unknown, "done is done");
    }
    assert!(bob.pull().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_is_woken_by_what_comes_and_an_empty_one_ends() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    assert!(bob.poll(json!({"wait_ms": 50})).await.is_empty());
    let polling = tokio::spawn(async move { (bob.wait().await, bob) });
    eventually("the poll to wait", PATIENCE, || async {
        (stage.replicas[0].waiters().len() == 1).then_some(())
    })
    .await;
    ann.send(json!({"id": "m1", "recipient_id": "bob"})).await;
    let (got, bob) = polling.await.unwrap();
    assert_eq!(ids(&got), ["m1"]);
    // A drain ends polls, so that their agents ask somebody else.
    let polling = tokio::spawn(async move { bob.wait().await });
    eventually("the poll to wait", PATIENCE, || async {
        (stage.replicas[0].waiters().len() == 1).then_some(())
    })
    .await;
    let mut stage = stage;
    stage.replicas.remove(0).drain().await;
    assert!(polling.await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_is_one_message_and_a_repeated_command_gets_what_it_got() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    assert!(!ann.send(json!({"id": "x", "recipient_id": "bob", "body": 1})).await.duplicate);
    assert!(ann.send(json!({"id": "x", "recipient_id": "bob", "body": 2})).await.duplicate);
    // The idempotency key of the command is as good as an id.
    let spec = serde_json::from_value(json!({"recipient_id": "bob"})).unwrap();
    for again in [false, true] {
        for key in ["k1", "a key that is no name"] {
            let options =
                CallOptions { command_id: Some(key.to_owned()), ..CallOptions::within(PATIENCE) };
            let sent = ann.bus.call_with::<Send>(&spec, &options).await.unwrap();
            assert_eq!(sent.duplicate, again, "{key}");
        }
    }
    // A poll whose answer was lost, asked again under its key.
    let request = InboxRequest { max_messages: Some(10), ..InboxRequest::default() };
    let options = CallOptions { command_id: Some("p1".into()), ..CallOptions::within(PATIENCE) };
    let first = bob.bus.call_with::<Inbox>(&request, &options).await.unwrap().messages;
    let again = bob.bus.call_with::<Inbox>(&request, &options).await.unwrap().messages;
    assert_eq!(first.len(), 3);
    assert_eq!(ids(&first), ids(&again));
    assert!(again.iter().all(|delivered| delivered.delivery_attempts == 1));
    assert!(bob.pull().await.is_empty());
    for delivered in &first {
        bob.ack(delivered).await;
    }
    assert!(ann.send(json!({"id": "x", "recipient_id": "bob"})).await.duplicate, "for long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_urgent_comes_first_and_each_sender_keeps_its_order() {
    let stage = Stage::start().await;
    let bob = stage.agent("bob").await;
    let say = async |who: &Agent, id: &str, priority: &str| {
        who.send(json!({"id": id, "recipient_id": "bob", "priority": priority})).await;
    };
    let (ann, cat, dan) =
        (stage.agent("ann").await, stage.agent("cat").await, stage.agent("dan").await);
    say(&ann, "a1", "normal").await;
    say(&cat, "c1", "low").await;
    say(&dan, "d1", "high").await;
    say(&cat, "c2", "critical").await;
    assert_eq!(ids(&bob.pull().await), ["c1", "c2", "d1", "a1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_nobody_acknowledges_comes_back_and_then_is_a_dead_letter_with_its_reason() {
    let stage = Stage::with(hasty(), 1).await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    ann.pull().await;
    ann.send(json!({"id": "m1", "recipient_id": "bob"})).await;
    let first = bob.wait().await.remove(0);
    let second = bob.wait().await.remove(0);
    assert_eq!((first.delivery_attempts, second.delivery_attempts), (1, 2));
    assert_eq!(bob.ack(&first).await, AckEffect::Stale, "a former delivery writes nothing");
    eventually("a dead letter", PATIENCE, || async {
        bob.dead().await.first().filter(|letter| letter.reason == DeadReason::MaxDeliver).cloned()
    })
    .await;
    let told = ann.take_one().await.message;
    assert_eq!(
        (told.kind, told.sender_id.as_str()),
        (MessageType::Error, "troupe-semantic-routing")
    );
    let body = told.body.as_ref().unwrap().to_value();
    assert_eq!((&body["message_id"], &body["reason"]), (&json!("m1"), &json!("max_deliver")));

    ann.send(json!({"id": "m2", "recipient_id": "bob"})).await;
    let refused = bob.wait().await.remove(0);
    let fault = bob.call::<Ack>(json!({
        "outcome": "rejected",
        "messages": [{"message_id": "m2", "attempt": 1}],
    }));
    assert_eq!(fault.await.unwrap_err().details["field"], "reason");
    let how = json!({"outcome": "rejected", "reason": "not my trade"});
    assert_eq!(bob.end(&refused, how).await, AckEffect::Done);
    let dead = bob.dead().await;
    assert_eq!(
        (dead.len(), dead[1].reason, dead[1].why.as_str()),
        (2, DeadReason::Rejected, "not my trade")
    );
    assert_eq!(dead[1].message.as_ref().unwrap().id, name("m2"));
    ann.take_one().await;

    ann.send(json!({"id": "m3", "recipient_id": "bob", "expires_in_ms": 100})).await;
    eventually("the message to expire", PATIENCE, || async {
        let dead = bob.dead().await;
        dead.last().filter(|letter| letter.reason == DeadReason::Expired).cloned()
    })
    .await;
    let some = bob.call::<DeadLetters>(json!({"reasons": ["expired"]})).await.unwrap();
    assert_eq!(some.dead_letters.len(), 1);
    let page = bob.call::<DeadLetters>(json!({"limit": 2})).await.unwrap();
    assert_eq!((page.dead_letters.len(), page.total), (2, 3));
    let rest = json!({"after": page.next_after.unwrap()});
    assert_eq!(bob.call::<DeadLetters>(rest).await.unwrap().dead_letters.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_given_back_and_handed_on() {
    let stage = Stage::start().await;
    let (ann, bob, cat) =
        (stage.agent("ann").await, stage.agent("bob").await, stage.agent("cat").await);
    ann.send(json!({"id": "m1", "recipient_id": "bob"})).await;
    let first = bob.wait().await.remove(0);
    assert_eq!(bob.end(&first, json!({"outcome": "retry"})).await, AckEffect::Done);
    let again = bob.wait().await.remove(0);
    assert_eq!(again.delivery_attempts, 2);
    let on = json!({"outcome": "forwarded", "forward_to": "cat"});
    assert_eq!(bob.end(&again, on).await, AckEffect::Done);
    let got = cat.wait().await.remove(0);
    assert_eq!((got.message.sender_id.as_str(), got.delivery_attempts), ("ann", 1));
    assert_eq!(got.message.routing.path, [name("bob")]);
    let back = cat.result(&got, json!({"outcome": "forwarded", "forward_to": "bob"})).await;
    assert_eq!(back.result, AckEffect::Refused, "{back:?}");
    assert_eq!(cat.ack(&got).await, AckEffect::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_a_restart_and_counted() {
    let mut stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    for number in 0..20 {
        ann.send(json!({"id": format!("m{number}"), "recipient_id": "bob"})).await;
    }
    bob.call::<Subscribe>(json!({"patterns": ["news.>"]})).await.unwrap();
    let out = bob.poll(json!({"max_messages": 5})).await;
    stage.replicas.remove(0).drain().await;
    stage.add_replica().await;
    let stats = ann.bus.call::<RoutingStats>(&Empty {}).await.unwrap();
    assert_eq!((stats.queued, stats.delivered, stats.totals.accepted), (15, 5, 20));
    assert_eq!(stats.subscriptions, 1);
    for delivered in &out {
        assert_eq!(bob.ack(delivered).await, AckEffect::Done, "the hold outlives the replica");
    }
    let rest = bob.pull().await;
    assert_eq!(rest.len(), 15);
    assert_eq!(rest[0].message.id.as_str(), "m5");
    let counted = stage.bus("troupe-registry").await;
    let request = PendingRequest { agent_ids: vec![name("bob"), name("nobody"), name("bob")] };
    let pending = counted.call::<Pending>(&request).await.unwrap().pending;
    assert_eq!(pending, [15, 0, 15]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_refuse_by_name() {
    let config =
        Config { max_messages_per_mailbox: 2, max_patterns_per_mailbox: 2, ..without_model() };
    let stage = Stage::with(config, 1).await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    for number in 0..2 {
        ann.send(json!({"id": format!("m{number}"), "recipient_id": "bob"})).await;
    }
    let fault = ann.refused(json!({"recipient_id": "bob"})).await;
    assert_eq!(fault.code, Code::ResourceExhausted);
    assert_eq!(fault.details["limit"], "max_messages_per_mailbox");
    let fault = bob.call::<Subscribe>(json!({"patterns": ["a", "b", "c"]})).await.unwrap_err();
    assert_eq!(fault.details["limit"], "max_patterns_per_mailbox");
    let many: Vec<String> = (0..300).map(|number| format!("t{number}")).collect();
    for fault in [
        bob.call::<Subscribe>(json!({ "patterns": many })).await.unwrap_err(),
        bob.call::<Unsubscribe>(json!({ "patterns": many })).await.unwrap_err(),
    ] {
        assert_eq!(fault.details["limit"], "MAX_FILTER_NAMES");
    }
    for (request, field) in [
        (json!({"max_messages": 0}), "max_messages"),
        (json!({"max_messages": 257}), "max_messages"),
        (json!({"wait_ms": 60_001}), "wait_ms"),
        (json!({"ack_wait_ms": 1}), "ack_wait_ms"),
        (json!({"request_id": "r", "without_answers": true}), "without_answers"),
    ] {
        let fault = bob.call::<Inbox>(request.clone()).await.unwrap_err();
        assert_eq!((fault.code, &fault.details["field"]), (Code::InvalidArgument, &json!(field)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_counts_what_waits_and_goes_without_where_nobody_counts() {
    let mut stage = Stage::start().await;
    let bus = stage.bus("troupe-registry").await;
    let settings = troupe_registry::Config::default().settings();
    let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    bob.call::<Register>(json!({"role": "implementer"})).await.unwrap();
    let beat = async || bob.call::<Heartbeat>(json!({})).await.unwrap().pending_messages;
    assert_eq!(beat().await, Some(0));
    for number in 0..3 {
        ann.send(json!({"id": format!("m{number}"), "recipient_id": "bob"})).await;
    }
    assert_eq!(beat().await, Some(3));
    bob.take_one().await;
    assert_eq!(beat().await, Some(2));
    stage.replicas.remove(0).drain().await;
    assert_eq!(beat().await, None);
    stage.add_replica().await;
    eventually("the count to come back", PATIENCE, || async {
        (beat().await == Some(2)).then_some(())
    })
    .await;
    registry.drain().await;
}
