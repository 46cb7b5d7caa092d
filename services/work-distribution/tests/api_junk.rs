//! Malformed and hostile input on every endpoint of the registry and of work distribution: each piece
//! gets a clear fault, and the next good request is served.
//!
//! Requests are made from each endpoint's own schema: an instance that is nearly right, with one
//! place replaced by junk, so that the junk reaches deep fields and the fault must name them.

mod fleet;
mod junk;

use std::collections::BTreeSet;

use fleet::wire::{Answer, Wire};
use fleet::worker::Chance;
use fleet::{Fleet, PATIENCE, declaration, done, hold, name, sized, task};
use junk::{Requests, Site};
use serde_json::Value;
use troupe_bus::Bus;
use troupe_contract::endpoint::EndpointEntry;
use troupe_contract::registry::*;
use troupe_contract::work::*;
use troupe_contract::{Endpoint, Service, catalogue};
use troupe_domain::evidence::Verification;
use troupe_domain::limits::MAX_MESSAGE_BYTES;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{AgentStatus, Code};
use troupe_testkit::eventually;

/// What a caller can be told about its own mistakes.
const CALLERS_FAULTS: [&str; 8] = [
    "invalid_argument",
    "not_found",
    "already_exists",
    "conflict",
    "stale_epoch",
    "failed_precondition",
    "permission_denied",
    "resource_exhausted",
];

/// One junk in a scaled-down run stands for this many.
const SCALE: usize = 10;

fn subject(service: &str, operation: &str, caller: &str) -> String {
    format!("troupe.v1.{service}.{operation}.{caller}")
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned()
}

/// The fault is the caller's, and says what is wrong and where.
fn check_fault(what: &str, body: &[u8], answer: &Answer) -> String {
    let code = answer.code();
    if code == "ok" {
        return code;
    }
    let fault = answer.json();
    let told = format!("{what}: {fault}\n{}", shown(body));
    assert!(CALLERS_FAULTS.contains(&code.as_str()), "{told}");
    assert!(fault["message"].as_str().is_some_and(|text| text.len() > 5), "{told}");
    let numeric = Code::ALL.iter().find(|known| known.as_str() == code).unwrap().http();
    assert!(answer.headers.contains(&format!("Nats-Service-Error-Code: {numeric}")), "{told}");
    if code == "invalid_argument" {
        assert!(
            fault["details"]["field"].as_str().is_some_and(|field| !field.is_empty()),
            "{told}"
        );
    }
    code
}

/// The first word of a path: `tasks[0].title` and `tasks` both begin with `tasks`.
fn root(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// The endpoints of the services that run here.
fn served() -> impl Iterator<Item = &'static EndpointEntry> {
    let here = [Service::Registry, Service::Work];
    catalogue::endpoints().filter(move |entry| here.contains(&entry.service))
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
    good::<Deregister>(&ann, DeregisterAgent::default(), c).await;
    called
}

/// What is wrong with an instance that has the right form, one field after the other: its parts were
/// not made to go together.
async fn complaints(wire: &mut Wire, at: &str, mut instance: Value) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    loop {
        let answer = wire.ask(at, &[], instance.to_string().as_bytes()).await;
        if answer.code() != "invalid_argument" {
            return named;
        }
        let field = answer.json()["details"]["field"].as_str().unwrap().to_owned();
        let field = root(&field).to_owned();
        let gone = instance.as_object_mut().and_then(|fields| fields.remove(&field));
        named.insert(field);
        if gone.is_none() {
            return named;
        }
    }
}

