//! What was acknowledged survives whatever happens to the service: killed in the middle of merges, one
//! replica after the other, and joined by others.

mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use stage::{PATIENCE, Stage, connect_to, name, sized};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::plan::*;
use troupe_crdt::edit::PlanChange;
use troupe_crdt::{Edit, NewItem};
use troupe_testkit::{NatsServer, Proc, eventually};

const READY_WITHIN: Duration = Duration::from_secs(30);

fn service(nats: &NatsServer) -> Proc {
    Proc::build("troupe-plan-sync", env!("CARGO_BIN_EXE_troupe-plan-sync"))
        .args(["--nats-url", &nats.url()])
        .args(["--set", "snapshot_after_log_bytes=65536"])
        .start()
        .unwrap()
}

async fn until_served(bus: &Bus) {
    eventually("the service to answer", READY_WITHIN, || async {
        let options = CallOptions::within(Duration::from_millis(500));
        let request = ListPlansRequest::default();
        bus.call_with::<ListPlans>(&request, &options).await.ok()
    })
    .await;
}

/// Brings a batch until the service says that it has it.
async fn insist(bus: &Bus, batch: &Arc<troupe_crdt::SignedBatch>) {
    let request = ApplyRequest { batches: vec![Bytes64(batch.shared_bytes())] };
    eventually("a batch to be taken in", READY_WITHIN, || async {
        let options = CallOptions::within(Duration::from_secs(1));
        let reply = bus.call_with::<Apply>(&request, &options).await.ok()?;
        assert_eq!(reply.refused, None);
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_edit_is_lost_when_the_service_is_killed_while_it_merges() {
    let nats = NatsServer::start().await.unwrap();
    let mut services = vec![service(&nats), service(&nats)];
    let operator = connect_to(&nats.url(), "operator").await;
    until_served(&operator).await;
    let made = json!({"plan_id": "p", "name": "Shared"});
    stage::call::<CreatePlan>(&operator, made).await.unwrap();
    let ends = Arc::new(AtomicBool::new(false));
    // Replicas bring what they signed; others edit by hand, and remember what was acknowledged.
    let url = nats.url();
    let replicas: Vec<_> = (0..3)
        .map(|n| {
            let (url, ends) = (url.clone(), ends.clone());
            tokio::spawn(async move {
                let bus = connect_to(&url, &format!("replica-{n}")).await;
                let mut own = stage::OwnCopy::new(bus.name().clone(), "p");
                own.pull(&bus).await;
                let mut acknowledged = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    let id = format!("r{n}-{}", acknowledged.len());
                    let new = NewItem { title: id.clone(), ..NewItem::default() };
                    let batch = own.edit(&[Edit::AddItem { item: name(&id), new }]);
                    insist(&bus, &batch).await;
                    acknowledged.push(id);
                }
                acknowledged
            })
        })
        .collect();
    let people: Vec<_> = (0..3)
        .map(|n| {
            let (url, ends) = (url.clone(), ends.clone());
            tokio::spawn(async move {
                let bus = connect_to(&url, &format!("person-{n}")).await;
                let (mut acknowledged, mut tried) = (Vec::new(), 0);
                while !ends.load(Ordering::Relaxed) {
                    let id = format!("p{n}-{tried}");
                    tried += 1;
                    let item = NewItemOf(&id).request();
                    let options = CallOptions::within(Duration::from_secs(1));
                    if bus.call_with::<AddItem>(&item, &options).await.is_ok() {
                        acknowledged.push(id);
                    }
                }
                acknowledged
            })
        })
        .collect();
    for round in 0..sized(12, 4) {
        let before = count(&operator).await;
        eventually("edits to go on", READY_WITHIN, || async {
            (count(&operator).await > before + 20).then_some(())
        })
        .await;
        let victim = services.remove(0);
        if round % 2 == 0 {
            victim.kill9().unwrap();
        } else {
            victim.terminate().unwrap();
        }
        services.push(service(&nats));
    }
    ends.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for task in replicas.into_iter().chain(people) {
        acknowledged.extend(task.await.unwrap());
    }
    let mut seen = BTreeSet::new();
    let mut offset = Some(0);
    while let Some(from) = offset {
        let request = json!({"plan_id": "p", "offset": from});
        let page = stage::call::<GetPlan>(&operator, request).await.unwrap();
        seen.extend(page.plan.items.iter().map(|item| item.id.to_string()));
        offset = page.next_offset;
    }
    let lost: Vec<_> = acknowledged.difference(&seen).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    // Two replicas from nothing, one from its batches and one from a snapshot, are in one state.
    let (mut one, mut two) =
        (stage::OwnCopy::new(name("one"), "p"), stage::OwnCopy::new(name("two"), "p"));
    one.pull(&operator).await;
    two.adopt(&operator).await;
    two.pull(&operator).await;
    assert_eq!(one.hash(), two.hash());
}

struct NewItemOf<'a>(&'a str);

impl NewItemOf<'_> {
    fn request(&self) -> AddItemRequest {
        let item = troupe_contract::plan::NewItem {
            item_id: Some(name(self.0)),
            title: self.0.to_owned(),
            ..Default::default()
        };
        AddItemRequest { plan_id: name("p"), item, after: None }
    }
}

/// Items of the plan; 0 while nobody answers.
async fn count(bus: &Bus) -> usize {
    let options = CallOptions::within(Duration::from_secs(2));
    let request = ListPlansRequest::default();
    let page = bus.call_with::<ListPlans>(&request, &options).await;
    page.ok().and_then(|page| page.plans.first().map(|plan| plan.item_count)).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_move_between_replicas_and_every_plan_stays_as_it_was() {
    let mut stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let plans: Vec<String> = (0..12).map(|n| format!("plan-{n}")).collect();
    for plan in &plans {
        ann.make(plan, &["a", "b"]).await;
        let mut own = ann.copy_of(plan);
        own.pull(&ann.bus).await;
        let renamed = PlanChange { name: Some(plan.clone()), ..PlanChange::default() };
        let batch = own.edit(&[Edit::UpdatePlan(renamed)]);
        stage::bring(&ann.bus, &[batch]).await.unwrap();
    }
    let mut before = Vec::new();
    for plan in &plans {
        before.push(ann.get(plan).await);
    }
    for _ in 0..3 {
        stage.add_replica().await;
        stage.replicas.remove(0).drain().await;
        for (plan, before) in plans.iter().zip(&before) {
            assert_eq!(&ann.get(plan).await, before);
        }
    }
    // The service's own chain goes on under its key.
    let status = json!({"plan_id": "plan-0", "item_id": "a", "status": "completed"});
    let receipt = ann.call::<UpdateStatus>(status).await.unwrap();
    assert_eq!(receipt.version.get(&name("troupe-plan-sync")), 2);
    let mut own = ann.copy_of("plan-0");
    own.pull(&ann.bus).await;
    let _ = PATIENCE;
}
