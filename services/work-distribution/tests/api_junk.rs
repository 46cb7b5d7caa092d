//! Malformed and hostile input on every endpoint of the registry and of work distribution: each piece
//! gets a clear fault, and the next good request is served.
//!
//! Requests are made from each endpoint's own schema: an instance that is nearly right, with one
//! place replaced by junk, so that the junk reaches deep fields and the fault must name them.

mod fleet;

use std::collections::BTreeSet;

use fleet::{Fleet, PATIENCE, declaration, done, hold, name, sized, task};
use troupe_bus::Bus;
use troupe_contract::batch::{BatchCall, BatchRequest};
use troupe_contract::registry::*;
use troupe_contract::work::*;
use troupe_contract::{Endpoint, Service};
use troupe_domain::evidence::Verification;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{AgentStatus, Json};
use troupe_testkit::eventually;
use troupe_testkit::hostile::{Chance, Hostile, Wire, junk};

/// The endpoints of the services that run here are called.
fn hostile(nats: &troupe_testkit::NatsServer) -> Hostile<'_> {
    // One junk in a scaled-down run stands for ten.
    Hostile { nats, services: &[Service::Registry, Service::Work], one_in: sized(1, 10) }
}

/// Calls `E` with a request that must be served.
async fn good<E: Endpoint>(
    bus: &Bus,
    request: E::Request,
    called: &mut BTreeSet<String>,
) -> E::Reply {
    let name = format!("{}.{}", E::SERVICE.token(), E::OPERATION);
    let reply = bus.call::<E>(&request).await;
    let reply = reply.unwrap_or_else(|fault| panic!("a good {name} is refused: {fault}"));
    called.insert(name);
    reply
}