/// Junk in the place of one field.
async fn junk_in_place(
    wire: &mut Wire,
    at: &str,
    whole: &BTreeSet<String>,
    site: &Site,
    junk: &str,
) {
    let body = site.with(junk);
    let answer = wire.ask(at, &[], body.as_bytes()).await;
    let what = format!("{at} with {} in the place of {}", &junk[..junk.len().min(60)], site.path);
    let code = check_fault(&what, body.as_bytes(), &answer);
    if code != "invalid_argument" {
        return;
    }
    let field = answer.json()["details"]["field"].as_str().unwrap_or_default().to_owned();
    let is_json = serde_json::from_str::<Value>(&body).is_ok();
    let named = root(&field) == root(&site.path)
        || whole.contains(root(&field))
        || (field == "body" && !is_json);
    assert!(named, "{what}: the fault names {field}: {}", answer.json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_in_any_field_of_any_endpoint_gets_a_fault_that_names_it() {
    let fleet = Fleet::start().await;
    let mut wire = Wire::connect(&fleet.nats).await;
    let requests = Requests::read();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (mut chance, mut sent) = (Chance(seed), 0);
    let everything: BTreeSet<String> =
        served().map(|e| format!("{}.{}", e.service.token(), e.operation)).collect();
    for (round, entry) in served().enumerate() {
        let (service, operation) = (entry.service.token(), entry.operation);
        let at = subject(service, operation, "hostile");
        for variant in 0..3 {
            let instance = requests.instance(service, operation, variant);
            let plain = wire.ask(&at, &[], instance.to_string().as_bytes()).await;
            check_fault(&at, instance.to_string().as_bytes(), &plain);
            let whole = complaints(&mut wire, &at, instance.clone()).await;
            for site in junk::sites(&instance) {
                for junk in junk::values() {
                    if sized(0, 1) == 1 && chance.below(SCALE) != 0 {
                        continue;
                    }
                    junk_in_place(&mut wire, &at, &whole, &site, &junk).await;
                    sent += 1;
                }
            }
        }
        assert_eq!(whole_life(&fleet.nats, round).await, everything);
    }
    println!("{sent} requests with junk in one field");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_requests_get_a_clear_fault() {
    let fleet = Fleet::start().await;
    let mut wire = Wire::connect(&fleet.nats).await;
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut chance = Chance(seed);
    for entry in served() {
        let at = subject(entry.service.token(), entry.operation, "hostile");
        for body in junk::bodies(&mut chance) {
            let answer = wire.ask(&at, &[], &body).await;
            let code = check_fault(&at, &body, &answer);
            let nothing = body.is_empty() || body.iter().all(u8::is_ascii_whitespace);
            if !nothing && serde_json::from_slice::<Value>(&body).is_err() {
                assert_eq!(code, "invalid_argument", "{at} {}", shown(&body));
            }
            if code == "ok" {
                assert!(nothing || body == b"{}", "{at} takes {}", shown(&body));
            }
        }
        // A field more than there is, as large as the server lets through.
        let large = format!("{{\"nonsense\":\"{}\"}}", "x".repeat(MAX_MESSAGE_BYTES - 1_000));
        let answer = wire.ask(&at, &[], large.as_bytes()).await;
        let code = check_fault(&at, large.as_bytes(), &answer);
        assert_eq!(code, "invalid_argument", "{at} with an unknown field of 8 MB");
        assert_eq!(answer.json()["details"]["field"], "nonsense", "{at}: {}", answer.json());
    }
    whole_life(&fleet.nats, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_headers_callers_and_silence_do_no_harm() {
    let fleet = Fleet::start().await;
    let mut wire = Wire::connect(&fleet.nats).await;
    let requests = Requests::read();
    let long = "k".repeat(5_000);
    let headers: [&[(&str, &str)]; 14] = [
        &[("traceparent", "zz")],
        &[("traceparent", "00-00000000000000000000000000000000-0000000000000000-00")],
        &[
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", &long),
        ],
        &[("traceparent", "00-ééééééééééééééééééééééééééééééééé-00f067aa0ba902b7-01")],
        &[("Troupe-Deadline-Ms", "-1")],
        &[("Troupe-Deadline-Ms", "soon")],
        &[("Troupe-Deadline-Ms", "99999999999999999999999999999999")],
        &[("Troupe-Deadline-Ms", "18446744073709551615")],
        &[("Nats-Msg-Id", "")],
        &[("Nats-Msg-Id", &long)],
        &[("Nats-Msg-Id", "a\u{7}b")],
        &[("Troupe-Caller", "somebody-else")],
        &[("Nats-Service-Error-Code", "500"), ("Nats-Service-Error", "liar")],
        &[("x", ""), ("x", &long), ("y", "é")],
    ];
    for (round, entry) in served().enumerate() {
        let (service, operation) = (entry.service.token(), entry.operation);
        let at = subject(service, operation, "hostile");
        let body = requests.instance(service, operation, 0).to_string();
        for headers in headers {
            let answer = wire.ask(&at, headers, body.as_bytes()).await;
            check_fault(&format!("{at} {}", headers[0].0), body.as_bytes(), &answer);
            if headers[0] == ("Nats-Msg-Id", long.as_str()) {
                assert_eq!(answer.code(), "invalid_argument");
            }
        }
        let name_too_long = "n".repeat(65);
        for caller in ["*", ">", "é", "a@b", "a\u{1}b", "$SYS", "..", &name_too_long] {
            let at = subject(service, operation, caller);
            if caller == ">" || caller == ".." {
                // No endpoint listens there; that no harm is done is seen below.
                wire.publish(&at, None, &[], body.as_bytes()).await;
                continue;
            }
            let answer = wire.ask(&at, &[], body.as_bytes()).await;
            assert_eq!(check_fault(&at, body.as_bytes(), &answer), "invalid_argument", "{at}");
            assert_eq!(answer.json()["details"]["field"], "subject", "{at}");
        }
        // Without a reply subject nobody hears the answer; and nobody stops over it.
        wire.publish(&at, None, &[], body.as_bytes()).await;
        wire.publish(&at, None, &[("traceparent", "zz")], b"{").await;
        whole_life(&fleet.nats, round).await;
    }
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
        "troupe.v1.event.agent.somebody.agent_crashed",
        "troupe.v1.event.agent.x.y",
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
