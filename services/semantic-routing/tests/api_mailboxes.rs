//! Mailboxes over the bus: what is sent is there when its recipient comes, in order, once, with an end.

mod stage;

use serde_json::json;
use stage::{Stage, ids};
use troupe_contract::routing::*;
use troupe_domain::message::DeliveryStatus;

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
