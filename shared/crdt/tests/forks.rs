//! Chains: what is forged, replayed or forked is refused, and a fork is a proof.

mod cluster;

use std::sync::Arc;

use cluster::{Peer, add, at, create, name, peers, titled};
use proptest::prelude::*;
use troupe_crdt::{
    AgentKey, Document, Edit, ForkProof, KEEPER, Kind, PublicKey, Refusal, SignedBatch, Standing,
};
use troupe_domain::Code;

/// Two peers, the second of which has forked: it holds one story and has told the other.
fn fork() -> (Peer, Peer, Arc<SignedBatch>, Arc<SignedBatch>) {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    let bob = all.pop().unwrap();
    let ann = all.pop().unwrap();
    let (mut here, mut there) = (bob.clone(), bob);
    let one = here.edit(titled("a", "One story"));
    let other = there.edit(titled("a", "Another story"));
    (ann, here, one, other)
}

#[test]
fn a_fork_is_refused_and_is_a_proof_that_verifies_offline() {
    let (mut ann, bob, one, other) = fork();
    ann.hear(&one).unwrap();
    let before = ann.replica.document().encode();
    let Err(Refusal::Fork(proof)) = ann.hear(&other) else { panic!("the fork was taken") };
    assert_eq!(ann.replica.document().encode(), before);
    assert_eq!((proof.agent(), proof.seq()), (&name("bob"), 1));
    assert_eq!(Refusal::Fork(proof.clone()).fault().code, Code::Conflict);

    // From nothing but bytes and a key; the same whoever found it.
    let bytes = proof.encode();
    let again = ForkProof::verify(&bytes, &bob.key.public()).unwrap();
    assert_eq!(again, *proof);
    let mirrored = ForkProof::of(bob.key.public(), &other, &one).unwrap();
    assert_eq!(mirrored.encode(), bytes);
    let stranger = AgentKey::from_seed([9; 32]).public();
    assert!(ForkProof::verify(&bytes, &stranger).is_err());
    assert!(ForkProof::of(bob.key.public(), &one, &one).is_err());
}

#[test]
fn an_older_fork_is_found_by_the_history() {
    let (mut ann, mut bob, one, other) = fork();
    ann.hear(&one).unwrap();
    for n in 0..3 {
        let batch = bob.edit(titled("a", &format!("Title {n}")));
        ann.hear(&batch).unwrap();
    }
    assert!(matches!(ann.hear(&other), Err(Refusal::Fork(_))));
    // What continues the other story fits nowhere.
    let mut there = bob.clone();
    there.replica = ann.replica.clone();
    let document = Document::new(name("plan"), Kind::Plan);
    assert!(matches!(document.standing(&one), Ok(Standing::Early(_))));
}

#[test]
fn a_batch_that_continues_the_other_story_is_refused() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    let (mut here, mut there) = (all[1].clone(), all[1].clone());
    let one = here.edit(titled("a", "One"));
    there.edit(titled("a", "Other"));
    let next = there.edit(titled("a", "Other, continued"));
    all[0].hear(&one).unwrap();
    let before = all[0].replica.document().hash();
    let Err(Refusal::Fault(fault)) = all[0].hear(&next) else { panic!("it was taken") };
    assert_eq!(fault.code, Code::Conflict);
    assert_eq!(all[0].replica.document().hash(), before);
}

#[test]
fn a_name_belongs_to_the_first_key() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    let real = all[1].edit(titled("a", "Bob's"));
    all[0].hear(&real).unwrap();
    let mut thief = all[0].clone();
    thief.agent = name("bob");
    thief.key = AgentKey::from_seed([66; 32]);
    let taken = thief.try_edit(&[titled("a", "Stolen")]).unwrap_err();
    assert_eq!(taken.code, Code::PermissionDenied);
    // With a chain of its own from the start.
    let mut thief = Peer::new("bob", Kind::Plan);
    thief.key = AgentKey::from_seed([66; 32]);
    let forged = thief.edit(create());
    let Err(Refusal::Fault(fault)) = all[0].hear(&forged) else { panic!("it was taken") };
    assert_eq!(fault.code, Code::PermissionDenied);
}

