//! The twelve operations, here and at another replica, and the conflicts that they can have.

mod cluster;

use cluster::{
    Peer, add, add_under, assert_converged, change, create, deleted, described, join, moved, name,
    new_item, peers, titled, waits_for,
};
use serde_json::json;
use troupe_crdt::conflict::{DELETED, semantic};
use troupe_crdt::{Change, Edit, ItemChange, Kind, NewItem, Operation, PlanChange, Position, plan};
use troupe_domain::plan::{Conflict, ConflictKind, ConflictSeverity, Plan, PlanItemStatus};
use troupe_domain::{Code, Priority};

fn ids(plan: &Plan) -> Vec<&str> {
    plan.items.iter().map(|item| item.id.as_str()).collect()
}

fn conflicts(peer: &Peer) -> Vec<Conflict> {
    peer.replica.document().conflicts(60_000)
}

fn item_change(fill: impl FnOnce(&mut ItemChange)) -> ItemChange {
    let mut change = ItemChange::default();
    fill(&mut change);
    change
}

/// All twelve, written by one and read by another.
#[test]
fn the_twelve_operations_apply_here_and_there() {
    let mut ann = Peer::new("ann", Kind::Plan);
    let mut bob = Peer::new("bob", Kind::Plan);
    let owner = Some(Some(name("ann")));
    let edits = [
        Edit::CreatePlan(PlanChange { name: Some("P".to_owned()), owner, ..PlanChange::default() }),
        Edit::UpdatePlan(PlanChange {
            description: Some("About".to_owned()),
            current_phase: Some(1),
            total_phases: Some(3),
            add_collaborators: vec![name("bob"), name("cam")],
            ..PlanChange::default()
        }),
        Edit::AddItem {
            item: name("a"),
            new: NewItem {
                description: "First".to_owned(),
                priority: Priority::High,
                tags: vec!["x".to_owned()],
                estimated_minutes: Some(30),
                ..new_item("A")
            },
        },
        add("b", "B"),
        add_under("c", "b"),
        add("gone", "Gone"),
        change("a", item_change(|c| c.actual_minutes = Some(20))),
        deleted("gone"),
        moved("c", Some("a")),
        Edit::ReorderItems { parent: None, items: vec![name("b"), name("a")] },
        Edit::AssignItem { item: name("a"), to: Some(name("bob")) },
        Edit::UpdateStatus {
            item: name("b"),
            status: PlanItemStatus::Blocked,
            progress: Some(40),
            reason: Some("waits for the key".to_owned()),
        },
        Edit::AddNote { item: name("c"), text: "A remark".to_owned() },
        Edit::BulkUpdate {
            changes: vec![
                (name("a"), item_change(|c| c.progress = Some(50))),
                (name("c"), item_change(|c| c.title = Some("Cee".to_owned()))),
            ],
        },
    ];
    for edit in edits {
        let batch = ann.edit(edit);
        bob.hear(&batch).unwrap();
    }
    let plan = bob.plan();
    assert_eq!(plan, ann.plan());
    assert_eq!(ids(&plan), ["b", "a", "c"]);
    let [b, a, c] = &plan.items[..] else { panic!() };
    assert_eq!(
        (plan.head.name.as_str(), plan.head.current_phase, plan.head.total_phases),
        ("P", 1, 3)
    );
    assert_eq!(plan.head.collaborators, [name("bob"), name("cam")]);
    assert_eq!(
        (a.priority, a.estimated_minutes, a.actual_minutes),
        (Priority::High, Some(30), Some(20))
    );
    assert_eq!((a.assigned_to.clone(), a.progress), (Some(name("bob")), 50));
    assert_eq!((b.status, b.progress), (PlanItemStatus::Blocked, 40));
    assert_eq!(b.notes[0].text, "waits for the key");
    assert_eq!((c.parent_id.clone(), c.title.as_str()), (Some(name("a")), "Cee"));
    assert_eq!(c.notes[0].text, "A remark");
    // The items that have no parts of their own: b at 40, c at 0.
    assert!((plan.head.overall_progress - 20.0).abs() < 1e-9);
    let batch = ann.edit(Edit::DeletePlan);
    bob.hear(&batch).unwrap();
    assert!(bob.plan().head.deleted);
    assert_eq!(bob.try_edit(&[add("d", "D")]).unwrap_err().code, Code::NotFound);
    assert_converged(&[ann, bob], 0);
}

