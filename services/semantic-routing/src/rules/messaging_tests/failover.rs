//! Messages for an intent: whoever was chosen fails, and the next best has it at once.

use proptest::collection::vec;
use proptest::prelude::*;
use troupe_contract::ingress::shard_of_agent;
use troupe_contract::routing::DeadReason;

use super::*;
use crate::rules::handing_on::chosen;
use crate::rules::hint::{Ended, Hint};
use crate::rules::request::execute;
use crate::rules::unfit::Unfitness;

/// An intent of `sender` for `to`, and those after it.
pub(super) fn intent(
    sender: &str,
    id: &str,
    to: &str,
    next: &[&str],
    now: i64,
) -> Arc<AgentMessage> {
    let fields = r#"{"intent":{"text":"do"},"expires_in_ms":600000}"#;
    let message = AgentMessage::clone(&message(sender, id, fields, now));
    let next = next.iter().map(|agent| name(agent)).collect();
    chosen(message, name(to), next, name("translate")).into()
}

pub(super) fn route(
    state: &mut RoutingState,
    sender: &str,
    id: &str,
    to: &str,
    next: &[&str],
    now: i64,
) {
    let sent = state.route(intent(sender, id, to, next, now), at(now)).unwrap();
    assert_eq!(sent.recipient_id, Some(name(to)));
}

/// What the process was told of messages that ended, as `agent how latency next`.
pub(super) fn told(state: &mut RoutingState) -> Vec<String> {
    let hints = std::mem::take(&mut state.drafts().ready);
    let ended = hints.into_iter().filter_map(|hint| match hint {
        Hint::Ended(Ended { agent, key, how, latency_ms, handed_to }) => {
            assert_eq!(key, name("translate"));
            let next = handed_to.map_or("-".to_owned(), |to| to.to_string());
            let latency = latency_ms.map_or("-".to_owned(), |ms| ms.to_string());
            Some(format!("{agent} {how:?} {latency} {next}"))
        }
        Hint::Mailbox(_) => None,
    });
    ended.collect()
}

