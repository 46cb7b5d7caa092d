//! What the fleet did counts for what it does next: recommendations, routing and whoever is held up rest
//! on what was remembered.

mod stage;

use serde_json::{Value, json};
use stage::*;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::memory::*;
use troupe_contract::progress::{Report, ReportReceipt};
use troupe_contract::registry::Register;
use troupe_contract::routing::{Feedback, Inbox, InboxRequest, Resolution, Resolve};
use troupe_contract::work::{Claim, Complete, CompleteRequest, Create, Fail, Recommend, Verify};
use troupe_domain::TaskId;
use troupe_domain::task::ClaimedTask;
use troupe_testkit::{NatsServer, eventually};

struct Fleet {
    // In this order, so that what stands on the server ends before it.
    _progress: troupe_progress::Replica,
    _work: troupe_work_distribution::Replica,
    _registry: troupe_registry::Replica,
    stage: Stage,
}

async fn fleet() -> Fleet {
    let stage = Stage::with(lexical(), 1).await;
    let settings = troupe_registry::Config::default().settings();
    let bus = stage.bus("troupe-registry").await;
    let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
    let bus = stage.bus("troupe-work-distribution").await;
    let work = troupe_work_distribution::Config::default();
    let work = troupe_work_distribution::Replica::start(&bus, &work, None).await.unwrap();
    let bus = stage.bus("troupe-progress").await;
    let progress = troupe_progress::Config::default();
    let progress = troupe_progress::Replica::start(&bus, &progress, None).await.unwrap();
    work.ready().await;
    progress.ready().await;
    Fleet { _progress: progress, _work: work, _registry: registry, stage }
}

async fn router(nats: &NatsServer) -> troupe_semantic_routing::Replica {
    let bus = connect_to(&nats.url(), "troupe-semantic-routing").await;
    let mut config = troupe_semantic_routing::Config { shards: 1, ..Default::default() };
    // Capabilities are found by their names: no model is needed.
    config.intents.model.choice = troupe_embedding::ModelChoice::Folder("/nowhere".into());
    let routing = troupe_semantic_routing::Replica::start(&bus, &config, None).await.unwrap();
    routing.ready().await;
    routing
}

async fn agent(stage: &Stage, id: &str) -> Bus {
    let bus = stage.bus(id).await;
    let request = json!({"role": "implementer", "capabilities": ["sql:0.8"]});
    call::<Register>(&bus, request).await.unwrap();
    bus
}

async fn claimed(agent: &Bus, title: &str) -> ClaimedTask {
    let task = json!({"title": title, "required_role": "implementer", "max_retries": 0});
    let created = call::<Create>(agent, task).await.unwrap();
    let claim = json!({"task_id": created.task_id});
    call::<Claim>(agent, claim).await.unwrap().task.unwrap()
}

async fn does(agent: &Bus, title: &str, well: bool) {
    let held = claimed(agent, title).await.task;
    if well {
        let done = CompleteRequest::new(held.id.clone(), held.epoch, None);
        agent.call::<Complete>(&done).await.unwrap();
    } else {
        let failed = json!({"task_id": held.id, "epoch": held.epoch, "error": "no idea"});
        call::<Fail>(agent, failed).await.unwrap();
    }
}

async fn tracks(bus: &Bus) -> Vec<(u64, u64)> {
    let request = json!({"agents": ["ann", "bob", "new"]});
    let records = call::<TrackRecords>(bus, request).await.unwrap().records;
    records.into_iter().map(|one| (one.succeeded, one.failed)).collect()
}

async fn wanted(bus: &Bus, title: &str) -> TaskId {
    let task = json!({"title": title, "required_role": "implementer"});
    call::<Create>(bus, task).await.unwrap().task_id
}