#[test]
fn edits_that_make_no_sense_are_refused_and_change_nothing() {
    let mut ann =
        peers(&["ann"], vec![add("a", "A"), add_under("b", "a"), add("c", "C")]).remove(0);
    ann.edit(waits_for("a", "c"));
    let before = ann.replica.document().clone();
    let position = Position::After(name("b"));
    let wrong = [
        (add("a", "Again"), Code::AlreadyExists),
        (add_under("x", "nowhere"), Code::NotFound),
        (titled("nowhere", "X"), Code::NotFound),
        (moved("a", Some("b")), Code::FailedPrecondition),
        (moved("a", Some("a")), Code::FailedPrecondition),
        (waits_for("c", "a"), Code::FailedPrecondition),
        (waits_for("a", "a"), Code::InvalidArgument),
        (waits_for("a", "nowhere"), Code::NotFound),
        (titled("a", "two\nlines"), Code::InvalidArgument),
        (change("a", item_change(|c| c.progress = Some(101))), Code::InvalidArgument),
        (change("a", ItemChange::default()), Code::InvalidArgument),
        (Edit::MoveItem { item: name("c"), parent: None, position }, Code::NotFound),
        (Edit::Increment { by: 1 }, Code::InvalidArgument),
    ];
    for (edit, code) in wrong {
        let fault = ann.try_edit(std::slice::from_ref(&edit)).unwrap_err();
        assert_eq!(fault.code, code, "{edit:?}: {fault}");
    }
    // One that makes no sense among others that do: all or none.
    assert!(ann.try_edit(&[add("x", "X"), titled("nowhere", "X")]).is_err());
    assert!(*ann.replica.document() == before);
}

#[test]
fn items_can_be_put_anywhere_and_stay_in_order() {
    let mut ann = peers(&["ann"], vec![add("a", "A"), add("b", "B")]).remove(0);
    let mut expected = vec!["a".to_owned(), "b".to_owned()];
    for n in 0..300 {
        let item = format!("n{n}");
        let new = NewItem { position: Position::After(name("a")), ..new_item("N") };
        ann.edit(Edit::AddItem { item: name(&item), new });
        expected.insert(1, item);
    }
    assert_eq!(ids(&ann.plan()), expected);
    ann.edit(Edit::MoveItem { item: name("b"), parent: None, position: Position::First });
    assert_eq!(ids(&ann.plan())[..2], ["b", "a"]);
}

#[test]
fn an_edit_beside_a_deletion_keeps_the_item_and_is_told() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A"), add_under("b", "a")]);
    all[0].edit(deleted("a"));
    all[1].edit(titled("b", "Bob's work"));
    join(&mut all);
    assert_converged(&all, 0);
    // What nobody edited is gone; what Bob edited stays, one level up.
    assert_eq!(ids(&all[0].plan()), ["b"]);
    let [conflict] = &conflicts(&all[0])[..] else { panic!("{:?}", conflicts(&all[0])) };
    assert_eq!(
        (conflict.field.as_deref(), conflict.kind),
        (Some(DELETED), ConflictKind::WriteWrite)
    );
    assert_eq!((&conflict.winner.by, &conflict.losers[0].by), (&name("bob"), &name("ann")));
    // Either of them decides: here the deletion is repeated by somebody who saw the edit.
    all[0].edit(deleted("b"));
    join(&mut all);
    assert!(all[1].plan().items.is_empty() && conflicts(&all[1]).is_empty());
}

#[test]
fn concurrent_writes_of_one_field_are_both_kept_until_somebody_decides() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    all[0].edit(titled("a", "Ann's"));
    all[1].now += 10_000_000;
    all[1].edit(titled("a", "Bob's"));
    all[1].edit(change("a", item_change(|c| c.priority = Some(Priority::High))));
    join(&mut all);
    let [conflict] = &conflicts(&all[0])[..] else { panic!() };
    assert_eq!(conflict.winner.value, json!("Bob's"), "the same Lamport time: the name decides");
    assert_eq!(conflict.losers[0].value, json!("Ann's"));
    assert_eq!(conflict.severity, ConflictSeverity::Medium, "hours apart by their clocks");
    assert_eq!(all[0].replica.document().conflicts(u64::MAX)[0].severity, ConflictSeverity::High);
    assert_eq!(conflict.may_override, [name("ann"), name("bob")]);
    assert_eq!(conflicts(&all[1]), conflicts(&all[0]));
    all[0].edit(titled("a", "Both"));
    assert!(conflicts(&all[0]).is_empty());
    // The same value twice is no conflict.
    join(&mut all);
    all[0].edit(titled("a", "Same"));
    all[1].edit(titled("a", "Same"));
    join(&mut all);
    assert!(conflicts(&all[0]).is_empty());
}

