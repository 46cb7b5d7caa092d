//! Malformed and hostile input on every endpoint: each piece gets a clear fault or an answer, and the
//! next good request is served.

mod stage;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stage::{Stage, call, sized, take};
use troupe_bus::Bus;
use troupe_contract::progress::*;
use troupe_contract::{Endpoint, Service};
use troupe_testkit::hostile::{Chance, Hostile, Wire, junk};

fn hostile(stage: &Stage) -> Hostile<'_> {
    // One junk in a scaled-down run stands for twenty.
    Hostile { nats: &stage.nats, services: &[Service::Progress], one_in: sized(1, 20) }
}

async fn good<E: Endpoint>(by: &Bus, request: Value, called: &mut BTreeSet<String>) -> E::Reply {
    let name = format!("{}.{}", E::SERVICE.token(), E::OPERATION);
    let reply = call::<E>(by, request).await;
    let reply = reply.unwrap_or_else(|fault| panic!("a good {name} is refused: {fault}"));
    called.insert(name);
    reply
}

/// Every endpoint, called as it is meant to be called. Gives the operations.
async fn whole_life(stage: &Stage, round: usize) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let c = &mut called;
    let ann = stage.agent(&format!("good-{round}")).await;
    let graph = stage.graph(&[("a", &[])]).await;
    let claimed = take(&ann).await;
    let task = json!({ "task_id": claimed.task.id });
    let report = json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch, "percentage": 5});
    good::<Report>(&ann, report.clone(), c).await;
    let calls = json!({"calls": [{"operation": "report", "request": report}]});
    good::<ProgressBatch>(&ann, calls, c).await;
    good::<Latest>(&ann, task.clone(), c).await;
    good::<History>(&ann, task, c).await;
    let over = json!({ "graph_id": graph.graph_id });
    good::<Summary>(&ann, over.clone(), c).await;
    good::<Bottlenecks>(&ann, over.clone(), c).await;
    good::<Estimate>(&ann, over, c).await;
    good::<AgentSummary>(&ann, json!({}), c).await;
    good::<Stalled>(&ann, json!({}), c).await;
    good::<ProgressStats>(&ann, json!({}), c).await;
    let id = format!("m-{round}");
    let spec = json!({"id": id, "name": "M", "required_task_ids": [claimed.task.id]});
    good::<MilestoneCreate>(&ann, spec, c).await;
    good::<MilestoneUpdate>(&ann, json!({"milestone_id": id, "tags": ["x"]}), c).await;
    good::<MilestoneGet>(&ann, json!({ "milestone_id": id }), c).await;
    good::<MilestoneList>(&ann, json!({}), c).await;
    stage::complete(&ann, &claimed).await;
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
async fn junk_between_replicas_and_among_the_events_does_no_harm() {
    let stage = Stage::start().await;
    let mut wire = Wire::connect(&stage.nats).await;
    let mut chance = Chance(7);
    let subjects = [
        "troupe.v1.internal.progress.presence",
        "troupe.v1.internal.progress.shard.0",
        "troupe.v1.event.task.x.task_completed",
        "troupe.v1.event.task.x.y",
    ];
    for subject in subjects {
        for body in junk::bodies(&mut chance) {
            wire.publish(subject, None, &[], &body).await;
        }
    }
    // An event of a task that does not exist.
    let lie = json!({"event": "task_completed", "task_id": "none", "status": "completed",
        "epoch": 1, "at": "2026-01-01T00:00:00Z"});
    let lie = lie.to_string();
    wire.publish("troupe.v1.event.task.none.task_completed", None, &[], lie.as_bytes()).await;
    let answer = wire.ask("troupe.v1.internal.progress.shard.0", &[], b"{").await;
    assert_eq!(answer.code(), "invalid_argument");
    whole_life(&stage, 0).await;
}
