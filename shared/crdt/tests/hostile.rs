//! Bytes that nobody should trust: refused with a clear fault, and nothing changes.
//!
//! Half of them are signed by a member in good standing, and have checksums that fit: what is refused
//! there is refused by the rules.

mod cluster;

use std::sync::Arc;

use cluster::{Peer, add, assert_is_tree, at, create, name, peers, scaled, titled};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use troupe_crdt::limits::{
    MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS, MAX_LAMPORT_ADVANCE, MAX_PENDING_BATCHES,
};
use troupe_crdt::{
    AgentKey, Batch, BatchHash, Change, Document, KEEPER, Kind, Operation, OrderKey, Refusal,
    Replica, SignedBatch,
};
use troupe_domain::plan::PlanItemStatus;
use troupe_domain::{Code, Name, Timestamp, VectorClock};

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![".{0,40}", "[a-z ]{1,12}"].prop_map(|text: String| text.as_str().into())
}

fn id() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b", "c", "d", "e", "f"]).prop_map(name)
}

fn key() -> impl Strategy<Value = OrderKey> {
    (0_usize..1_000).prop_map(OrderKey::nth)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        text().prop_map(Change::Title),
        text().prop_map(Change::Description),
        prop::sample::select(PlanItemStatus::ALL.to_vec()).prop_map(Change::Status),
        any::<u8>().prop_map(Change::Progress),
        prop::option::of(id()).prop_map(Change::AssignedTo),
        prop::option::of(any::<u64>()).prop_map(Change::EstimatedMinutes),
        (any::<u64>(), any::<u64>()).prop_map(|(up, down)| Change::ActualMinutes { up, down }),
        id().prop_map(Change::AddDependency),
        id().prop_map(Change::RemoveDependency),
        text().prop_map(Change::AddTag),
        text().prop_map(Change::Name),
        any::<u32>().prop_map(Change::TotalPhases),
    ]
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 0..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let items = || prop::collection::vec(id(), 0..4);
    prop_oneof![
        changes().prop_map(|changes| Operation::CreatePlan { changes }),
        Just(Operation::DeletePlan),
        (id(), prop::option::of(id()), key(), changes()).prop_map(
            |(item, parent, order, changes)| {
                Operation::AddItem { item, parent, order, changes }
            }
        ),
        (id(), changes()).prop_map(|(item, changes)| Operation::UpdateItem { item, changes }),
        items().prop_map(|items| Operation::DeleteItem { items }),
        items().prop_map(|items| Operation::Purge { items }),
        (id(), prop::option::of(id()), prop::option::of(id()), key()).prop_map(
            |(item, parent, from, order)| Operation::MoveItem { item, parent, from, order }
        ),
        prop::collection::vec((id(), key()), 0..4)
            .prop_map(|orders| Operation::ReorderItems { orders }),
        (id(), text()).prop_map(|(item, text)| Operation::AddNote { item, text }),
        prop::collection::vec((id(), changes()), 0..3)
            .prop_map(|updates| Operation::BulkUpdate { updates }),
        (any::<u64>(), any::<u64>()).prop_map(|(up, down)| Operation::Count { up, down }),
        Just(Operation::Raise { clock: VectorClock::default() }),
    ]
}