#[test]
fn a_conflict_can_be_let_be() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    all[0].edit(titled("a", "Ann's"));
    all[1].edit(titled("a", "Bob's"));
    join(&mut all);
    let conflict = conflicts(&all[0])[0].id.clone();
    all[0].edit(Edit::Dismiss { conflict: conflict.clone() });
    join(&mut all);
    assert!(conflicts(&all[1]).is_empty());
    assert!(all[1].replica.document().is_settled(&conflict));
}

#[test]
fn concurrent_descriptions_are_offered_as_one_where_that_is_clean() {
    let base = "one\ntwo\nthree\nfour\nfive\n";
    let mut all = peers(&["ann", "bob"], vec![add("a", "A"), described("a", base)]);
    all[0].edit(described("a", &base.replace("one", "ONE")));
    all[1].edit(described("a", &base.replace("five", "FIVE")));
    join(&mut all);
    for peer in &all {
        let mut found = conflicts(peer);
        peer.replica.history().offer_merges(peer.replica.document(), &mut found);
        let expected = base.replace("one", "ONE").replace("five", "FIVE");
        assert_eq!(found[0].merged.as_deref(), Some(expected.as_str()));
    }
    // Both changed one line: there is no clean merge, and none is offered.
    let merged = conflicts(&all[0])[0].losers[0].value.as_str().unwrap().to_owned();
    all[0].edit(described("a", &merged));
    join(&mut all);
    all[0].edit(described("a", "mine\n"));
    all[1].edit(described("a", "yours\n"));
    join(&mut all);
    let mut found = conflicts(&all[0]);
    all[0].replica.history().offer_merges(all[0].replica.document(), &mut found);
    assert_eq!((found.len(), found[0].merged.as_deref()), (1, None));
}

#[test]
fn an_edit_that_rests_on_what_changed_is_told() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A"), add("b", "B")]);
    // Ann assigns b because a is pending; Bob completes a meanwhile.
    let rests = Edit::RestsOn { item: name("a"), version: None };
    all[0].try_edit(&[rests, Edit::AssignItem { item: name("b"), to: Some(name("ann")) }]).unwrap();
    let status = PlanItemStatus::Completed;
    all[1].edit(Edit::UpdateStatus { item: name("a"), status, progress: None, reason: None });
    join(&mut all);
    let [conflict] = &conflicts(&all[1])[..] else { panic!("{:?}", conflicts(&all[1])) };
    assert_eq!(
        (conflict.kind, conflict.field.as_deref()),
        (ConflictKind::ReadWrite, Some("status"))
    );
    assert_eq!((&conflict.winner.by, &conflict.losers[0].by), (&name("bob"), &name("ann")));
    assert_converged(&all, 0);
    // A write that has seen both ends it.
    let status = PlanItemStatus::Pending;
    all[1].edit(Edit::UpdateStatus { item: name("a"), status, progress: None, reason: None });
    assert!(conflicts(&all[1]).is_empty());
}

#[test]
fn an_edit_of_an_old_version_is_told_where_it_is_made() {
    let mut ann = peers(&["ann"], vec![add("a", "A")]).remove(0);
    let read = ann.replica.document().vector();
    ann.edit(titled("a", "Newer"));
    let rests_on = Some(read);
    let change = item_change(|c| c.title = Some("From the old one".to_owned()));
    ann.edit(Edit::UpdateItem { item: name("a"), change, rests_on });
    let [conflict] = &conflicts(&ann)[..] else { panic!("{:?}", conflicts(&ann)) };
    assert_eq!(
        (conflict.kind, conflict.field.as_deref()),
        (ConflictKind::ReadWrite, Some("title"))
    );
    ann.edit(titled("a", "Decided"));
    assert!(conflicts(&ann).is_empty());
}

#[test]
fn moves_that_make_a_cycle_only_together_leave_a_tree() {
    let mut all = peers(&["ann", "bob"], vec![add("p", "P"), add_under("a", "p"), add("b", "B")]);
    all[0].edit(moved("a", Some("b")));
    all[1].edit(moved("b", Some("a")));
    join(&mut all);
    assert_converged(&all, 0);
    // Ann's move comes first (the same time, the lesser name); Bob's would close the cycle.
    let plan = all[0].plan();
    assert_eq!(plan.items.len(), 3);
    let parent =
        |item: &str| plan.items.iter().find(|i| i.id == name(item)).unwrap().parent_id.clone();
    assert_eq!((parent("a"), parent("b")), (Some(name("b")), None));
    let [conflict] = &conflicts(&all[0])[..] else { panic!() };
    assert_eq!(
        (conflict.item_id.clone(), conflict.field.as_deref()),
        (Some(name("b")), Some("parent"))
    );
    all[0].edit(moved("b", Some("p")));
    assert!(conflicts(&all[0]).is_empty());
}

