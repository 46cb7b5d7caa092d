//! Malformed and hostile input on every endpoint of plan sync: each piece gets a clear fault or an
//! answer, changes nothing that it should not, and the next good request is served.

mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use stage::{Agent, OwnCopy, Stage, bring, call, name, sized};
use troupe_contract::plan::*;
use troupe_contract::{Endpoint, Service};
use troupe_crdt::edit::PlanChange;
use troupe_crdt::{Edit, NewItem as CopyItem, SignedBatch};
use troupe_testkit::hostile::{Chance, Hostile, Wire, check_fault, junk};

fn hostile(stage: &Stage) -> Hostile<'_> {
    // One junk in a scaled-down run stands for twenty.
    Hostile { nats: &stage.nats, services: &[Service::Plan], one_in: sized(1, 20) }
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
    let plan = format!("life-{round}");
    let of = |mut more: Value| {
        more["plan_id"] = json!(plan);
        more
    };
    let items = json!([{"item_id": "a", "title": "a"}, {"item_id": "b", "title": "b"}]);
    good::<CreatePlan>(&ann, of(json!({"name": "A life", "items": items})), c).await;
    good::<UpdatePlan>(&ann, of(json!({"description": "long"})), c).await;
    good::<AddItem>(&ann, of(json!({"item": {"item_id": "c", "title": "c"}})), c).await;
    let change = json!({"item_id": "a", "change": {"progress": 5}});
    good::<UpdateItem>(&ann, of(change.clone()), c).await;
    good::<MoveItem>(&ann, of(json!({"item_id": "b", "parent_id": "a"})), c).await;
    good::<ReorderItems>(&ann, of(json!({"item_ids": ["c", "a"]})), c).await;
    good::<AssignItem>(&ann, of(json!({"item_id": "a", "assigned_to": "bob"})), c).await;
    good::<UpdateStatus>(&ann, of(json!({"item_id": "a", "status": "blocked"})), c).await;
    good::<AddNote>(&ann, of(json!({"item_id": "a", "text": "why"})), c).await;
    good::<BulkUpdate>(&ann, of(json!({"changes": [change]})), c).await;
    good::<DeleteItem>(&ann, of(json!({"item_id": "c"})), c).await;
    let mut own = OwnCopy::new(ann.bus.name().clone(), &plan);
    own.pull(&ann.bus).await;
    let titled = |title: &str| {
        let change = troupe_crdt::ItemChange {
            title: Some(title.to_owned()),
            ..troupe_crdt::ItemChange::default()
        };
        Edit::UpdateItem { item: name("a"), change, rests_on: None }
    };
    let batch = own.edit(&[titled("mine")]);
    // Somebody else meanwhile: a conflict to be decided.
    let theirs = json!({"item_id": "a", "change": {"title": "theirs"}});
    good::<UpdateItem>(&ann, of(theirs), c).await;
    let bytes = json!([Bytes64(batch.shared_bytes())]);
    good::<Apply>(&ann, json!({ "batches": bytes }), c).await;
    let found = good::<Conflicts>(&ann, of(json!({})), c).await.conflicts;
    let decision = json!({"conflict_id": found[0].id, "choice": {"keep_winner": {}}});
    good::<Resolve>(&ann, of(decision), c).await;
    good::<Sync>(&ann, json!({"object_id": plan, "vector": {}}), c).await;
    good::<Snapshot>(&ann, json!({ "object_id": plan }), c).await;
    let digest = json!({"object_id": plan, "vector": {}, "state_hash": ""});
    good::<Digest>(&ann, digest, c).await;
    good::<GetPlan>(&ann, of(json!({})), c).await;
    good::<ListPlans>(&ann, json!({}), c).await;
    good::<History>(&ann, of(json!({})), c).await;
    good::<Forks>(&ann, json!({ "object_id": plan }), c).await;
    good::<Dispatch>(&ann, of(json!({})), c).await;
    let object = format!("count-{round}");
    let more =
        json!({"object_id": object, "kind": "g_counter", "change": {"increment": {"by": 1}}});
    good::<ObjectUpdate>(&ann, more, c).await;
    good::<ObjectGet>(&ann, json!({ "object_id": object }), c).await;
    good::<PlanStats>(&ann, json!({}), c).await;
    let note =
        json!({"operation": "add_note", "request": of(json!({"item_id": "a", "text": "b"}))});
    good::<PlanBatch>(&ann, json!({ "calls": [note] }), c).await;
    good::<DeletePlan>(&ann, of(json!({})), c).await;
    called
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_in_any_field_of_any_endpoint_gets_a_fault_that_names_it() {
    let stage = Stage::start().await;
    let hostile = hostile(&stage);
    let serves = async |round| assert_eq!(whole_life(&stage, round).await, hostile.names());
    hostile.put_junk_in_every_field(serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_requests_get_a_clear_fault() {
    let stage = Stage::start().await;
    hostile(&stage).send_what_is_no_request().await;
    whole_life(&stage, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_headers_callers_and_silence_do_no_harm() {
    let stage = Stage::start().await;
    let serves = async |round| {
        whole_life(&stage, round).await;
    };
    hostile(&stage).misuse_headers_and_names(serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_between_replicas_and_among_events_does_no_harm() {
    let stage = Stage::start().await;
    let mut wire = Wire::connect(&stage.nats).await;
    let mut chance = Chance(7);
    for subject in [
        "troupe.v1.internal.plan.presence",
        "troupe.v1.internal.plan.shard.0",
        "troupe.v1.event.task.task_completed",
        "troupe.v1.object.p.batch",
        "troupe.v1.object.p.peer.eve",
    ] {
        for body in junk::bodies(&mut chance) {
            wire.publish(subject, None, &[], &body).await;
        }
    }
    let answer = wire.ask("troupe.v1.internal.plan.shard.0", &[], b"{").await;
    assert_eq!(answer.code(), "invalid_argument");
    whole_life(&stage, 0).await;
}

/// Batches that were signed as they should be, with one byte changed, cut short, or made longer: each is
/// refused, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_with_any_byte_changed_are_refused_and_change_nothing() {
    let stage = Stage::start().await;
    let eve = stage.agent("eve").await;
    let mut own = eve.copy_of("p");
    let made = PlanChange { name: Some("Shared".to_owned()), ..PlanChange::default() };
    let first = own.edit(&[Edit::CreatePlan(made)]);
    bring(&eve.bus, &[first]).await.unwrap();
    let new = CopyItem { title: "An item".to_owned(), ..CopyItem::default() };
    let next: Arc<SignedBatch> = own.edit(&[Edit::AddItem { item: name("a"), new }]);
    let before = eve.get("p").await;
    let whole = next.bytes().to_vec();
    let step = sized(1, 7);
    let mut bad: Vec<Vec<u8>> = Vec::new();
    for at in (0..whole.len()).step_by(step) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        bad.push(changed);
        bad.push(whole[..at].to_vec());
    }
    bad.push([whole.clone(), vec![0]].concat());
    bad.push(vec![0xff; 300 * 1024]);
    for bytes in bad {
        let request = json!({"batches": [Bytes64::from(bytes)]});
        match eve.call::<Apply>(request).await {
            Err(fault) => assert!(!fault.code.is_transient(), "{fault}"),
            Ok(reply) => assert!(reply.refused.is_some() && reply.results.is_empty(), "{reply:?}"),
        }
    }
    assert_eq!(eve.get("p").await, before);
    bring(&eve.bus, &[next]).await.unwrap();
    assert_eq!(eve.get("p").await.plan.items.len(), 1);
}

/// Texts of every kind, wherever people write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_texts_get_an_answer_or_a_clear_fault() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a"]).await;
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
        "🦀🎭👩‍👩‍👧‍👦",
        "日本語",
        "e\u{301}",
        "\u{feff}",
        "'; DROP TABLE",
        "../../etc",
        "\u{fffd}",
        &megabyte,
    ];
    for text in texts {
        for (operation, body) in [
            ("create", json!({ "name": text })),
            ("create", json!({"name": "x", "description": text})),
            ("create", json!({"plan_id": text, "name": "x"})),
            ("add_item", json!({"plan_id": "p", "item": {"title": text}})),
            ("add_item", json!({"plan_id": "p", "item": {"title": "x", "tags": [text]}})),
            ("add_note", json!({"plan_id": "p", "item_id": "a", "text": text})),
            (
                "update_status",
                json!({"plan_id": "p", "item_id": "a", "status": "blocked", "reason": text}),
            ),
            (
                "object_update",
                json!({"object_id": "m", "kind": "lww_map", "change": {"put": {"key": text, "value": text}}}),
            ),
            (
                "object_update",
                json!({"object_id": "s", "kind": "or_set", "change": {"add": {"member": text}}}),
            ),
            ("digest", json!({"object_id": "p", "vector": {}, "state_hash": text})),
        ] {
            let (at, body) = (format!("troupe.v1.plan.{operation}.hostile"), body.to_string());
            let answer = wire.ask(&at, &[], body.as_bytes()).await;
            check_fault(&at, body.as_bytes(), &answer);
        }
    }
    whole_life(&stage, 0).await;
}
