//! The nine failures of the system before this one, as far as they are about merging: 1 to 4 and 7 to 9.
//! (5 and 6 are about tasks; 7 stands beside `VectorClock` too.)

mod cluster;

use cluster::{
    Peer, add, add_under, assert_converged, at, create, deleted, join, name, peers, titled,
};
use troupe_crdt::{AgentKey, Document, Edit, KEEPER, Kind, Replica, SharedObject};
use troupe_domain::VectorClock;

/// 1. Applying a newer plan snapshot overflowed the stack.
#[test]
fn failure_1_a_deep_and_long_snapshot_needs_no_stack() {
    let mut peer = Peer::new("deep", Kind::Plan);
    let mut edits = vec![create(), add("d0", "Deep")];
    for depth in 1..1_000 {
        edits.push(add_under(&format!("d{depth}"), &format!("d{}", depth - 1)));
    }
    peer.try_edit(&edits).unwrap();
    let mut next = Peer::new("deeper", Kind::Plan);
    next.pull(&peer);
    for round in 1..10 {
        let under = format!("d{}", 1_000 * round - 1);
        let mut edits = vec![add_under(&format!("d{}", 1_000 * round), &under)];
        for depth in 1_000 * round + 1..1_000 * (round + 1) {
            edits.push(add_under(&format!("d{depth}"), &format!("d{}", depth - 1)));
        }
        next.try_edit(&edits).unwrap();
    }
    let bytes = next.replica.document().encode();
    // A stack that recursion over ten thousand items would not live in.
    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        let mut old = peer.replica;
        old.adopt(&bytes).unwrap();
        old.adopt(&bytes).unwrap();
        let plan = old.document().plan().unwrap();
        assert_eq!(plan.items.len(), 10_000);
        assert_eq!(plan.items.last().unwrap().id, name("d9999"));
        old.document().conflicts(1).len()
    });
    assert_eq!(thread.unwrap().join().unwrap(), 0);
}

/// 2. Replaying plan operations minted new ids, lost items and echoed operations back.
#[test]
fn failure_2_replay_makes_the_same_items_and_nothing_else() {
    let mut peers = peers(&["ann", "bob"], vec![add("a", "A"), add_under("b", "a")]);
    peers[1].edit(add("c", "C"));
    join(&mut peers);
    let expected = peers[0].plan();
    let mut replayed = Replica::new(name("plan"), Kind::Plan);
    for _ in 0..2 {
        for batch in peers[0].replica.history().in_order() {
            replayed.receive(batch.clone()).unwrap();
        }
    }
    assert_eq!(replayed.document().plan().unwrap(), expected);
    let ids: Vec<_> = expected.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    // Nothing is said again: what there is to tell is exactly what was heard.
    assert_eq!(replayed.history().len(), peers[0].replica.history().len());
    assert!(replayed.missing(&peers[0].replica.document().vector()).batches.is_empty());
}

/// 3. Deleted plan items came back to life.
#[test]
fn failure_3_what_is_deleted_stays_deleted() {
    let mut peers = peers(&[KEEPER, "bob", "cam"], vec![add("a", "A"), add_under("b", "a")]);
    let before = peers[2].clone();
    peers[0].edit(deleted("a"));
    join(&mut peers[..2]);
    // A replica that knows nothing of it exchanges snapshots and batches with the others, both ways.
    let old = before.replica.document().encode();
    peers[1].replica.adopt(&old).unwrap();
    assert!(peers[1].plan().items.is_empty());
    join(&mut peers);
    for peer in &peers {
        assert!(peer.plan().items.is_empty(), "{}", peer.agent);
    }
    // And after it was forgotten for good, too.
    let items = vec![name("a"), name("b")];
    peers[0].edit(Edit::Purge { items });
    join(&mut peers);
    peers[2].replica.adopt(&old).unwrap();
    assert!(peers[2].plan().items.is_empty());
    assert_converged(&peers, 3);
    assert_eq!(peers[0].replica.document().entities(), 0);
}

/// 4. Two replicas exchanging concurrent snapshots ended in different states.
#[test]
fn failure_4_concurrent_snapshots_end_in_one_state() {
    let mut peers = peers(&["ann", "bob"], vec![add("a", "A")]);
    peers[0].edit(titled("a", "From Ann"));
    peers[0].edit(add("x", "X"));
    peers[1].edit(titled("a", "From Bob"));
    peers[1].edit(deleted("a"));
    let (ann, bob) = (peers[0].replica.document().encode(), peers[1].replica.document().encode());
    let from_ann = peers[0].replica.adopt(&bob).unwrap();
    let from_bob = peers[1].replica.adopt(&ann).unwrap();
    assert_eq!((from_ann.len(), from_bob.len()), (2, 2), "nobody loses what only they had");
    assert_eq!(peers[0].replica.document().encode(), peers[1].replica.document().encode());
    assert_eq!(peers[0].replica.document().hash(), peers[1].replica.document().hash());
    assert_eq!(peers[0].plan().items.len(), 2);
}