/// A replica of `ann`, and the key of another member, whose first batch was taken: the keeper, who may
/// do everything.
fn with_member() -> (Replica, AgentKey) {
    let mut all = peers(&["ann", KEEPER], vec![add("a", "A"), add("b", "B")]);
    let batch = all[1].edit(titled("a", "Eve's"));
    all[0].hear(&batch).unwrap();
    (all[0].replica.clone(), all[1].key.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(1_000, 20_000)))]

    #[test]
    fn junk_is_no_batch(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let fault = SignedBatch::decode(&bytes).unwrap_err();
        prop_assert!(matches!(fault.code, Code::InvalidArgument | Code::ResourceExhausted));
    }

    #[test]
    fn junk_is_no_snapshot_even_with_a_checksum(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Document::decode(&bytes).is_err());
        bytes.insert(0, 1);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        let _ = Document::decode(&bytes).map(|document| document.plan());
    }

    /// A snapshot with some bytes changed and a checksum that fits: refused, or a document that
    /// everything can be asked of.
    #[test]
    fn a_changed_snapshot_makes_nothing_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (replica, key) = with_member();
        let mut bytes = replica.document().encode();
        bytes.truncate(bytes.len() - 32);
        for (at, byte) in edits {
            let index = at.index(bytes.len());
            bytes[index] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        if let Ok(mut document) = Document::decode(&bytes) {
            let _ = (document.plan(), document.conflicts(1), document.hash(), document.shared());
            let edits = [titled("a", "Again"), add("z", "Z")];
            if let Ok(batch) = document.edit(&name(KEEPER), &key, None, at(1), &edits) {
                let _ = document.apply(&batch);
                let _ = (document.plan(), document.conflicts(1));
                prop_assert_eq!(Document::decode(&document.encode()).is_ok(), true);
            }
        }
    }

    /// What a member signs is applied or refused; then the plan is still a tree, a snapshot is still
    /// the document, and another order gives the same.
    #[test]
    fn whatever_a_member_signs_is_applied_or_refused(
        batches in prop::collection::vec(prop::collection::vec(operation(), 0..6), 1..6),
    ) {
        let (mut replica, key) = with_member();
        let mut taken = Vec::new();
        for operations in batches {
            let agent = name(KEEPER);
            let batch = replica.document().next_batch(&agent, &key, None, at(1), operations).unwrap();
            let Ok(signed) = batch.sign(&key) else { continue };
            let decoded = Arc::new(SignedBatch::decode(signed.bytes()).unwrap());
            prop_assert_eq!(&*decoded, &signed);
            let before = replica.document().hash();
            if let Ok(receipt) = replica.receive(decoded.clone()) {
                prop_assert_eq!(receipt.applied.len(), 1);
                taken.push(decoded);
            } else {
                prop_assert_eq!(replica.document().hash(), before);
            }
        }
        let document = replica.document();
        assert_is_tree(&document.plan().unwrap(), 0);
        let _ = document.conflicts(1);
        prop_assert!(Document::decode(&document.encode()).unwrap() == *document);
        let (mut other, _) = with_member();
        for batch in taken.iter().rev() {
            other.receive(batch.clone()).unwrap();
        }
        prop_assert!(other.document().encode() == document.encode());
    }

    /// A well-formed batch whose bytes were changed and signed again by the member.
    #[test]
    fn a_changed_batch_with_a_valid_signature_is_applied_or_refused(
        operations in prop::collection::vec(operation(), 1..6),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut replica, key) = with_member();
        let batch = replica.document().next_batch(&name(KEEPER), &key, None, at(1), operations).unwrap();
        let Ok(signed) = batch.sign(&key) else { return Ok(()) };
        let mut bytes = signed.bytes().to_vec();
        let content = bytes.len() - 64;
        for (at, byte) in edits {
            let index = at.index(content);
            bytes[index] = byte;
        }
        let before = replica.document().hash();
        let Ok(changed) = SignedBatch::decode(&bytes) else { return Ok(()) };
        let Ok(signed) = changed.batch().clone().sign(&key) else { return Ok(()) };
        if replica.receive(Arc::new(signed)).is_err() {
            prop_assert_eq!(replica.document().hash(), before);
        }
        let document = replica.document();
        let _ = (document.plan(), document.conflicts(1));
        prop_assert!(Document::decode(&document.encode()).unwrap() == *document);
    }
}

type Lie = fn(&mut Batch);

fn eve(replica: &Replica, key: &AgentKey, change: impl FnOnce(&mut Batch)) -> Result<(), Refusal> {
    let operations = vec![Operation::DeletePlan];
    let mut batch =
        replica.document().next_batch(&name(KEEPER), key, None, at(1), operations).unwrap();
    change(&mut batch);
    let signed = batch.sign(key)?;
    replica.clone().receive(Arc::new(signed)).map(drop)
}

