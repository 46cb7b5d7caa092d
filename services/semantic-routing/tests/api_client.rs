//! The SDK against the real service: mailboxes that renew, requests and their responses, conversations.

mod stage;

use std::time::Duration;

use serde_json::json;
use stage::{PATIENCE, Stage, name};
use troupe_client::{Conversation, HeldMessage, Mailbox, MailboxSettings, Troupe};
use troupe_contract::routing::SessionSpec;
use troupe_domain::message::MessageSpec;
use troupe_domain::session::SessionOutcome;
use troupe_domain::{Code, Json, MessageClass, MessageType};

async fn troupe(stage: &Stage, as_whom: &str) -> Troupe {
    Troupe::over(stage.bus(as_whom).await)
}

fn to(whom: &str, body: &str) -> MessageSpec {
    MessageSpec {
        recipient_id: Some(name(whom)),
        body: Some(Json::text(body)),
        ..MessageSpec::default()
    }
}

/// Messages that must be renewed more often than a test is long.
fn short() -> MailboxSettings {
    MailboxSettings { ack_wait: Duration::from_millis(300), ..MailboxSettings::default() }
}

async fn next(mailbox: &mut Mailbox) -> HeldMessage {
    tokio::time::timeout(PATIENCE, mailbox.next()).await.expect("in time").unwrap()
}

fn body(held: &HeldMessage) -> String {
    held.message().body.as_ref().unwrap().parse().unwrap()
}

#[tokio::test]
async fn api_a_message_in_hand_is_renewed_and_one_that_was_dropped_comes_again() {
    let stage = Stage::start().await;
    let (ann, bob) = (troupe(&stage, "ann").await, troupe(&stage, "bob").await);
    ann.send(to("bob", "hold me")).await.unwrap();
    let mut mailbox = bob.mailbox(short());
    let held = next(&mut mailbox).await;
    assert_eq!((body(&held).as_str(), held.attempt()), ("hold me", 1));
    // Much longer than it would be out without renewal, nobody else of this name gets it.
    let other = stage.agent("bob").await;
    assert_eq!(other.poll(json!({ "wait_ms": 1_500 })).await.len(), 0);
    drop(held);
    let again = next(&mut mailbox).await;
    assert_eq!((body(&again).as_str(), again.attempt()), ("hold me", 2));
    again.acknowledge().await.unwrap();
    // A word that arrived, and whose answer was lost, can be said again.
    again.acknowledge().await.unwrap();
    assert_eq!(again.retry("no").await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn api_what_was_taken_back_is_told_to_who_had_it() {
    let stage = Stage::start().await;
    let (ann, bob) = (troupe(&stage, "ann").await, troupe(&stage, "bob").await);
    ann.send(to("bob", "mine")).await.unwrap();
    let mut mailbox = bob.mailbox(short());
    let held = next(&mut mailbox).await;
    let elsewhere = stage.agent("bob").await;
    let again = json!({ "outcome": "retry", "reason": "said behind its back" });
    elsewhere.end(held.delivered(), again).await;
    let why = tokio::time::timeout(PATIENCE, held.lost()).await.expect("it is told");
    assert!(why.contains("over") || why.contains("again"), "{why}");
    assert_eq!(held.read().await.unwrap_err().code, Code::StaleEpoch);
}

#[tokio::test]
async fn api_a_request_gets_its_response_past_a_mailbox_that_is_read() {
    let stage = Stage::start().await;
    let (ann, bob) = (troupe(&stage, "ann").await, troupe(&stage, "bob").await);
    let answering = tokio::spawn(async move {
        let mut mailbox = bob.mailbox(MailboxSettings::default());
        let held = next(&mut mailbox).await;
        let first = held.respond(Some(Json::text("four"))).await.unwrap();
        // Interrupted before it knew, it answers again: once.
        let second = held.respond(Some(Json::text("five"))).await.unwrap();
        (first.duplicate, second.duplicate)
    });
    // The same connection reads all that comes, meanwhile.
    let reader = ann.clone();
    let reading = tokio::spawn(async move {
        let mut mailbox = reader.mailbox(MailboxSettings::default());
        body(&next(&mut mailbox).await)
    });
    let response = ann.request(to("bob", "two and two?")).await.unwrap();
    assert_eq!(response.body, Some(Json::text("four")));
    assert_eq!(response.kind, MessageType::Response);
    assert_eq!(answering.await.unwrap(), (false, true));
    let cat = troupe(&stage, "cat").await;
    cat.send(to("ann", "for the reader")).await.unwrap();
    assert_eq!(reading.await.unwrap(), "for the reader");
}

#[tokio::test]
async fn api_a_request_without_a_response_says_why() {
    let stage = Stage::start().await;
    let (ann, bob) = (troupe(&stage, "ann").await, troupe(&stage, "bob").await);
    let late = MessageSpec { timeout_ms: Some(500), ..to("bob", "quick!") };
    assert_eq!(ann.request(late).await.unwrap_err().code, Code::DeadlineExceeded);
    let refusing = tokio::spawn(async move {
        let mut mailbox = bob.mailbox(MailboxSettings::default());
        let held = next(&mut mailbox).await;
        held.reject("not my job").await.unwrap();
    });
    let fault = ann.request(to("bob", "please")).await.unwrap_err();
    assert_eq!((fault.code, fault.message.as_str()), (Code::FailedPrecondition, "not my job"));
    assert_eq!(fault.details["reason"], "rejected");
    refusing.await.unwrap();
}

#[tokio::test]
async fn api_a_conversation_keeps_the_clock() {
    let stage = Stage::start().await;
    let (ann, bob) = (troupe(&stage, "ann").await, troupe(&stage, "bob").await);
    let spec: SessionSpec =
        serde_json::from_value(json!({ "type": "planning", "participants": ["bob"] })).unwrap();
    let mut hers = Conversation::open(&ann, spec).await.unwrap();
    let mut his = Conversation::resume(&bob, hers.session().id.clone()).await.unwrap();
    let class = MessageClass::Planning;
    hers.say(class, "", Some(Json::text("first"))).await.unwrap();
    let mut mailbox = bob.mailbox(MailboxSettings::default());
    loop {
        let held = next(&mut mailbox).await;
        assert!(his.hear(held.message()).unwrap());
        held.acknowledge().await.unwrap();
        if held.message().vector_clock.is_some() {
            break;
        }
    }
    assert_eq!(his.clock().get(&name("ann")), 1);
    his.say(class, "", Some(Json::text("second"))).await.unwrap();
    let clock = his.clock().clone();
    assert_eq!((clock.get(&name("ann")), clock.get(&name("bob"))), (1, 1));
    // What she reads counts as seen, so that her next turn comes after it.
    let page = hers.transcript(None, None).await.unwrap();
    assert!(page.total >= 2 && hers.clock().covers(&clock), "{page:?}");
    hers.say(class, "", Some(Json::text("third"))).await.unwrap();
    assert_eq!(hers.clock().get(&name("ann")), 2);
    let ended = hers.close(SessionOutcome::Agreed, "done").await.unwrap();
    assert_eq!((ended.turns, ended.end.unwrap().outcome), (3, SessionOutcome::Agreed));
    let refused = his.say(class, "", None).await.unwrap_err();
    assert_eq!(refused.code, Code::FailedPrecondition);
}
