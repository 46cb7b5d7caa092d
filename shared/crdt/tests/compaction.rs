//! Horizons: what is kept as a snapshot only, who is behind it, and what is forgotten for good.

mod cluster;

use cluster::{
    Peer, Roughness, add, add_under, assert_converged, deleted, join, name, peers, run, titled,
};
use troupe_crdt::{Edit, KEEPER, Kind, Replica};
use troupe_domain::VectorClock;

#[test]
fn compaction_changes_neither_state_nor_hash() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    for n in 0..20 {
        all[0].edit(titled("a", &format!("Title {n}")));
    }
    let document = all[0].replica.document().clone();
    let cut = VectorClock::try_from(
        [(name("ann"), 12)].into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    )
    .unwrap();
    all[0].replica.compact(&cut).unwrap();
    assert!(*all[0].replica.document() == document);
    assert_eq!(all[0].replica.history().horizon(), &cut);
    assert_eq!(all[0].replica.history().len(), 10);
    // A version that never was cannot be a horizon.
    assert!(all[0].replica.compact(&VectorClock::default()).is_err());
    join(&mut all);
    assert_converged(&all, 0);
}

/// One peer was offline before the cut, one after it: both are joined, with what they did meanwhile.
#[test]
fn peers_on_both_sides_of_the_cut_are_joined() {
    let mut all = peers(&["ann", "old", "new"], vec![add("a", "A"), add("b", "B")]);
    let (mut old, rest) = (all.remove(1), &mut all);
    old.edit(titled("b", "From the old one"));
    old.edit(add("c", "The old one's own"));
    for n in 0..10 {
        rest[0].edit(titled("a", &format!("Title {n}")));
    }
    let cut = rest[0].replica.document().vector();
    let from = rest[0].clone();
    rest[1].pull(&from);
    rest[1].edit(titled("b", "From the new one"));
    rest[0].edit(titled("a", "After the cut"));
    rest[0].replica.compact(&cut).unwrap();

    let to_old = rest[0].replica.missing(&old.replica.document().vector());
    assert!(to_old.snapshot.is_some(), "the old one is before the horizon");
    let to_new = rest[0].replica.missing(&rest[1].replica.document().vector());
    assert!(to_new.snapshot.is_none(), "the new one lacks a tail only");
    assert_eq!(to_new.batches.len(), 1);

    old.pull(&rest[0]);
    all.push(old);
    join(&mut all);
    assert_converged(&all, 0);
    let document = all[0].replica.document();
    assert_eq!(document.item(&name("c")).unwrap().title, "The old one's own");
    assert_eq!(document.conflicts(1_000).len(), 1, "both wrote the title of b");
}

/// An item is forgotten for good while somebody who knows nothing of it edits: the edit is kept, and
/// told.
#[test]
fn an_edit_from_before_a_purge_is_kept_and_flagged() {
    let mut all = peers(&[KEEPER, "late"], vec![add("a", "A"), add_under("b", "a")]);
    let mut late = all.pop().unwrap();
    late.edit(titled("b", "Written too late"));
    let keeper = &mut all[0];
    keeper.edit(deleted("a"));
    let stable = keeper.replica.document().vector();
    let mut purgeable = keeper.replica.document().deleted_items(&stable);
    purgeable.sort();
    assert_eq!(purgeable, [(name("a"), true), (name("b"), true)]);
    assert_eq!(
        keeper.replica.document().deleted_items(&VectorClock::default()),
        [(name("a"), false), (name("b"), false)]
    );
    keeper.edit(Edit::Purge { items: vec![name("a"), name("b")] });
    assert_eq!(keeper.replica.document().entities(), 0);
    let cut = keeper.replica.document().vector();
    keeper.replica.compact(&cut).unwrap();

    // One replica hears the late edit after the purge, the other one before.
    late.pull(&all[0]);
    all.push(late);
    join(&mut all);
    assert_converged(&all, 0);
    let plan = all[0].plan();
    assert_eq!(plan.items.len(), 1);
    assert_eq!(plan.items[0].title, "Written too late");
    let conflicts = all[0].replica.document().conflicts(1_000);
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].field.as_deref(), Some("purged"));
}

#[test]
fn any_version_after_the_horizon_can_be_told_again() {
    let mut ann = Peer::new("ann", Kind::Plan);
    ann.edit(cluster::create());
    let mut versions = Vec::new();
    for n in 0..12 {
        ann.edit(add(&format!("i{n}"), "I"));
        versions.push((ann.replica.document().vector(), ann.replica.document().clone()));
    }
    ann.replica.compact(&versions[3].0).unwrap();
    for (number, (version, document)) in versions.iter().enumerate() {
        match ann.replica.at(version) {
            Ok(told) => assert!(number >= 3 && told == *document),
            Err(_) => assert!(number < 3),
        }
    }
    let mut future = versions[11].0.clone();
    future.increment(&name("ann")).unwrap();
    assert!(ann.replica.at(&future).is_err());
}

#[test]
fn clusters_that_compact_while_they_edit_converge() {
    let rough = Roughness { replicas: 4, steps: 40, drop: 0.3, duplicate: 0.2, offline: 0.2 };
    for seed in 0..40 {
        let mut all = run(seed, rough);
        let cut = all[0].replica.document().vector();
        all[0].replica.compact(&cut).unwrap();
        let dead: Vec<_> = all[0].replica.document().deleted_items(&cut);
        let items: Vec<_> =
            dead.into_iter().filter(|(_, stable)| *stable).map(|(i, _)| i).collect();
        if !items.is_empty() {
            let mut keeper = Peer::new(KEEPER, Kind::Plan);
            keeper.pull(&all[0]);
            keeper.edit(Edit::Purge { items: items.clone() });
            all[0].pull(&keeper);
        }
        // Somebody edits one of them beside it, which nobody who saw the deletion can.
        if let Some(item) = items.first() {
            let agent = all[1].agent.clone();
            let key = all[1].key.clone();
            let text = "late".into();
            let operations = vec![troupe_crdt::Operation::AddNote { item: item.clone(), text }];
            all[1].replica.write(&agent, &key, None, cluster::at(9), operations).unwrap();
        }
        let mut fresh = Peer::new("fresh", Kind::Plan);
        fresh.replica = Replica::of_snapshot(&all[0].replica.document().encode()).unwrap();
        all.push(fresh);
        join(&mut all);
        assert_converged(&all, seed);
    }
}