#[test]
fn what_a_member_claims_is_checked() {
    let (replica, key) = with_member();
    assert!(eve(&replica, &key, |_| {}).is_ok());
    let wrong: [(&str, Lie); 11] = [
        ("no number", |b| b.seq = 0),
        ("another link", |b| b.previous = BatchHash::from_bytes([3; 32])),
        ("a key again", |b| b.key = Some(AgentKey::from_seed([1; 32]).public())),
        ("no operations", |b| b.operations.clear()),
        ("no time", |b| b.lamport = 0),
        ("time that stands still", |b| b.lamport = 1),
        ("time that runs away", |b| b.lamport += MAX_LAMPORT_ADVANCE + 1),
        ("a time that no clock shows", |b| b.at = Timestamp::from_millis(i64::MAX)),
        ("a time before all clocks", |b| b.at = Timestamp::from_millis(-1)),
        ("seen twice", |b| b.seen = vec![(name("ann"), 1), (name("ann"), 2)]),
        ("seen itself", |b| b.seen = vec![(name(KEEPER), 1)]),
    ];
    for (what, change) in wrong {
        assert!(eve(&replica, &key, change).is_err(), "{what}");
    }
    let seen_before = eve(&replica, &key, |b| b.seen = vec![(name("ann"), 1)]);
    assert!(seen_before.is_err(), "seen so far before");
}

#[test]
fn bounds_are_told_by_name() {
    let mut peer = Peer::new("ann", Kind::Plan);
    peer.edit(create());
    let long = vec![0; MAX_BATCH_BYTES + 1];
    let fault = SignedBatch::decode(&long).unwrap_err();
    assert_eq!(fault.details["limit"], "MAX_BATCH_BYTES");
    let many: Vec<_> = (0..=MAX_BATCH_OPERATIONS).map(|n| add(&format!("i{n}"), "I")).collect();
    let fault = peer.try_edit(&many).unwrap_err();
    assert_eq!(fault.details["limit"], "MAX_BATCH_OPERATIONS");
    let items: Vec<_> = (0..1_024).map(|n| name(&format!("i{n}"))).collect();
    let operations = vec![Operation::DeleteItem { items }; 17];
    let agent = peer.agent.clone();
    let batch = peer.replica.document().next_batch(&agent, &peer.key, None, at(1), operations);
    let fault = batch.unwrap().sign(&peer.key).unwrap_err();
    assert_eq!(fault.details["limit"], "MAX_BATCH_EFFECTS");
    let fault = peer.try_edit(&[add("i", &"x".repeat(257))]).unwrap_err();
    assert_eq!(fault.details["field"], "title");
    assert_eq!(peer.replica.history().len(), 1);
}

#[test]
fn what_waits_is_bounded_and_verified_where_it_can_be() {
    let mut author = Peer::new("eve", Kind::Plan);
    author.edit(create());
    let mut batches = Vec::new();
    for n in 0..MAX_PENDING_BATCHES + 2 {
        batches.push(author.edit(add(&format!("i{n}"), "I")));
    }
    let mut replica = Replica::new(name("plan"), Kind::Plan);
    let mut refused = 0;
    for batch in batches[1..].iter().chain(&batches[1..3]) {
        if let Err(Refusal::Fault(fault)) = replica.receive(batch.clone()) {
            assert_eq!(fault.details["limit"], "MAX_PENDING_BATCHES");
            refused += 1;
        }
    }
    assert_eq!((replica.waiting(), refused), (MAX_PENDING_BATCHES, 1));
    // Once the beginning is there, all of it is applied.
    let beginning = author.replica.history().in_order()[..2].to_vec();
    let mut applied = 0;
    for batch in beginning {
        applied += replica.receive(batch.clone()).unwrap().applied.len();
    }
    assert_eq!((replica.waiting(), applied), (0, MAX_PENDING_BATCHES + 2));
}