/// A member that moves a thousand items into one ring, in the worst order, and makes each wait for all.
#[test]
fn a_plan_that_is_tangled_on_purpose_is_still_a_tree() {
    let mut eve = Peer::new("eve", Kind::Plan);
    let item = |n: usize| name(&format!("i{n:04}"));
    let mut edits = vec![create()];
    edits.extend((0..1_000).map(|n| Edit::AddItem { item: item(n), new: new_item("I") }));
    eve.try_edit(&edits).unwrap();
    let order = troupe_crdt::OrderKey::nth(0);
    let ring = (0..1_000).map(|n| Operation::MoveItem {
        item: item(n),
        parent: Some(item((n + 1) % 1_000)),
        from: Some(item((n + 7) % 1_000)),
        order: order.clone(),
    });
    let (agent, key) = (eve.agent.clone(), eve.key.clone());
    eve.replica.write(&agent, &key, None, cluster::at(1), ring.collect()).unwrap();
    for n in 0..100 {
        let changes = (0..100).map(|on| Change::AddDependency(item(on))).collect();
        let operation = Operation::UpdateItem { item: item(n), changes };
        eve.replica.write(&agent, &key, None, cluster::at(2), vec![operation]).unwrap();
    }
    let plan = eve.plan();
    cluster::assert_is_tree(&plan, 0);
    assert_eq!(plan.items.len(), 1_000);
    let document = eve.replica.document();
    let ignored = document.ignored_dependencies();
    // What is left waits for nothing that waits for it: something can be done first.
    assert!(!ignored.is_empty());
    let waits = |from: usize, on: usize| !ignored.contains(&(item(from), item(on)));
    let mut open: Vec<usize> = (0..100).collect();
    while !open.is_empty() {
        let before = open.len();
        let free: Vec<usize> =
            open.iter().copied().filter(|n| open.iter().all(|on| !waits(*n, *on))).collect();
        open.retain(|n| !free.contains(n));
        assert!(open.len() < before, "{open:?} wait for each other");
    }
    // The last move of the ring is the one that closes it.
    let held: Vec<_> = conflicts(&eve)
        .into_iter()
        .filter(|conflict| conflict.field.as_deref() == Some("parent"))
        .filter_map(|conflict| conflict.item_id)
        .collect();
    assert_eq!(held, [item(999)]);
}

#[test]
fn dependencies_that_make_a_cycle_only_together_are_told_and_one_is_ignored() {
    let items = vec![add("a", "A"), add("b", "B"), add("c", "C"), waits_for("b", "c")];
    let mut all = peers(&["ann", "bob"], items);
    all[0].edit(waits_for("a", "b"));
    all[1].edit(titled("c", "Later"));
    all[1].edit(waits_for("c", "a"));
    join(&mut all);
    assert_converged(&all, 0);
    let document = all[0].replica.document();
    assert_eq!(document.ignored_dependencies(), [(name("c"), name("a"))], "the newest one");
    let [conflict] = &conflicts(&all[0])[..] else { panic!() };
    assert_eq!(conflict.kind, ConflictKind::DependencyCycle);
    assert_eq!(conflict.losers[0].by, name("bob"));
    let ready =
        |peer: &Peer| plan::ready(&peer.plan(), &peer.replica.document().ignored_dependencies());
    assert_eq!(ready(&all[0]), [name("c")]);
    let remove = item_change(|c| c.remove_dependencies = vec![name("a")]);
    all[0].edit(change("c", remove));
    assert!(conflicts(&all[0]).is_empty());
    let status = PlanItemStatus::Completed;
    all[0].edit(Edit::UpdateStatus { item: name("c"), status, progress: None, reason: None });
    assert_eq!(ready(&all[0]), [name("b")]);
}