#[test]
fn a_refusal_a_failure_and_silence_each_hand_it_on_at_once_with_attempts_anew() {
    let mut state = alone();
    route(&mut state, "ann", "m1", "bob", &["cat", "dan", "eve"], 0);
    pull(&mut state, "bob", 1, 10);
    assert_eq!(ack(&mut state, "bob", "m1", 1, AckOutcome::Rejected, 30), AckEffect::Done);
    assert_eq!(told(&mut state), ["bob Failed 20 cat"]);
    assert!(dead(&state, "bob").is_empty(), "somebody else has it");

    let got = pull(&mut state, "cat", 1, 30);
    assert_eq!((ids(&got), got[0].delivery_attempts), (vec!["m1"], 1));
    assert_eq!(got[0].message.sender_id, name("ann"));
    assert_eq!(got[0].message.routing.path, [name("bob")]);
    // What its former holder still says of it writes nothing.
    assert_eq!(ack(&mut state, "bob", "m1", 1, AckOutcome::Acknowledged, 31), AckEffect::Unknown);
    assert_eq!(ack(&mut state, "cat", "m1", 1, AckOutcome::Retry, 35), AckEffect::Done);
    assert_eq!(told(&mut state), ["cat Failed 5 dan"]);

    pull(&mut state, "dan", 1, 40);
    state.fire_due(at(30_039), 10);
    assert!(told(&mut state).is_empty());
    state.fire_due(at(30_040), 10);
    assert_eq!(told(&mut state), ["dan Failed 30000 eve"]);

    // Nobody is left: the last one is asked again as anybody would be.
    pull(&mut state, "eve", 1, 30_050);
    ack(&mut state, "eve", "m1", 1, AckOutcome::Retry, 30_060);
    assert_eq!(told(&mut state), ["eve Failed 10 -"]);
    let again = pull(&mut state, "eve", 1, 30_200);
    assert_eq!((again[0].delivery_attempts, again[0].message.routing.hops), (2, 3));
    ack(&mut state, "eve", "m1", 2, AckOutcome::Acknowledged, 30_300);
    assert_eq!(told(&mut state), ["eve Done 100 -"]);
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn what_waits_for_an_agent_that_is_gone_goes_to_the_next_best() {
    let mut state = alone();
    route(&mut state, "ann", "m1", "bob", &["cat"], 0);
    route(&mut state, "ann", "m2", "bob", &["cat", "dan"], 1);
    route(&mut state, "ann", "m3", "bob", &[], 2);
    send(&mut state, "ann", "named", "bob", 3);
    pull(&mut state, "bob", 1, 4);
    told(&mut state);
    let failing = |key: &str| Unfitness::Failing(name(key));
    assert_eq!(state.take_from(&name("bob"), &failing("other"), at(5)), 0);
    // m1 is in bob's hands, m3 has nobody else, and the last was sent to bob by name.
    assert_eq!(state.take_from(&name("bob"), &Unfitness::Resting, at(5)), 1);
    assert_eq!(told(&mut state), ["bob Left - cat"]);
    assert_eq!(ids(&pull(&mut state, "cat", 10, 6)), ["m2"]);
    assert_eq!(state.take_from(&name("bob"), &Unfitness::Resting, at(7)), 0);
    ack(&mut state, "bob", "m1", 1, AckOutcome::Acknowledged, 8);
    assert_eq!(ids(&pull(&mut state, "bob", 10, 9)), ["m3", "named"]);
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn a_full_mailbox_is_passed_over() {
    let settings = Settings { max_messages_per_mailbox: 1, ..Settings::new(0, 1) };
    let mut state = RoutingState::new(settings);
    send(&mut state, "ann", "first", "bob", 0);
    let sent = state.route(intent("ann", "m1", "bob", &["cat"], 1), at(1)).unwrap();
    assert_eq!(sent.recipient_id, Some(name("cat")));
    assert_eq!(told(&mut state), ["bob Left - cat"]);
    // Everybody is full: the sender is told at once, by the limit's name.
    let fault = state.route(intent("ann", "m2", "bob", &["cat"], 2), at(2)).unwrap_err();
    assert_eq!(fault.details["limit"], "max_messages_per_mailbox");
    check_conserved(&state);
}

#[test]
fn a_mailbox_of_another_shard_that_is_full_is_passed_over_there() {
    let mut shards: Vec<RoutingState> = (0..2)
        .map(|shard| {
            let settings = Settings::new(shard, 2);
            RoutingState::new(Settings { max_messages_per_mailbox: 1, ..settings })
        })
        .collect();
    let of = |shard: u16| {
        let names = (0..100).map(|number| format!("a{number}"));
        names.filter(|text| shard_of_agent(&name(text), 2) == shard).collect::<Vec<_>>()
    };
    let (here, there) = (of(0), of(1));
    let (sender, first, full, last) = (&here[0], &here[1], &there[0], &here[2]);
    send(&mut shards[1], "ann", "before", full, 0);
    // Refused by the first; the next is in the other shard, and full; the last is here again.
    route(&mut shards[0], sender, "m1", first, &[full, last], 1);
    pull(&mut shards[0], first, 1, 2);
    ack(&mut shards[0], first, "m1", 1, AckOutcome::Rejected, 3);
    for from in [0, 1] {
        for letter in shards[from].letters(10) {
            let to = &mut shards[usize::from(letter.to)];
            execute(to, letter.request, at(4), 0.0).unwrap();
            shards[from].delivered(vec![letter.number]);
        }
    }
    assert_eq!(told(&mut shards[1]), [format!("{full} Left - {last}")]);
    let got = pull(&mut shards[0], last, 1, 5);
    assert_eq!(ids(&got), ["m1"]);
    assert_eq!(got[0].message.routing.path, [name(first)], "who was full never had it");
    for shard in &mut shards {
        check_conserved(shard);
        let records = take(shard);
        check_durable(shard, &records);
    }
}

#[test]
fn a_request_that_was_handed_on_is_answered_by_its_new_holder() {
    let mut state = alone();
    let fields = r#"{"intent":{"text":"do"},"type":"request","timeout_ms":60000}"#;
    let asked = AgentMessage::clone(&message("ann", "r1", fields, 0));
    let asked = chosen(asked, name("bob"), vec![name("cat")], name("translate"));
    state.route(asked.into(), at(0)).unwrap();
    pull(&mut state, "bob", 1, 1);
    ack(&mut state, "bob", "r1", 1, AckOutcome::Rejected, 2);
    pull(&mut state, "cat", 1, 3);
    let response = r#"{"recipient_id":"ann","type":"response","request_id":"r1"}"#;
    // Who refused it does not end it any more.
    state.send(message("bob", "late", response, 4), at(4)).unwrap();
    assert_eq!(state.mailbox(&name("ann")).unwrap().requests.len(), 1);
    state.send(message("cat", "answer", response, 5), at(5)).unwrap();
    assert!(state.mailbox(&name("ann")).unwrap().requests.is_empty());
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn what_expired_is_not_handed_on() {
    let mut state = alone();
    let fields = r#"{"intent":{"text":"do"},"expires_in_ms":1000}"#;
    let short = AgentMessage::clone(&message("ann", "m1", fields, 0));
    let short = chosen(short, name("bob"), vec![name("cat")], name("translate"));
    state.route(short.into(), at(0)).unwrap();
    pull(&mut state, "bob", 1, 1);
    state.fire_due(at(30_001), 10);
    assert_eq!(dead(&state, "bob"), [DeadReason::Expired]);
    assert!(state.mailbox(&name("cat")).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever its holders do, a message is never at two agents, never twice at one, and ends.
    #[test]
    fn a_message_has_one_holder_and_each_holder_has_it_once(
        steps in vec((0_u8..4, 0_u8..5), 1..30),
    ) {
        let mut state = alone();
        let all = ["a0", "a1", "a2", "a3"];
        route(&mut state, "ann", "m1", all[0], &all[1..], 0);
        let mut now = 0;
        let mut records = Vec::new();
        let mut had: Vec<String> = Vec::new();
        for (who, what) in steps {
            now += 100;
            let holders: Vec<&str> = all
                .into_iter()
                .filter(|agent| state.waiting_for(&name(agent)) > 0)
                .collect();
            prop_assert!(holders.len() <= 1, "{holders:?}");
            if let Some(holder) = holders.first()
                && had.last().map(String::as_str) != Some(*holder)
            {
                prop_assert!(!had.iter().any(|before| before == holder), "{had:?} {holder}");
                had.push((*holder).to_owned());
            }
            let agent = all[usize::from(who)];
            match what {
                0 => drop(pull(&mut state, agent, 1, now)),
                1 => { ack(&mut state, agent, "m1", 1, AckOutcome::Rejected, now); }
                2 => { ack(&mut state, agent, "m1", 1, AckOutcome::Retry, now); }
                3 => { state.take_from(&name(agent), &Unfitness::Resting, at(now)); }
                _ => {
                    now += 31_000;
                    state.fire_due(at(now), 100);
                }
            }
            check_conserved(&state);
            records.extend(take(&mut state));
        }
        check_durable(&state, &records);
    }
}
