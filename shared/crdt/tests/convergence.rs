//! Replicas that heard the same, in whatever order, are the same.

mod cluster;

use std::sync::Arc;

use cluster::{Roughness, assert_converged, at, name, run, scaled};
use proptest::prelude::*;
use troupe_crdt::{AgentKey, Document, Edit, Kind, SharedObject, SignedBatch};

fn check(seeds: std::ops::Range<u64>, rough: Roughness) {
    for seed in seeds {
        let peers = run(seed, rough);
        assert_converged(&peers, seed);
    }
}

#[test]
fn small_clusters_converge_under_loss_duplication_reordering_and_partition() {
    let rough = Roughness { replicas: 4, steps: 60, drop: 0.3, duplicate: 0.3, offline: 0.1 };
    check(0..scaled(300, 10_000), rough);
}

#[test]
fn sixty_four_replicas_converge() {
    let rough = Roughness { replicas: 64, steps: 160, drop: 0.3, duplicate: 0.1, offline: 0.1 };
    check(100_000..100_000 + scaled(24, 10_000), rough);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let rough = Roughness { replicas: 5, steps: 50, drop: 0.2, duplicate: 0.2, offline: 0.1 };
    let hash = |seed| run(seed, rough)[0].replica.document().hash();
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

/// All batches of a run.
fn batches(seed: u64) -> (Vec<Arc<SignedBatch>>, Document) {
    let rough = Roughness { replicas: 4, steps: 30, drop: 0.4, duplicate: 0.0, offline: 0.2 };
    let peers = run(seed, rough);
    let replica = &peers[0].replica;
    let all = replica.history().in_order().into_iter().cloned().collect();
    (all, replica.document().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(48, 2_000)))]

    /// Commutative, associative, idempotent: any order, any repetition, any grouping by way of a third.
    #[test]
    fn any_order_and_any_repetition_give_the_same(seed in 0_u64..1_000, order in any::<prop::sample::Selector>(), repeats in 0_usize..20) {
        let (all, expected) = batches(seed);
        let mut shuffled: Vec<Arc<SignedBatch>> = all.clone();
        for _ in 0..repeats {
            shuffled.push(order.select(&all).clone());
        }
        // A permutation by a key that the selector's seed decides.
        let pivot = order.select(0..shuffled.len());
        shuffled.rotate_left(pivot);
        shuffled.reverse();
        let mut one = troupe_crdt::Replica::new(name("plan"), Kind::Plan);
        for batch in &shuffled {
            one.receive(batch.clone()).unwrap();
        }
        prop_assert_eq!(one.waiting(), 0);
        prop_assert!(one.document().encode() == expected.encode());

        // By way of a third, who had the first half.
        let half = all.len() / 2;
        let mut third = troupe_crdt::Replica::new(name("plan"), Kind::Plan);
        all[..half].iter().for_each(|batch| drop(third.receive(batch.clone()).unwrap()));
        let mut other = troupe_crdt::Replica::of_snapshot(&third.document().encode()).unwrap();
        all.iter().rev().for_each(|batch| drop(other.receive(batch.clone()).unwrap()));
        prop_assert!(other.document().encode() == expected.encode());
        prop_assert_eq!(other.document().hash(), expected.hash());
    }
}

struct Object {
    documents: Vec<Document>,
    keys: Vec<AgentKey>,
    sent: Vec<SignedBatch>,
}

impl Object {
    fn new(kind: Kind, replicas: u8) -> Self {
        let documents = vec![Document::new(name("object"), kind); replicas.into()];
        let keys = (0..replicas).map(|n| AgentKey::from_seed([n; 32])).collect();
        Self { documents, keys, sent: Vec::new() }
    }

    fn edit(&mut self, who: usize, edit: Edit) {
        let agent = name(&format!("a{who}"));
        let document = &mut self.documents[who];
        let batch = document.edit(&agent, &self.keys[who], None, at(0), &[edit]).unwrap();
        document.apply(&batch).unwrap();
        self.sent.push(batch);
    }

    fn join(&mut self) -> SharedObject {
        for document in &mut self.documents {
            for _ in 0..self.sent.len() {
                self.sent.iter().for_each(|batch| drop(document.apply(batch).unwrap()));
            }
        }
        let first = self.documents[0].encode();
        assert!(self.documents.iter().all(|document| document.encode() == first));
        self.documents[0].shared().unwrap()
    }
}

#[test]
fn counters_lose_no_increment() {
    let mut counter = Object::new(Kind::PnCounter, 3);
    for round in 0..5 {
        for who in 0..3 {
            counter.edit(who, Edit::Increment { by: 10 });
            counter.edit(who, Edit::Decrement { by: round });
        }
    }
    assert_eq!(counter.join(), SharedObject::Counter(3 * (50 - 10)));
    let mut growing = Object::new(Kind::GCounter, 2);
    growing.edit(0, Edit::Increment { by: 1 });
    growing.edit(1, Edit::Increment { by: 2 });
    assert_eq!(growing.join(), SharedObject::Counter(3));
    let (agent, key) = (name("a0"), AgentKey::from_seed([0; 32]));
    let shrunk = growing.documents[0].edit(&agent, &key, None, at(0), &[Edit::Decrement { by: 1 }]);
    assert!(shrunk.is_err());
}

#[test]
fn a_set_keeps_what_a_removal_had_not_seen() {
    let mut set = Object::new(Kind::OrSet, 2);
    let add = |member: &str| Edit::Add { members: vec![member.to_owned()] };
    let remove = |member: &str| Edit::Remove { keys: vec![member.to_owned()] };
    set.edit(0, add("x"));
    set.edit(0, add("y"));
    set.join();
    set.edit(0, remove("x"));
    set.edit(1, add("x"));
    set.edit(1, remove("y"));
    assert_eq!(set.join(), SharedObject::Set(vec!["x".to_owned()]));
}

#[test]
fn a_map_keeps_a_value_that_a_removal_had_not_seen() {
    let mut map = Object::new(Kind::LwwMap, 2);
    let put = |value: u32| Edit::Put { key: "k".to_owned(), value: value.into() };
    map.edit(0, put(1));
    map.join();
    map.edit(0, Edit::Remove { keys: vec!["k".to_owned()] });
    map.edit(1, put(2));
    assert_eq!(map.join().json(), serde_json::json!({ "k": 2 }));
    map.edit(0, put(3));
    map.edit(1, put(4));
    map.join();
    assert_eq!(map.documents[0].conflicts(1).len(), 1);
    assert_eq!(map.documents[0].conflicts(1), map.documents[1].conflicts(1));
}

#[test]
fn a_clock_knows_the_most_that_anybody_knew() {
    let mut clock = Object::new(Kind::VectorClock, 2);
    clock.edit(0, Edit::Tick { name: name("a") });
    clock.edit(1, Edit::Tick { name: name("a") });
    clock.edit(1, Edit::Tick { name: name("a") });
    clock.edit(1, Edit::Tick { name: name("b") });
    let other = serde_json::from_str(r#"{"a":1,"c":7}"#).unwrap();
    clock.edit(0, Edit::Merge { clock: other });
    assert_eq!(clock.join().json(), serde_json::json!({ "a": 2, "b": 1, "c": 7 }));
}