#[test]
fn a_replay_changes_nothing() {
    let mut all = peers(&["ann", "bob"], vec![add("a", "A")]);
    let batch = all[1].edit(titled("a", "Bob's"));
    all[0].hear(&batch).unwrap();
    let before = all[0].replica.document().clone();
    let decoded = Arc::new(SignedBatch::decode(batch.bytes()).unwrap());
    all[0].hear(&decoded).unwrap();
    assert!(*all[0].replica.document() == before);
    // In another document it is refused.
    let mut other = Document::new(name("other"), Kind::Plan);
    assert_eq!(other.apply(&batch).unwrap_err().code, Code::InvalidArgument);
}

#[test]
fn whoever_writes_for_somebody_is_told_apart() {
    let mut keeper = Peer::new(KEEPER, Kind::Plan);
    keeper.edit(create());
    let edits = [add("a", "A")];
    let caller = Some(name("carol"));
    let batch = keeper.replica.edit(&keeper.agent, &keeper.key, caller, at(5), &edits).unwrap();
    assert_eq!(batch.batch().on_behalf_of, Some(name("carol")));
    assert_eq!(keeper.plan().items[0].updated_by, name("carol"));
}

/// Nobody but the service speaks for others or forgets for good: who writes such a batch cannot sign
/// it, and who signs it all the same is refused by every replica, without the service too.
#[test]
fn what_is_the_keepers_is_refused_from_members() {
    let mut all = peers(&["ann", "eve"], vec![add("a", "A")]);
    let [ann, eve] = all.as_mut_slice() else { unreachable!() };
    let edits = [add("b", "B")];
    let caller = Some(name("carol"));
    let refused = eve.replica.edit(&eve.agent, &eve.key, caller, at(5), &edits).unwrap_err();
    assert_eq!(refused.code, Code::PermissionDenied);
    let items = vec![name("a")];
    let purge = [Edit::Purge { items: items.clone() }];
    let refused = eve.replica.edit(&eve.agent, &eve.key, None, at(5), &purge).unwrap_err();
    assert_eq!(refused.code, Code::PermissionDenied);
    // The bytes of the keeper's, in the name of a member.
    let mut keeper = Peer::new(KEEPER, Kind::Plan);
    keeper.edit(create());
    let batch = keeper.edit(Edit::Purge { items });
    let mut bytes = batch.bytes().to_vec();
    let place = bytes.windows(KEEPER.len()).position(|some| some == KEEPER.as_bytes()).unwrap();
    let member = "m".repeat(KEEPER.len());
    bytes[place..place + KEEPER.len()].copy_from_slice(member.as_bytes());
    assert_eq!(SignedBatch::decode(&bytes).unwrap_err().code, Code::PermissionDenied);
    assert_eq!(ann.plan().items.len(), 1);
}

proptest! {
    /// One flipped bit anywhere, and the batch is refused: by its form, or by its signature.
    #[test]
    fn no_bit_of_a_batch_can_be_changed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (mut ann, _, one, _) = fork();
        let before = ann.replica.document().hash();
        let mut bytes = one.bytes().to_vec();
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        if let Ok(changed) = SignedBatch::decode(&bytes) {
            let outcome = ann.hear(&Arc::new(changed));
            // A batch of an agent that is not known yet may wait for its beginning, unapplied.
            prop_assert!(outcome.is_err() || ann.replica.waiting() == 1);
        }
        prop_assert_eq!(ann.replica.document().hash(), before);
    }

    #[test]
    fn no_bit_of_a_proof_can_be_changed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (_, bob, one, other) = fork();
        let key = bob.key.public();
        let mut bytes = ForkProof::of(key, &one, &other).unwrap().encode();
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        prop_assert!(ForkProof::verify(&bytes, &key).is_err());
    }

    #[test]
    fn weak_keys_verify_nothing(low_order in prop::sample::select(vec![0_u8, 1, 0xec, 0xed])) {
        let mut key = [0_u8; 32];
        key[0] = low_order;
        let (_, _, one, _) = fork();
        prop_assert!(one.verify(&PublicKey::from_bytes(key)).is_err());
    }
}
