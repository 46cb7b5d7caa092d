//! Replicas of agents: batches go in once and come out again, signatures count, forks are proven, and
//! whoever listens hears each batch.

mod stage;

use std::sync::Arc;

use serde_json::json;
use stage::{OwnCopy, PATIENCE, Stage, bring, name};
use troupe_contract::event::PlanEventKind;
use troupe_contract::plan::*;
use troupe_contract::subject;
use troupe_crdt::edit::PlanChange;
use troupe_crdt::{AgentKey, Edit, ForkProof, ItemChange, NewItem, SignedBatch};
use troupe_domain::Code;
use troupe_testkit::eventually;

fn creation() -> Edit {
    Edit::CreatePlan(PlanChange { name: Some("Shared".to_owned()), ..PlanChange::default() })
}

fn addition(id: &str) -> Edit {
    let new = NewItem { title: format!("Do {id}"), ..NewItem::default() };
    Edit::AddItem { item: name(id), new }
}

fn titled(id: &str, title: &str) -> Edit {
    let change = ItemChange { title: Some(title.to_owned()), ..ItemChange::default() };
    Edit::UpdateItem { item: name(id), change, rests_on: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_and_callers_without_one_end_in_one_state() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    let mut ours = ann.copy_of("p");
    let first = ours.edit(&[creation(), addition("a")]);
    let reply = bring(&ann.bus, &[first]).await.unwrap();
    assert_eq!((reply.sequence, reply.refused), (1, None));
    let mut theirs = bob.copy_of("p");
    theirs.pull(&bob.bus).await;
    assert_eq!(theirs.hash(), ours.hash());
    // Both edit offline, and somebody without a replica edits meanwhile.
    let by_ann: Vec<_> = (0..5).map(|n| ours.edit(&[titled("a", &format!("ann {n}"))])).collect();
    let by_bob: Vec<_> = (0..5).map(|n| theirs.edit(&[addition(&format!("b{n}"))])).collect();
    let note = json!({"plan_id": "p", "item_id": "a", "text": "by hand"});
    stage.agent("carl").await.call::<AddNote>(note).await.unwrap();
    bring(&bob.bus, &by_bob).await.unwrap();
    let reply = bring(&ann.bus, &by_ann).await.unwrap();
    assert!(reply.results.iter().all(|result| result.outcome == MergeOutcome::Applied));
    ours.pull(&ann.bus).await;
    theirs.pull(&bob.bus).await;
    assert_eq!(ours.hash(), theirs.hash());
    assert_eq!(ours.hash(), reply.state_hash_after(&ann).await);
    let got = ann.get("p").await;
    assert_eq!(got.plan.items.len(), 6);
    assert_eq!(got.plan.items[0].notes[0].by, name("carl"));
    // Bringing all of it once more changes nothing.
    let again = bring(&ann.bus, &by_ann).await.unwrap();
    assert!(again.results.iter().all(|result| result.outcome == MergeOutcome::Known));
    assert_eq!(again.sequence, got.sequence);
}

trait Now {
    async fn state_hash_after(&self, agent: &stage::Agent) -> String;
}

impl Now for ApplyReply {
    async fn state_hash_after(&self, agent: &stage::Agent) -> String {
        let vector = troupe_domain::VectorClock::default();
        let request = SyncRequest { object_id: self.object_id.clone(), vector, max_bytes: None };
        agent.bus.call::<Sync>(&request).await.unwrap().state_hash
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_did_not_sign_is_not_its_own() {
    let stage = Stage::start().await;
    let (ann, eve) = (stage.agent("ann").await, stage.agent("eve").await);
    let mut ours = ann.copy_of("p");
    let first = ours.edit(&[creation(), addition("a")]);
    // Nobody else makes an agent's key known, not even with its true first batch.
    let relayed = bring(&eve.bus, std::slice::from_ref(&first)).await.unwrap_err();
    assert_eq!(relayed.code, Code::PermissionDenied);
    bring(&ann.bus, std::slice::from_ref(&first)).await.unwrap();
    // A batch in ann's name under another key.
    let mut forged = OwnCopy::new(name("ann"), "p");
    forged.copy.receive(first.clone()).unwrap();
    let stolen = AgentKey::from_seed([9; 32]);
    let next = forged.copy.document().operations(&name("ann"), &[addition("evil")]).unwrap();
    let mut batch = forged
        .copy
        .document()
        .next_batch(&name("ann"), &forged.key, None, first.batch().at, next)
        .unwrap();
    batch.key = None;
    let forged_batch = Arc::new(batch.sign(&stolen).unwrap());
    for bus in [&eve.bus, &ann.bus] {
        let reply = bring(bus, std::slice::from_ref(&forged_batch)).await.unwrap();
        assert!(reply.refused.is_some() && reply.results.is_empty(), "{reply:?}");
    }
    // What ann did sign may be relayed, now that her key is known.
    let second = ours.edit(&[addition("b")]);
    let reply = bring(&eve.bus, &[second]).await.unwrap();
    assert_eq!(reply.results[0].outcome, MergeOutcome::Applied);
    // Nobody writes in the name of the service, or for somebody else.
    let mut posing = OwnCopy::new(name("troupe-plan-sync"), "p");
    posing.pull(&eve.bus).await;
    let posed = posing.edit(&[addition("c")]);
    let reply = bring(&eve.bus, &[posed]).await.unwrap();
    assert_eq!(reply.refused.unwrap().code, Code::PermissionDenied);
    let mut own = OwnCopy::new(name("eve"), "p");
    own.pull(&eve.bus).await;
    let operations = own.copy.document().operations(&own.agent, &[addition("d")]).unwrap();
    let at = first.batch().at;
    let posed = own.copy.write(&own.agent, &own.key, Some(name("ann")), at, operations);
    assert_eq!(posed.unwrap_err().code, Code::PermissionDenied);
    let items = ann.get("p").await.plan.items;
    assert_eq!(items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_refused_told_and_proven() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let mut one = ann.copy_of("p");
    let first = one.edit(&[creation(), addition("a")]);
    let mut two = ann.copy_of("p");
    two.copy.receive(first.clone()).unwrap();
    let told = one.edit(&[titled("a", "one story")]);
    let other = two.edit(&[titled("a", "another story")]);
    bring(&ann.bus, &[first, told]).await.unwrap();
    for _ in 0..2 {
        let refused = bring(&ann.bus, std::slice::from_ref(&other)).await.unwrap().refused.unwrap();
        assert_eq!(refused.code, Code::Conflict);
    }
    let forks = ann.call::<Forks>(json!({"object_id": "p"})).await.unwrap().forks;
    let [fork] = &forks[..] else { panic!("one proof: {forks:?}") };
    assert_eq!((fork.agent_id.as_str(), fork.seq), ("ann", 2));
    let proof = ForkProof::verify(fork.proof.as_ref(), &one.key.public()).unwrap();
    assert_eq!(proof.agent(), &name("ann"));
    assert!(
        ForkProof::verify(fork.proof.as_ref(), &AgentKey::from_seed([1; 32]).public()).is_err()
    );
    assert_eq!(ann.get("p").await.plan.items[0].title, "one story");
    let told = eventually("the fork to be told", PATIENCE, || async {
        let told = stage.events("p").await;
        told.into_iter().find(|event| event.event == PlanEventKind::PlanForked)
    })
    .await;
    assert_eq!(told.by, Some(name("ann")));
    // An accusation that ann did not sign is none.
    let mut forged = other.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let request = ApplyRequest { batches: vec![forged.into()] };
    let refused = ann.bus.call::<Apply>(&request).await.unwrap().refused.unwrap();
    assert_ne!(refused.code, Code::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_hears_each_batch_and_can_apply_it() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    let mut heard = bob.bus.listen(&subject::object_batches(&name("p"))).await.unwrap();
    let mut ours = ann.copy_of("p");
    let mut theirs = bob.copy_of("p");
    let batches: Vec<_> = std::iter::once(ours.edit(&[creation()]))
        .chain((0..10).map(|n| ours.edit(&[addition(&format!("i{n}"))])).collect::<Vec<_>>())
        .collect();
    bring(&ann.bus, &batches).await.unwrap();
    let note = json!({"plan_id": "p", "item_id": "i3", "text": "by hand"});
    ann.call::<AddNote>(note).await.unwrap();
    for _ in 0..12 {
        let told = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap().unwrap();
        let signed = SignedBatch::decode(&told.body).unwrap();
        theirs.copy.receive(Arc::new(signed)).unwrap();
    }
    ours.pull(&ann.bus).await;
    assert_eq!(ours.hash(), theirs.hash());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_rests_on_what_is_not_here_waits_outside() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let mut ours = ann.copy_of("p");
    let first = ours.edit(&[creation()]);
    let second = ours.edit(&[addition("a")]);
    let third = ours.edit(&[addition("b")]);
    bring(&ann.bus, &[first]).await.unwrap();
    let reply = bring(&ann.bus, std::slice::from_ref(&third)).await.unwrap();
    let refused = reply.refused.unwrap();
    assert_eq!(refused.code, Code::FailedPrecondition);
    assert_eq!(refused.details["needs"]["ann"], 2);
    assert_eq!(bring(&ann.bus, &[second, third]).await.unwrap().sequence, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_diverged_is_told_and_repaired() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a"]).await;
    let mut ours = ann.copy_of("p");
    ours.pull(&ann.bus).await;
    let digest =
        |hash: String, vector| DigestRequest { object_id: name("p"), vector, state_hash: hash };
    let vector = ours.copy.document().vector();
    let same = ann.bus.call::<Digest>(&digest(ours.hash(), vector.clone())).await.unwrap();
    assert_eq!((same.relation, same.diverged), (Relation::Equal, false));
    let wrong = "0".repeat(64);
    let other = ann.bus.call::<Digest>(&digest(wrong.clone(), vector.clone())).await.unwrap();
    assert_eq!((other.relation, other.diverged), (Relation::Equal, true));
    // Said again, it is told once.
    ann.bus.call::<Digest>(&digest(wrong, vector.clone())).await.unwrap();
    ours.adopt(&ann.bus).await;
    assert_eq!(ours.hash(), same.state_hash);
    let status = json!({"plan_id": "p", "item_id": "a", "status": "completed"});
    ann.call::<UpdateStatus>(status).await.unwrap();
    let behind = ann.bus.call::<Digest>(&digest(ours.hash(), vector)).await.unwrap();
    assert_eq!((behind.relation, behind.diverged), (Relation::Behind, false));
    let told = eventually("everything to be told", PATIENCE, || async {
        let told = stage.events("p").await;
        let kinds: Vec<_> = told.iter().map(|event| event.event).collect();
        kinds.contains(&PlanEventKind::PlanChanged).then_some(told)
    })
    .await;
    let diverged: Vec<_> =
        told.iter().filter(|event| event.event == PlanEventKind::PlanDiverged).collect();
    assert_eq!(diverged.len(), 1);
    assert_eq!(diverged[0].replica, Some(name("ann")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_are_told_with_both_sides_and_decided_by_who_may() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    let mut ours = ann.copy_of("p");
    let first = ours.edit(&[creation(), addition("a")]);
    bring(&ann.bus, &[first]).await.unwrap();
    let mut theirs = bob.copy_of("p");
    theirs.pull(&bob.bus).await;
    let described = |text: &str| {
        let change = ItemChange { description: Some(text.to_owned()), ..ItemChange::default() };
        Edit::UpdateItem { item: name("a"), change, rests_on: None }
    };
    bring(&ann.bus, &[ours.edit(&[described("one\ntwo\nthree\n")])]).await.unwrap();
    theirs.pull(&bob.bus).await;
    bring(&ann.bus, &[ours.edit(&[described("ONE\ntwo\nthree\n")])]).await.unwrap();
    bring(&bob.bus, &[theirs.edit(&[described("one\ntwo\nTHREE\n")])]).await.unwrap();
    let page = ann.call::<Conflicts>(json!({"plan_id": "p"})).await.unwrap();
    let [conflict] = &page.conflicts[..] else { panic!("one conflict: {page:?}") };
    assert_eq!(conflict.losers.len(), 1);
    assert_eq!(conflict.field.as_deref(), Some("description"));
    let sides: std::collections::BTreeSet<_> =
        [&conflict.winner.by, &conflict.losers[0].by].map(ToString::to_string).into();
    assert_eq!(sides, ["ann".to_owned(), "bob".to_owned()].into());
    assert_eq!(conflict.merged.as_deref(), Some("ONE\ntwo\nTHREE\n"));
    let decide = |choice: serde_json::Value| json!({"plan_id": "p", "conflict_id": conflict.id, "choice": choice});
    let eve = stage.agent("eve").await;
    let denied = eve.call::<Resolve>(decide(json!({"take_merged": {}}))).await.unwrap_err();
    assert_eq!(denied.code, Code::PermissionDenied);
    bob.call::<Resolve>(decide(json!({"take_merged": {}}))).await.unwrap();
    assert_eq!(ann.get("p").await.plan.items[0].description, "ONE\ntwo\nTHREE\n");
    assert_eq!(ann.call::<Conflicts>(json!({"plan_id": "p"})).await.unwrap().open, 0);
    let told = eventually("the conflict to be told, and its end", PATIENCE, || async {
        let told = stage.events("p").await;
        let of = |kind| told.iter().find(|event| event.event == kind).cloned();
        of(PlanEventKind::ConflictDetected).zip(of(PlanEventKind::ConflictResolved))
    })
    .await;
    let detected = told.0.conflict.unwrap();
    assert_eq!(detected.id, conflict.id);
    assert!(detected.may_override.contains(&name("bob")));
    assert_eq!(told.1.conflict_id.as_ref(), Some(&conflict.id));
}
