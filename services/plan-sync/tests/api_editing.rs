//! Plans as callers without a replica make and edit them: every operation, and what is refused.

mod stage;

use serde_json::json;
use stage::{PATIENCE, Stage, name};
use troupe_bus::CallOptions;
use troupe_contract::event::PlanEventKind;
use troupe_contract::plan::*;
use troupe_domain::Code;
use troupe_domain::plan::PlanItemStatus;
use troupe_testkit::eventually;

fn ids(reply: &PlanReply) -> Vec<&str> {
    reply.plan.items.iter().map(|item| item.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_does_what_it_says_and_says_who_did_it() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    let made = ann.make("trip", &["a", "b", "c"]).await;
    assert_eq!((made.sequence, made.item_ids.len()), (1, 3));
    let plan = json!({"plan_id": "trip", "current_phase": 1, "total_phases": 3,
                      "add_collaborators": ["bob"]});
    bob.call::<UpdatePlan>(plan).await.unwrap();
    let item = json!({"plan_id": "trip", "after": "a",
                      "item": {"item_id": "d", "title": "Pack", "tags": ["soon"],
                               "dependencies": ["b"]}});
    bob.call::<AddItem>(item).await.unwrap();
    let change = json!({"plan_id": "trip", "item_id": "d",
                        "change": {"priority": "high", "estimated_minutes": 30,
                                   "add_tags": ["bag"], "remove_tags": ["soon"]}});
    bob.call::<UpdateItem>(change).await.unwrap();
    let note = json!({"plan_id": "trip", "item_id": "d", "text": "warm clothes"});
    ann.call::<AddNote>(note).await.unwrap();
    let whose = json!({"plan_id": "trip", "item_id": "d", "assigned_to": "bob"});
    ann.call::<AssignItem>(whose).await.unwrap();
    let status = json!({"plan_id": "trip", "item_id": "b", "status": "completed"});
    ann.call::<UpdateStatus>(status).await.unwrap();
    ann.call::<MoveItem>(json!({"plan_id": "trip", "item_id": "c", "parent_id": "a"}))
        .await
        .unwrap();
    let order = json!({"plan_id": "trip", "item_ids": ["d", "b"]});
    ann.call::<ReorderItems>(order).await.unwrap();
    let bulk = json!({"plan_id": "trip", "changes": [
        {"item_id": "a", "change": {"progress": 40}},
        {"item_id": "c", "change": {"progress": 80, "status": "in_progress"}},
    ]});
    bob.call::<BulkUpdate>(bulk).await.unwrap();

    let got = bob.get("trip").await;
    assert_eq!(ids(&got), ["d", "b", "a", "c"]);
    let head = &got.plan.head;
    assert_eq!((head.owner.as_str(), head.current_phase, head.total_phases), ("ann", 1, 3));
    assert_eq!(head.collaborators, [name("bob")]);
    let [d, b, a, c] = &got.plan.items[..] else { panic!("four items") };
    assert_eq!(d.tags, ["bag"]);
    assert_eq!((d.estimated_minutes, d.assigned_to.as_ref()), (Some(30), Some(&name("bob"))));
    assert_eq!((d.notes[0].text.as_str(), d.notes[0].by.as_str()), ("warm clothes", "ann"));
    assert_eq!((b.status, b.progress), (PlanItemStatus::Completed, 100));
    assert_eq!((a.progress, c.progress), (40, 80));
    assert_eq!((c.parent_id.as_ref(), c.updated_by.as_str()), (Some(&name("a")), "bob"));
    // `d` waited for `b`, which is done; `a` has a part that goes on.
    assert_eq!(got.ready_item_ids, [name("d")]);

    ann.call::<DeleteItem>(json!({"plan_id": "trip", "item_id": "a"})).await.unwrap();
    assert_eq!(ids(&ann.get("trip").await), ["d", "b"]);
    ann.call::<DeletePlan>(json!({"plan_id": "trip"})).await.unwrap();
    assert!(ann.get("trip").await.plan.head.deleted);
    let page = ann.call::<ListPlans>(json!({})).await.unwrap();
    assert!(page.plans.is_empty());
    let page = ann.call::<ListPlans>(json!({"with_deleted": true})).await.unwrap();
    assert_eq!(page.plans.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_by_name_and_changes_nothing() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a", "b"]).await;
    let before = ann.get("p").await.sequence;
    let taken = ann.call::<CreatePlan>(json!({"plan_id": "p", "name": "again"})).await.unwrap_err();
    assert_eq!(taken.code, Code::AlreadyExists);
    let unnamed = ann.call::<CreatePlan>(json!({"plan_id": "q", "name": ""})).await.unwrap_err();
    assert_eq!(unnamed.code, Code::InvalidArgument);
    let gone = ann.call::<GetPlan>(json!({"plan_id": "q"})).await.unwrap_err();
    assert_eq!(gone.code, Code::NotFound);
    let item = json!({"plan_id": "p", "item_id": "z", "status": "completed"});
    assert_eq!(ann.call::<UpdateStatus>(item).await.unwrap_err().code, Code::NotFound);
    let twice = json!({"plan_id": "p", "item": {"item_id": "a", "title": "again"}});
    assert_eq!(ann.call::<AddItem>(twice).await.unwrap_err().code, Code::AlreadyExists);
    let waits = |item: &str, dependency: &str| json!({"plan_id": "p", "item_id": item, "change": {"add_dependencies": [dependency]}});
    ann.call::<UpdateItem>(waits("a", "b")).await.unwrap();
    let cycle = ann.call::<UpdateItem>(waits("b", "a")).await.unwrap_err();
    assert_eq!(cycle.code, Code::FailedPrecondition);
    ann.call::<MoveItem>(json!({"plan_id": "p", "item_id": "b", "parent_id": "a"})).await.unwrap();
    let under = json!({"plan_id": "p", "item_id": "a", "parent_id": "b"});
    assert_eq!(ann.call::<MoveItem>(under).await.unwrap_err().code, Code::FailedPrecondition);
    let far = json!({"plan_id": "p", "item_id": "a", "change": {"progress": 101}});
    assert_eq!(ann.call::<UpdateItem>(far).await.unwrap_err().code, Code::InvalidArgument);
    let nothing = json!({"plan_id": "p", "item_id": "a", "change": {}});
    assert_eq!(ann.call::<UpdateItem>(nothing).await.unwrap_err().code, Code::InvalidArgument);
    let bulk = json!({"plan_id": "p", "changes": [
        {"item_id": "a", "change": {"progress": 10}},
        {"item_id": "z", "change": {"progress": 10}},
    ]});
    assert_eq!(ann.call::<BulkUpdate>(bulk).await.unwrap_err().code, Code::NotFound);
    let got = ann.get("p").await;
    assert_eq!(got.sequence, before + 2);
    assert!(got.plan.items.iter().all(|item| item.progress == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_under_one_key_is_made_once() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a"]).await;
    let options =
        CallOptions { command_id: Some("note-1".to_owned()), ..CallOptions::within(PATIENCE) };
    let note = |text: &str| AddNoteRequest {
        plan_id: name("p"),
        item_id: name("a"),
        text: text.to_owned(),
    };
    let first = ann.bus.call_with::<AddNote>(&note("once"), &options).await.unwrap();
    let again = ann.bus.call_with::<AddNote>(&note("once"), &options).await.unwrap();
    assert_eq!(first, again);
    let other = ann.bus.call_with::<AddNote>(&note("other"), &options).await.unwrap_err();
    assert_eq!(other.code, Code::AlreadyExists);
    assert_eq!(ann.get("p").await.plan.items[0].notes.len(), 1);
    // Ids that nobody named follow from the key, too.
    let item = AddItemRequest {
        plan_id: name("p"),
        item: NewItem { title: "b".to_owned(), ..NewItem::default() },
        after: None,
    };
    let options = CallOptions { command_id: Some("item-1".to_owned()), ..options };
    let first = ann.bus.call_with::<AddItem>(&item, &options).await.unwrap();
    assert_eq!(first, ann.bus.call_with::<AddItem>(&item, &options).await.unwrap());
    assert_eq!(ann.get("p").await.plan.items.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_says_who_changed_what_and_former_versions_are_read_back() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    ann.make("p", &["a", "b"]).await;
    let change = |title: &str| json!({"plan_id": "p", "item_id": "a", "change": {"title": title}});
    let second = bob.call::<UpdateItem>(change("second")).await.unwrap();
    ann.call::<UpdateItem>(change("third")).await.unwrap();
    let page = ann.call::<History>(json!({"plan_id": "p", "item_id": "a"})).await.unwrap();
    let told: Vec<_> = page
        .entries
        .iter()
        .map(|entry| (entry.sequence, entry.by.as_str(), entry.changes[0].operation.as_str()))
        .collect();
    assert_eq!(
        told,
        [(3, "ann", "update_item"), (2, "bob", "update_item"), (1, "ann", "add_item")]
    );
    assert_eq!(page.entries[1].changes[0].value, json!("second"));
    assert_eq!(page.horizon, 1);
    let by_bob = ann.call::<History>(json!({"plan_id": "p", "by": "bob"})).await.unwrap();
    assert_eq!(by_bob.entries.len(), 1);
    let first = ann.call::<History>(json!({"plan_id": "p", "limit": 1})).await.unwrap();
    let rest = json!({"plan_id": "p", "before": first.next_before});
    assert_eq!(ann.call::<History>(rest).await.unwrap().entries.len(), 2);

    let title = |reply: PlanReply| reply.plan.items[0].title.clone();
    let at = |what: serde_json::Value| {
        let mut request = json!({"plan_id": "p"});
        request.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        ann.call::<GetPlan>(request)
    };
    assert_eq!(title(at(json!({"at_sequence": 1})).await.unwrap()), "Do a");
    assert_eq!(title(at(json!({"at_sequence": 2})).await.unwrap()), "second");
    assert_eq!(title(at(json!({"at_version": second.version})).await.unwrap()), "second");
    let then = page.entries[1].at;
    assert_eq!(title(at(json!({"at_time": then})).await.unwrap()), "second");
    let ahead = at(json!({"at_sequence": 9})).await.unwrap_err();
    assert_eq!(ahead.code, Code::InvalidArgument);
    let both = at(json!({"at_sequence": 1, "at_time": then})).await.unwrap_err();
    assert_eq!(both.code, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_plan_and_of_plans_join_to_the_whole() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let items: Vec<String> = (0..25).map(|n| format!("i{n:02}")).collect();
    ann.make("p", &items.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut offset) = (Vec::new(), Some(0));
    while let Some(from) = offset {
        let request = json!({"plan_id": "p", "limit": 10, "offset": from});
        let page = ann.call::<GetPlan>(request).await.unwrap();
        seen.extend(page.plan.items.iter().map(|item| item.id.to_string()));
        offset = page.next_offset;
    }
    assert_eq!(seen, items);
    for plan in ["q", "r", "s", "t"] {
        ann.make(plan, &[]).await;
    }
    let (mut plans, mut after) = (Vec::new(), None);
    loop {
        let mut request = json!({"limit": 2});
        if let Some(after) = &after {
            request["after"] = json!(after);
        }
        let page = ann.call::<ListPlans>(request).await.unwrap();
        plans.extend(page.plans.iter().map(|plan| plan.id.to_string()));
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(plans, ["p", "q", "r", "s", "t"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_tells_its_events_in_order() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    ann.make("p", &["a"]).await;
    let status = json!({"plan_id": "p", "item_id": "a", "status": "blocked", "reason": "no key"});
    ann.call::<UpdateStatus>(status).await.unwrap();
    ann.call::<DeletePlan>(json!({"plan_id": "p"})).await.unwrap();
    let told = eventually("three events", PATIENCE, || async {
        let told = stage.events("p").await;
        (told.len() >= 3).then_some(told)
    })
    .await;
    let kinds: Vec<_> = told.iter().map(|event| event.event).collect();
    assert_eq!(
        kinds,
        [PlanEventKind::PlanCreated, PlanEventKind::PlanChanged, PlanEventKind::PlanDeleted]
    );
    assert!(told.iter().all(|event| event.by == Some(name("ann"))));
    assert_eq!(told[1].operations, ["update_status", "add_note"]);
    assert_eq!(told[1].item_ids, [name("a")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_rests_on_what_has_changed_is_told() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    let read = ann.make("p", &["a"]).await.version;
    let titled = json!({"plan_id": "p", "item_id": "a", "change": {"title": "Another thing"}});
    bob.call::<UpdateItem>(titled).await.unwrap();
    // Ann changes the priority of what she takes for the first title.
    let urgent = json!({"plan_id": "p", "item_id": "a", "change": {"priority": "critical"},
                        "read_version": read});
    ann.call::<UpdateItem>(urgent).await.unwrap();
    let page = ann.call::<Conflicts>(json!({"plan_id": "p", "kind": "read_write"})).await.unwrap();
    let [conflict] = &page.conflicts[..] else { panic!("one conflict: {page:?}") };
    assert_eq!(
        (conflict.item_id.as_ref(), conflict.field.as_deref()),
        (Some(&name("a")), Some("title"))
    );
    // The same change by somebody who had read the title is none.
    let version = ann.get("p").await.plan.head.version;
    let known = json!({"plan_id": "p", "item_id": "a", "change": {"priority": "low"},
                       "read_version": version});
    bob.call::<UpdateItem>(known).await.unwrap();
    let settled =
        json!({"plan_id": "p", "conflict_id": conflict.id, "choice": {"keep_winner": {}}});
    ann.call::<Resolve>(settled).await.unwrap();
    assert_eq!(ann.call::<Conflicts>(json!({"plan_id": "p"})).await.unwrap().open, 0);
}
