//! Malformed and hostile input on every endpoint of memory: each piece gets a clear fault or an answer,
//! and the next good request is served.

mod stage;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stage::*;
use troupe_bus::Bus;
use troupe_contract::memory::*;
use troupe_contract::{Endpoint, Service};
use troupe_testkit::hostile::Hostile;

fn hostile(stage: &Stage) -> Hostile<'_> {
    let full = std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1");
    // One junk in a scaled-down run stands for twenty.
    Hostile { nats: &stage.nats, services: &[Service::Memory], one_in: if full { 1 } else { 20 } }
}

async fn good<E: Endpoint>(bus: &Bus, request: Value, called: &mut BTreeSet<String>) -> E::Reply {
    let name = format!("{}.{}", E::SERVICE.token(), E::OPERATION);
    let reply = call::<E>(bus, request).await;
    let reply = reply.unwrap_or_else(|fault| panic!("a good {name} is refused: {fault}"));
    called.insert(name);
    reply
}

/// Every endpoint, called as it is meant to be called. Gives the operations.
async fn whole_life(stage: &Stage, round: usize) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let c = &mut called;
    let (ann, bob) =
        (stage.bus(&format!("good-{round}")).await, stage.bus(&format!("kind-{round}")).await);
    let admin = stage.bus("admin").await;
    let space = format!("life/{round}");
    let of = |mut more: Value| {
        more["namespace"] = json!(space);
        more
    };
    let note = of(json!({"content": "a life of its own", "type": "semantic", "tags": ["a"]}));
    let id = good::<CreateMemory>(&ann, note.clone(), c).await.id;
    good::<GetMemory>(&ann, json!({ "id": id }), c).await;
    good::<UpdateMemory>(&ann, json!({"id": id, "revision": 1, "importance": 0.9}), c).await;
    good::<VerifyMemory>(&bob, json!({ "id": id }), c).await;
    good::<SearchMemory>(&ann, of(json!({"query": "life"})), c).await;
    good::<ListMemories>(&ann, of(json!({})), c).await;
    good::<MemoryConflicts>(&ann, of(json!({})), c).await;
    let trace = json!({"task_id": "t", "iterations": [{"attempt": "once"}], "final_result": "done",
        "success": true, "duration_ms": 5});
    good::<CreateRefinementTrace>(&ann, of(trace), c).await;
    let votes = json!({"question": "why?", "votes": [{"voter": "a", "choice": "b"}]});
    good::<CreateConsensus>(&ann, of(votes), c).await;
    good::<SearchExpertConsensus>(&ann, of(json!({"query": "why"})), c).await;
    good::<SuggestMemories>(&ann, of(json!({"query": "stuck"})), c).await;
    let records = json!({"agents": ["good-0"], "query": "a life"});
    good::<TrackRecords>(&ann, records, c).await;
    let page = good::<ExportMemories>(&ann, of(json!({})), c).await;
    let import = json!({"memories": page.memories, "namespace": format!("copy/{round}")});
    good::<ImportMemories>(&ann, import, c).await;
    good::<PutQuota>(&admin, of(json!({"max_entries": 1_000})), c).await;
    good::<ListNamespaces>(&ann, json!({}), c).await;
    good::<MemoryStats>(&ann, json!({}), c).await;
    good::<RetractMemory>(&ann, of(json!({"id": id, "reason": "wrong"})), c).await;
    good::<DeleteMemory>(&ann, of(json!({ "id": id })), c).await;
    good::<GetDeletion>(&ann, of(json!({ "id": id })), c).await;
    let calls = json!({"calls": [{"operation": "create", "request": note}]});
    good::<MemoryBatch>(&ann, calls, c).await;
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
