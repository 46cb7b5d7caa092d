//! Agents that crash, fail or begin anew with messages in their hands.

use proptest::collection::vec;
use proptest::prelude::*;
use troupe_contract::routing::DeadReason;

use super::failover::{intent, route, told};
use super::*;
use crate::rules::handing_on::MAX_HANDED_ON;
use crate::rules::unfit::Unfitness;

fn take_from(state: &mut RoutingState, agent: &str, why: &Unfitness, now: i64) -> u64 {
    state.take_from(&name(agent), why, at(now))
}

fn failing(key: &str) -> Unfitness {
    Unfitness::Failing(name(key))
}

#[test]
fn what_a_crashed_agent_holds_by_intent_is_the_next_bests_at_once() {
    let mut state = alone();
    route(&mut state, "ann", "held", "bob", &["cat"], 0);
    pull(&mut state, "bob", 1, 10);
    route(&mut state, "ann", "waits", "bob", &["cat"], 20);
    told(&mut state);
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Gone, 30), 2);
    // It failed at what it had, and nothing is said of it by what only waited.
    assert_eq!(told(&mut state), ["bob Failed 20 cat", "bob Left - cat"]);
    let got = pull(&mut state, "cat", 10, 30);
    assert_eq!(ids(&got), ["held", "waits"]);
    assert_eq!((got[0].delivery_attempts, &got[0].message.routing.path), (1, &vec![name("bob")]));
    // It was not dead after all, and is done with it. That is nobody's business any more.
    assert_eq!(ack(&mut state, "bob", "held", 1, AckOutcome::Acknowledged, 40), AckEffect::Unknown);
    assert_eq!(ack(&mut state, "cat", "held", 1, AckOutcome::Acknowledged, 50), AckEffect::Done);
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Gone, 60), 0, "twice is once");
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn what_was_sent_to_a_crashed_agent_by_name_can_be_read_again_when_it_is_back() {
    let mut state = alone();
    for (id, to) in [("early", "bob"), ("late", "bob"), ("other", "dan")] {
        send(&mut state, "ann", id, to, 0);
    }
    pull(&mut state, "bob", 1, 1);
    pull(&mut state, "dan", 1, 1);
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Gone, 100), 1);
    let again = pull(&mut state, "bob", 10, 100);
    assert_eq!(ids(&again), ["early", "late"], "nothing overtakes it");
    assert_eq!((again[0].delivery_attempts, again[1].delivery_attempts), (2, 1));
    // The word of the life that crashed comes too late.
    assert_eq!(ack(&mut state, "bob", "early", 1, AckOutcome::Acknowledged, 101), AckEffect::Stale);
    assert_eq!(ack(&mut state, "bob", "early", 2, AckOutcome::Acknowledged, 102), AckEffect::Done);
    assert_eq!(ack(&mut state, "dan", "other", 1, AckOutcome::Acknowledged, 103), AckEffect::Done);
    // Until it was delivered again, it does not: the agent was only slow.
    take_from(&mut state, "bob", &Unfitness::Gone, 200);
    assert_eq!(ack(&mut state, "bob", "late", 1, AckOutcome::Acknowledged, 201), AckEffect::Done);
    assert_eq!(state.waiting_for(&name("bob")), 0);
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn an_open_breaker_takes_what_was_chosen_under_its_key_and_nothing_that_nobody_else_can_have() {
    let mut state = alone();
    for (id, next) in [("m1", &["cat"][..]), ("m2", &["cat"]), ("alone", &[])] {
        state.route(intent(id, id, "bob", next, 0), at(0)).unwrap();
    }
    send(&mut state, "ann", "named", "bob", 0);
    assert_eq!(pull(&mut state, "bob", 10, 1).len(), 4);
    assert_eq!(take_from(&mut state, "bob", &failing("other"), 2), 0);
    assert_eq!(take_from(&mut state, "bob", &failing("translate"), 3), 2);
    assert_eq!(told(&mut state), ["bob Left 2 cat", "bob Left 2 cat"], "they were not judged");
    assert_eq!(ids(&pull(&mut state, "cat", 10, 4)), ["m1", "m2"]);
    assert_eq!(ack(&mut state, "bob", "alone", 1, AckOutcome::Acknowledged, 5), AckEffect::Done);
    assert_eq!(ack(&mut state, "bob", "named", 1, AckOutcome::Acknowledged, 6), AckEffect::Done);
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn a_new_life_gives_back_what_the_former_one_had_and_keeps_its_own() {
    let mut state = alone();
    send(&mut state, "ann", "former", "bob", 0);
    route(&mut state, "eve", "intent", "bob", &["cat"], 0);
    pull(&mut state, "bob", 10, 10);
    send(&mut state, "dan", "own", "bob", 20);
    let got = pull(&mut state, "bob", 10, 30);
    assert_eq!(ids(&got), ["own"]);
    // Routing hears of the new life when that one is at work already.
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Reborn(at(25)), 40), 2);
    assert_eq!(ids(&pull(&mut state, "cat", 10, 41)), ["intent"]);
    assert_eq!(ids(&pull(&mut state, "bob", 10, 41)), ["former"]);
    assert_eq!(ack(&mut state, "bob", "own", 1, AckOutcome::Acknowledged, 42), AckEffect::Done);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn the_last_delivery_and_what_expired_are_left_to_their_lease() {
    let mut state = alone();
    send(&mut state, "ann", "last", "bob", 0);
    for now in [0, 1] {
        pull(&mut state, "bob", 1, now);
        take_from(&mut state, "bob", &Unfitness::Gone, now);
    }
    pull(&mut state, "bob", 1, 2);
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Gone, 3), 0);
    assert!(dead(&state, "bob").is_empty(), "it may still be done");
    state.fire_due(at(30_002), 10);
    assert_eq!(dead(&state, "bob"), [DeadReason::MaxDeliver]);
    state
        .send(message("ann", "short", r#"{"recipient_id":"dan","expires_in_ms":1000}"#, 0), at(0))
        .unwrap();
    pull(&mut state, "dan", 1, 999);
    assert_eq!(take_from(&mut state, "dan", &Unfitness::Gone, 1_000), 0);
    check_conserved(&state);
}

#[test]
fn a_full_mailbox_is_emptied_in_bounded_goes() {
    let mut state = alone();
    let all = MAX_HANDED_ON + 1;
    for number in 0..all {
        let id = format!("m{number}");
        state.route(intent(&id, &id, "bob", &["cat"], 0), at(0)).unwrap();
    }
    while !pull(&mut state, "bob", 256, 1).is_empty() {}
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Gone, 2), MAX_HANDED_ON as u64);
    assert_eq!(take_from(&mut state, "bob", &Unfitness::Gone, 2), 1);
    assert_eq!(state.waiting_for(&name("cat")), all as u64);
    check_conserved(&state);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whoever crashes, fails or begins anew, and whatever late words say: each message has one holder,
    /// and one word ends it.
    #[test]
    fn one_word_ends_a_message_whoever_crashes(
        steps in vec((0_u8..4, 0_u8..8, 1_u32..4, any::<bool>()), 1..40),
    ) {
        let mut state = alone();
        let all = ["a0", "a1", "a2", "a3"];
        route(&mut state, "ann", "intent", all[0], &all[1..], 0);
        send(&mut state, "ben", "named", all[0], 0);
        let (mut now, mut records) = (0, Vec::new());
        let mut ends = std::collections::BTreeMap::new();
        for (who, what, attempt, named) in steps {
            now += 100;
            let agent = all[usize::from(who)];
            let id = if named { "named" } else { "intent" };
            match what {
                0 | 1 => drop(pull(&mut state, agent, 2, now)),
                2 => {
                    if ack(&mut state, agent, id, attempt, AckOutcome::Acknowledged, now)
                        == AckEffect::Done
                    {
                        *ends.entry(id).or_insert(0) += 1;
                    }
                }
                3 => drop(take_from(&mut state, agent, &Unfitness::Gone, now)),
                4 => drop(take_from(&mut state, agent, &Unfitness::Reborn(at(now - 150)), now)),
                5 => drop(take_from(&mut state, agent, &failing("translate"), now)),
                6 => drop(take_from(&mut state, agent, &Unfitness::Resting, now)),
                _ => {
                    now += 31_000;
                    state.fire_due(at(now), 100);
                }
            }
            for id in ["intent", "named"] {
                let has = |agent: &&&str| {
                    let mailbox = state.mailbox(&name(agent));
                    mailbox.is_some_and(|mailbox| !mailbox.find(&name(id), None).is_empty())
                };
                let holders = all.iter().filter(has).count();
                let ended = ends.get(id).copied().unwrap_or(0);
                prop_assert!(holders + ended <= 1, "{id}: {holders} have it, {ended} ended it");
            }
            check_conserved(&state);
            records.extend(take(&mut state));
        }
        check_durable(&state, &records);
    }
}