/// 7. `are_concurrent` depended on the order of keys.
#[test]
fn failure_7_concurrency_does_not_depend_on_the_order_of_names() {
    for names in [["ann", "bob"], ["bob", "ann"], ["zoe", "al"]] {
        let mut peers = peers(&names, vec![add("a", "A")]);
        let common = peers[0].replica.document().vector();
        peers[0].edit(titled("a", "One"));
        peers[1].edit(titled("a", "Two"));
        let [one, two] = [&peers[0], &peers[1]].map(|peer| peer.replica.document().vector());
        assert!(one.are_concurrent(&two) && two.are_concurrent(&one));
        assert!(common.happened_before(&one) && !one.happened_before(&common));
        join(&mut peers);
        assert_eq!(peers[0].replica.document().conflicts(1_000).len(), 1);
        assert_converged(&peers, 7);
    }
    // As a shared object, too.
    let key = AgentKey::from_seed([1; 32]);
    let clock = |counts: &str| {
        let clock: VectorClock = serde_json::from_str(counts).unwrap();
        let mut document = Document::new(name("clock"), Kind::VectorClock);
        let edits = [Edit::Merge { clock }];
        let batch = document.edit(&name("a"), &key, None, at(0), &edits).unwrap();
        document.apply(&batch).unwrap();
        match document.shared() {
            Some(SharedObject::Clock(clock)) => clock,
            other => panic!("{other:?}"),
        }
    };
    assert!(clock(r#"{"a":2,"b":1}"#).are_concurrent(&clock(r#"{"b":2,"a":1}"#)));
    assert!(clock(r#"{"b":1,"a":1}"#).happened_before(&clock(r#"{"a":1,"b":2}"#)));
}

/// 8. The "ORSet" was a last-writer-wins set by timestamp.
#[test]
fn failure_8_the_set_is_observed_remove_whatever_the_clocks_say() {
    let keys = [1, 2].map(|n| AgentKey::from_seed([n; 32]));
    let mut documents =
        [name("ann"), name("bob")].map(|agent| (agent, Document::new(name("set"), Kind::OrSet)));
    let member = || vec!["x".to_owned()];
    let mut edit = |who: usize, millis: i64, edit: Edit| {
        let (agent, document) = &mut documents[who];
        let batch = document.edit(agent, &keys[who], None, at(millis), &[edit]).unwrap();
        document.apply(&batch).unwrap();
        batch
    };
    let first = edit(0, 5_000, Edit::Add { members: member() });
    // Bob has not seen the addition; his clock is far ahead. Ann's is behind when she adds again.
    let removal = edit(1, 9_000_000, Edit::Remove { keys: member() });
    let again = edit(0, -9_000_000, Edit::Add { members: member() });
    for (_, document) in &mut documents {
        for batch in [&first, &removal, &again] {
            document.apply(batch).unwrap();
        }
        let expected = SharedObject::Set(member());
        assert_eq!(document.shared().unwrap(), expected, "a removal takes only what it saw");
    }
    // Now he has seen it: his removal counts although his clock is far behind.
    let (agent, document) = &mut documents[1];
    let removal = document
        .edit(agent, &keys[1], None, at(-90_000_000), &[Edit::Remove { keys: member() }])
        .unwrap();
    document.apply(&removal).unwrap();
    assert_eq!(document.shared().unwrap(), SharedObject::Set(Vec::new()));
}

/// 9. The LWW merge did not commute on equal timestamps.
#[test]
fn failure_9_writes_of_one_moment_merge_the_same_both_ways() {
    let keys = [1, 2].map(|n| AgentKey::from_seed([n; 32]));
    let write = |who: usize, value: &str| {
        let agent = name(["ann", "bob"][who]);
        let document = Document::new(name("register"), Kind::LwwRegister);
        let edits = [Edit::Set { value: value.into() }];
        document.edit(&agent, &keys[who], None, at(0), &edits).unwrap()
    };
    for (one, two) in [("a", "b"), ("b", "a"), ("same", "same")] {
        let (one, two) = (write(0, one), write(1, two));
        assert_eq!(one.batch().at, two.batch().at);
        assert_eq!(one.batch().lamport, two.batch().lamport);
        let merged = [[&one, &two], [&two, &one]].map(|order| {
            let mut document = Document::new(name("register"), Kind::LwwRegister);
            order.iter().for_each(|batch| drop(document.apply(batch).unwrap()));
            document
        });
        assert_eq!(merged[0].encode(), merged[1].encode());
        assert_eq!(merged[0].shared(), merged[1].shared());
    }
}