#[test]
fn what_a_batch_did_to_the_conflicts_is_told() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    let one = all[0].edit(titled("a", "Ann's"));
    let two = all[1].edit(titled("a", "Bob's"));
    let mut service = all[0].replica.document().clone();
    assert!(service.apply_observed(&one, 1).unwrap().opened.is_empty());
    let applied = service.apply_observed(&two, 1).unwrap();
    assert_eq!((applied.opened.len(), applied.closed.len()), (1, 0));
    assert_eq!(applied.items, [name("a")]);
    all[0].hear(&two).unwrap();
    let three = all[0].edit(titled("a", "Both"));
    let closed = service.apply_observed(&three, 1).unwrap().closed;
    assert_eq!(closed[0].id, applied.opened[0].id);
    assert!(service.apply_observed(&three, 1).unwrap().closed.is_empty(), "known already");
}

#[test]
fn sets_and_minutes_lose_nothing() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    let tag = |tag: &str| change("a", item_change(|c| c.add_tags = vec![tag.to_owned()]));
    let minutes = |n: u64| change("a", item_change(|c| c.add_minutes = Some(n)));
    all[0].edit(tag("x"));
    join(&mut all);
    all[0].edit(change("a", item_change(|c| c.remove_tags = vec!["x".to_owned()])));
    all[1].edit(tag("x"));
    all[1].edit(tag("y"));
    all[0].edit(minutes(10));
    all[0].edit(minutes(5));
    all[1].edit(minutes(20));
    join(&mut all);
    let item = all[0].plan().items.remove(0);
    assert_eq!((item.tags, item.actual_minutes), (vec!["x".to_owned(), "y".to_owned()], Some(35)));
    all[1].edit(change("a", item_change(|c| c.actual_minutes = Some(7))));
    all[0].edit(minutes(1));
    join(&mut all);
    assert_eq!(all[0].plan().items[0].actual_minutes, Some(8));
    assert_converged(&all, 0);
}

#[test]
fn items_that_say_the_same_are_found_among_many() {
    let mut ann = Peer::new("ann", Kind::Plan);
    let words = ["parser", "router", "cache", "ledger", "gateway", "index", "shard", "beacon"];
    let mut edits = vec![create()];
    for n in 0..400 {
        let (a, b) = (words[n % 8], words[n / 8 % 8]);
        edits.push(add(
            &format!("i{n}"),
            &format!("Step {} of the {a} beside the {b} {n}", n * 7_919),
        ));
    }
    edits.push(add("first", "Write the release notes for version two"));
    edits.push(add("second", "write release notes for version two!"));
    ann.try_edit(&edits).unwrap();
    let plan = ann.plan();
    let found = semantic::duplicates(&plan, 0.7);
    let pair = found.iter().find(|pair| pair.first == name("first")).expect("the pair is found");
    assert_eq!(pair.second, name("second"));
    let conflict = semantic::conflict(&plan, pair, Some(0.93)).unwrap();
    assert_eq!((conflict.kind, conflict.item_id), (ConflictKind::Semantic, Some(name("second"))));
    let item = plan.items.iter().find(|item| item.id == name("second")).unwrap();
    assert_eq!(semantic::like(&plan, item, 0.7), std::slice::from_ref(pair));
}

#[test]
fn the_history_says_who_changed_what() {
    let mut ann = peers(&["ann"], vec![add("a", "A")]).remove(0);
    let batch = ann.edit(titled("a", "Better"));
    let told = serde_json::to_value(batch.batch().account()).unwrap();
    let expected = json!([
        { "operation": "update_item", "item_id": "a", "field": "title", "value": "Better" }
    ]);
    assert_eq!(told, expected);
}

/// Ten edits of ten items by a member: at most 500 bytes, signature included.
#[test]
fn ten_edits_fit_in_five_hundred_bytes() {
    let mut all = peers(&["agent-01", "agent-02"], Vec::new());
    let ids: Vec<String> = (0..10)
        .map(|n| format!("01J9ZQK7W4S8XN3V5T2R6Y0{n:03}"))
        .map(|id| id[..26].to_owned())
        .collect();
    let edits: Vec<_> = ids.iter().map(|id| add(id, "An item of the plan")).collect();
    all[0].try_edit(&edits).unwrap();
    join(&mut all);
    all[1].edit(titled(&ids[0], "Known"));
    let edits: Vec<_> = ids
        .iter()
        .map(|id| Edit::UpdateStatus {
            item: name(id),
            status: PlanItemStatus::InProgress,
            progress: None,
            reason: None,
        })
        .collect();
    let batch = all[1].try_edit(&edits).unwrap();
    assert_eq!(batch.batch().operations.len(), 10);
    assert!(batch.bytes().len() <= 500, "{} bytes", batch.bytes().len());
}