/// Every endpoint, called as it is meant to be called. Gives the operations.
async fn whole_life(nats: &troupe_testkit::NatsServer, round: usize) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let ann = fleet::connect(nats, &format!("good-{round}")).await;
    let bob = fleet::connect(nats, &format!("judge-{round}")).await;
    let me = || AgentRef { agent_id: ann.name().clone() };
    let c = &mut called;
    good::<Register>(&ann, declaration("good", &["rust:0.9"]), c).await;
    good::<Register>(&bob, declaration("judge", &[]), c).await;
    good::<Heartbeat>(&ann, HeartbeatRequest::default(), c).await;
    good::<GetAgent>(&ann, me(), c).await;
    good::<ListAgents>(&ann, ListAgentsRequest::default(), c).await;
    good::<Discover>(&ann, DiscoveryFilter::default(), c).await;
    let find =
        FindByCapabilityRequest { capability: name("rust"), min_proficiency: 0.5, limit: None };
    good::<FindByCapability>(&ann, find, c).await;
    good::<Children>(&ann, me(), c).await;
    let busy = UpdateStatusRequest { status: AgentStatus::Busy, reason: None };
    good::<UpdateStatus>(&ann, busy, c).await;
    good::<RegistryStats>(&ann, Empty {}, c).await;
    let who = LivenessRequest { agent_ids: vec![ann.name().clone()] };
    good::<Liveness>(&ann, who, c).await;

    let mine = |title: &str| TaskSpec { required_role: Some(name("good")), ..task(title) };
    let checked = TaskSpec { verification: Some(Verification::default()), ..mine("checked") };
    let checked = good::<Create>(&ann, checked, c).await.task_id;
    let claim = |id| ClaimRequest { task_id: id, expected_epoch: None };
    let claimed = good::<Claim>(&ann, claim(checked), c).await.task.unwrap();
    let held = hold(&claimed);
    good::<Start>(&ann, held.clone(), c).await;
    let HoldRequest { task_id, epoch } = held.clone();
    let more =
        ExtendRequest { task_id: task_id.clone(), epoch, lease_ms: None, progress_percent: None };
    good::<Extend>(&ann, more, c).await;
    good::<Complete>(&ann, done(&held, "good"), c).await;
    let verdict = VerifyRequest {
        task_id: task_id.clone(),
        epoch,
        accept: true,
        reason: String::new(),
        evidence: Vec::new(),
    };
    good::<Verify>(&bob, verdict, c).await;
    let read = good::<GetTask>(&ann, TaskRef { task_id }, c).await.task;
    assert_eq!(read.status, troupe_domain::TaskStatus::Completed);

    let graph = GraphSpec {
        tasks: vec![TaskSpec { key: Some(name("only")), ..mine("graph") }],
        idempotency_key: None,
    };
    good::<CreateGraph>(&ann, graph, c).await;
    good::<Available>(&ann, AvailableRequest::default(), c).await;
    let claimed = good::<Next>(&ann, NextRequest::waiting(0), c).await.task.unwrap();
    let HoldRequest { task_id, epoch } = hold(&claimed);
    good::<Release>(&ann, ReleaseRequest { task_id, epoch, reason: String::new() }, c).await;
    let doomed = good::<Create>(&ann, mine("doomed"), c).await.task_id;
    let claimed = good::<Claim>(&ann, claim(doomed.clone()), c).await.task.unwrap();
    good::<Fail>(&ann, fleet::failed(&hold(&claimed), false), c).await;
    let revive = ReviveRequest { task_id: doomed.clone(), reason: String::new() };
    good::<Revive>(&ann, revive, c).await;
    let cancel = CancelRequest { task_id: doomed, reason: String::new() };
    good::<Cancel>(&ann, cancel, c).await;
    good::<ListTasks>(&ann, TaskFilter::default(), c).await;
    good::<Recommend>(&ann, RecommendRequest::default(), c).await;
    good::<WorkStats>(&ann, Empty {}, c).await;
    let calls = serde_json::json!({"calls": [{"operation": "stats", "request": {}}]});
    let answers = good::<WorkBatch>(&ann, serde_json::from_value(calls).unwrap(), c).await.answers;
    assert_eq!(answers.len(), 1);
    let call = BatchCall {
        operation: "create".to_owned(),
        request: Json::of(&mine("in company")).unwrap(),
        command_id: None,
        deadline_ms: None,
        trace: None,
    };
    good::<WorkBatch>(&ann, BatchRequest { calls: vec![call] }, c).await;
    good::<Deregister>(&ann, DeregisterAgent::default(), c).await;
    called
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_in_any_field_of_any_endpoint_gets_a_fault_that_names_it() {
    let fleet = Fleet::start().await;
    let hostile = hostile(&fleet.nats);
    let serves = async |round| assert_eq!(whole_life(&fleet.nats, round).await, hostile.names());
    hostile.put_junk_in_every_field(serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_requests_get_a_clear_fault() {
    let fleet = Fleet::start().await;
    hostile(&fleet.nats).send_what_is_no_request().await;
    whole_life(&fleet.nats, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_headers_callers_and_silence_do_no_harm() {
    let fleet = Fleet::start().await;
    let serves = async |round| {
        whole_life(&fleet.nats, round).await;
    };
    hostile(&fleet.nats).misuse_headers_and_names(serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_between_services_does_no_harm() {
    let fleet = Fleet::start().await;
    let mut wire = Wire::connect(&fleet.nats).await;
    let mut chance = Chance(7);
    let subjects = [
        "troupe.v1.internal.work.presence",
        "troupe.v1.internal.work.ready",
        "troupe.v1.internal.work.shard.0",
        "troupe.v1.internal.registry.presence",
        "troupe.v1.event.agent.agent_crashed",
        "troupe.v1.event.agent.x",
        "$SRV.STATS.troupe-work-distribution.nobody",
    ];
    for subject in subjects {
        for body in junk::bodies(&mut chance) {
            wire.publish(subject, None, &[], &body).await;
        }
    }
    let answer = wire.ask("troupe.v1.internal.work.shard.0", &[], b"{").await;
    assert_eq!(answer.code(), "invalid_argument");
    whole_life(&fleet.nats, 0).await;
}

/// A header block that breaks the protocol: the client library of the services gives the connection
/// up and makes it anew. That costs a moment, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_blocks_that_break_the_protocol_are_survived() {
    let fleet = Fleet::start().await;
    for (round, head) in
        ["NATS/1.0\r\nno colon\r\n\r\n", "NATS/1.0\r\ny z: 1\r\n\r\n", "NATS/9\r\n\r\n"]
            .into_iter()
            .enumerate()
    {
        for operation in ["work.create", "registry.heartbeat"] {
            let mut wire = Wire::connect(&fleet.nats).await;
            wire.publish_raw(&format!("troupe.v1.{operation}.hostile"), head.as_bytes(), b"{}")
                .await;
        }
        eventually("the services to be back", PATIENCE, || async {
            let registry = fleet.operator.call::<RegistryStats>(&Empty {}).await;
            let work = fleet.operator.call::<WorkStats>(&Empty {}).await;
            (registry.is_ok() && work.is_ok()).then_some(())
        })
        .await;
        whole_life(&fleet.nats, round).await;
    }
}