/// Who is recommended, the best first, and what is said of their success.
async fn recommended(bus: &Bus, task: &TaskId) -> Vec<(String, String)> {
    let request = json!({"task_id": task});
    let pairs = call::<Recommend>(bus, request).await.unwrap().recommendations;
    let row = |pair: troupe_contract::work::AssignmentRecommendation| {
        let success = pair.reasons.iter().find(|reason| reason.starts_with("success")).unwrap();
        (pair.agent_id.to_string(), success.clone())
    };
    pairs.into_iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_did_such_things_well_is_recommended_for_them() {
    let fleet = fleet().await;
    let (ann, bob) = (agent(&fleet.stage, "ann").await, agent(&fleet.stage, "bob").await);
    for number in 0..2 {
        does(&ann, &format!("migrate table {number} of invoices"), true).await;
        does(&ann, &format!("document endpoint {number} of payments"), false).await;
        does(&bob, &format!("migrate table {number} of customers"), false).await;
        does(&bob, &format!("document endpoint {number} of refunds"), true).await;
    }
    eventually("everything to be heard", PATIENCE, || async {
        (tracks(&ann).await == [(2, 2), (2, 2), (0, 0)]).then_some(())
    })
    .await;
    for (title, best) in [("migrate the table", "ann"), ("document the endpoint", "bob")] {
        let task = wanted(&ann, title).await;
        // On a busy machine memory may be late, and then it is recommended without.
        let rows = eventually("memory to be in time", PATIENCE, || async {
            let rows = recommended(&ann, &task).await;
            rows[0].1.contains("tasks like this one").then_some(rows)
        })
        .await;
        assert_eq!(rows[0].0, best, "{rows:?}");
    }
    for bad in [json!({"agents": []}), json!({"agents": ["ann"], "query": " "})] {
        let fault = call::<TrackRecords>(&ann, bad).await.unwrap_err();
        assert_eq!(fault.code, troupe_domain::Code::InvalidArgument, "{fault:?}");
    }
    // What nobody ever did is recommended by what they did at all.
    let rows = recommended(&ann, &wanted(&ann, "xyzzy").await).await;
    assert!(rows.iter().all(|(_, why)| why.contains("over 4 attempts")), "{rows:?}");
    // Without memory there are recommendations too.
    let Fleet { mut stage, _work, _registry, .. } = fleet;
    for replica in stage.replicas.drain(..) {
        replica.drain().await;
    }
    let rows = recommended(&ann, &wanted(&ann, "migrate the table").await).await;
    assert!(rows.len() == 2 && rows[0].1.contains("attempts"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_verifies_did_not_do_it() {
    let fleet = fleet().await;
    let (ann, bob) = (agent(&fleet.stage, "ann").await, agent(&fleet.stage, "bob").await);
    let task = json!({"title": "migrate the ledger", "verification": {}});
    let created = call::<Create>(&ann, task).await.unwrap();
    let claim = json!({"task_id": created.task_id});
    let held = call::<Claim>(&ann, claim).await.unwrap().task.unwrap().task;
    let done = CompleteRequest::new(held.id.clone(), held.epoch, None);
    ann.call::<Complete>(&done).await.unwrap();
    let verdict = json!({"task_id": held.id, "epoch": held.epoch, "accept": true});
    call::<Verify>(&bob, verdict).await.unwrap();
    eventually("it to be heard", PATIENCE, || async {
        let heard = tracks(&ann).await;
        (heard != [(0, 0); 3]).then_some(heard)
    })
    .await;
    assert_eq!(tracks(&ann).await, [(1, 0), (0, 0), (0, 0)]);
    let found = search(&ann, json!({"query": "ledger", "type": "episodic"})).await;
    let content = found.results[0].memory.content.as_deref().unwrap();
    assert!(content.contains("completed by ann"), "{content}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feedback_is_remembered_and_a_new_router_knows_it() {
    let fleet = fleet().await;
    let stage = &fleet.stage;
    let (ann, bob) = (agent(stage, "ann").await, agent(stage, "bob").await);
    let first = router(&stage.nats).await;
    for (agent, success) in [("ann", false), ("bob", true)] {
        for _ in 0..20 {
            let feedback = json!({"agent_id": agent, "success": success});
            call::<Feedback>(&ann, feedback).await.unwrap();
        }
    }
    eventually("feedback to be heard", PATIENCE, || async {
        (tracks(&bob).await == [(0, 20), (20, 0), (0, 0)]).then_some(())
    })
    .await;
    let found = search(&ann, json!({"tags": ["feedback"]})).await;
    assert!(!found.results.is_empty(), "{found:?}");
    first.drain().await;
    let _second = router(&stage.nats).await;
    // Nobody is routed to themselves.
    let asker = stage.bus("asker").await;
    let resolved = eventually("the new router to know of it", PATIENCE, || async {
        let request = json!({"text": "anything", "filters": {"role": "implementer"},
            "fallback": "capability"});
        let resolved: Resolution = call::<Resolve>(&asker, request).await.ok()?;
        let success = |agent: &str| {
            let of = |one: &&troupe_contract::routing::Candidate| one.agent_id.as_str() == agent;
            resolved.candidates.iter().find(of).map(|one| one.parts.success)
        };
        (success("bob")? > 2.0 * success("ann")?).then_some(resolved)
    })
    .await;
    assert_eq!(resolved.agent_id, Some(name("bob")), "{resolved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_held_up_is_told_what_helped_before() {
    let fleet = fleet().await;
    let stage = &fleet.stage;
    let (ann, bob) = (agent(stage, "ann").await, agent(stage, "bob").await);
    let _router = router(&stage.nats).await;
    let help = "When the ledger deadlocks, write to it in batches of ten.";
    let help = create(&bob, json!({"content": help, "type": "procedural"})).await.id;
    let held = claimed(&ann, "migrate the invoices").await.task;
    let report = |more: Value| {
        let mut report = json!({"task_id": held.id, "epoch": held.epoch});
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call::<Report>(&ann, report)
    };
    let receipt: ReportReceipt = report(json!({"percentage": 10})).await.unwrap();
    assert_eq!(receipt.suggestions, [], "nothing holds it up");
    let stuck = json!({"status": "blocked", "blockers": ["a deadlock of the ledger"]});
    // On a busy machine memory may be late, and then nothing is suggested.
    let suggestions = eventually("memory to be in time", PATIENCE, || async {
        let suggestions = report(stuck.clone()).await.unwrap().suggestions;
        (!suggestions.is_empty()).then_some(suggestions)
    })
    .await;
    assert_eq!(suggestions[0].memory_id, help, "{suggestions:?}");
    assert!(suggestions[0].text.contains("batches of ten"));
    // She has read it: when it is taken back, she is told.
    let retracted = json!({"id": help, "reason": "it loses writes"});
    let reply = call::<RetractMemory>(&bob, retracted).await.unwrap();
    assert_eq!(reply.readers, [name("ann")]);
    let inbox = InboxRequest { wait_ms: 10_000, ..InboxRequest::default() };
    let inbox = ann.call_with::<Inbox>(&inbox, &CallOptions::within(PATIENCE)).await.unwrap();
    assert_eq!(inbox.messages[0].message.sender_id, name("troupe-memory"));
    assert_eq!(report(stuck.clone()).await.unwrap().suggestions, []);
    // Nobody reads in another's name.
    let other = json!({"query": "the ledger", "reader": "bob"});
    let fault = call::<SuggestMemories>(&ann, other).await.unwrap_err();
    assert_eq!(fault.code, troupe_domain::Code::PermissionDenied);
    // Without memory a report is a report.
    let Fleet { mut stage, _progress, _work, .. } = fleet;
    for replica in stage.replicas.drain(..) {
        replica.drain().await;
    }
    assert_eq!(report(stuck).await.unwrap().suggestions, []);
}
