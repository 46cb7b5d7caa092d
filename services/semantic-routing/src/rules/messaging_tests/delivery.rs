//! One mailbox: order, leases, ends, bounds.

use troupe_contract::routing::DeadReason;
use troupe_domain::{Code, MessageType};

use super::*;
use crate::rules::hint::Hint;

#[test]
fn urgent_lanes_come_first_and_each_sender_keeps_its_order() {
    let mut state = alone();
    let say = |state: &mut RoutingState, sender: &str, id: &str, priority: &str, now: i64| {
        let fields = format!(r#"{{"recipient_id":"bob","priority":"{priority}"}}"#);
        state.send(message(sender, id, &fields, now), at(now)).unwrap();
    };
    say(&mut state, "ann", "a1", "normal", 0);
    say(&mut state, "cat", "c1", "low", 1);
    say(&mut state, "dan", "d1", "high", 2);
    say(&mut state, "cat", "c2", "critical", 3);
    // cat's lane is as urgent as the critical message in it; what comes before that one goes along.
    assert_eq!(ids(&pull(&mut state, "bob", 2, 4)), ["c1", "c2"]);
    assert_eq!(ids(&pull(&mut state, "bob", 10, 4)), ["d1", "a1"]);
    for id in ["a1", "c1", "c2", "d1"] {
        ack(&mut state, "bob", id, 1, AckOutcome::Acknowledged, 5);
    }
    // A low message that waited for long is before a critical one that came much later.
    say(&mut state, "ann", "a2", "low", 10);
    let much_later = 10 + 4 * 60_000;
    say(&mut state, "eve", "e1", "critical", much_later);
    state.fire_due(at(much_later), 1_000);
    let got = pull(&mut state, "bob", 1, much_later + 1_000);
    assert_eq!(ids(&got), ["a2"]);
}

#[test]
fn a_lane_with_a_message_out_waits_and_others_do_not() {
    let mut state = alone();
    send(&mut state, "ann", "a1", "bob", 0);
    send(&mut state, "ann", "a2", "bob", 1);
    send(&mut state, "cat", "c1", "bob", 2);
    assert_eq!(ids(&pull(&mut state, "bob", 1, 3)), ["a1"]);
    assert_eq!(ids(&pull(&mut state, "bob", 10, 4)), ["c1"]);
    assert_eq!(ids(&pull(&mut state, "bob", 10, 5)), Vec::<&str>::new());
    assert_eq!(ack(&mut state, "bob", "a1", 1, AckOutcome::Retry, 6), AckEffect::Done);
    // a1 waits for its next delivery, and a2 waits behind it.
    assert_eq!(ids(&pull(&mut state, "bob", 10, 7)), Vec::<&str>::new());
    assert_eq!(state.timers().next(), Some(at(106)));
    state.fire_due(at(106), 10);
    assert_eq!(take_ready(&mut state), [agent("bob")]);
    let again = pull(&mut state, "bob", 10, 106);
    assert_eq!(ids(&again), ["a1", "a2"]);
    assert_eq!(again[0].delivery_attempts, 2);
}

fn take_ready(state: &mut RoutingState) -> Vec<AgentId> {
    let hints = std::mem::take(&mut state.drafts().ready);
    let ready = hints.into_iter().filter_map(|hint| match hint {
        Hint::Mailbox(agent) => Some(agent),
        Hint::Ended(_) => None,
    });
    let mut ready: Vec<AgentId> = ready.collect();
    ready.split_off(ready.len() - 1)
}

#[test]
fn a_message_comes_back_with_back_off_and_dies_with_its_reason() {
    let mut state = alone();
    send(&mut state, "ann", "a1", "bob", 0);
    pull(&mut state, "ann", 1, 0);
    let mut now = 1;
    for (attempt, wait) in [(1, 100), (2, 200)] {
        assert_eq!(pull(&mut state, "bob", 1, now)[0].delivery_attempts, attempt);
        now += 30_000;
        state.fire_due(at(now - 1), 10);
        assert_eq!(state.mailbox(&name("bob")).unwrap().out(), 1);
        state.fire_due(at(now), 10);
        assert!(pull(&mut state, "bob", 1, now + wait - 1).is_empty());
        now += wait;
    }
    assert_eq!(pull(&mut state, "bob", 1, now)[0].delivery_attempts, 3);
    state.fire_due(at(now + 30_000), 10);
    assert_eq!(dead(&state, "bob"), [DeadReason::MaxDeliver]);
    let told = pull(&mut state, "ann", 1, now + 30_000);
    assert_eq!((told[0].message.kind, told[0].message.requires_ack), (MessageType::Error, true));
    let body = told[0].message.body.as_ref().unwrap().to_value();
    assert_eq!((&body["message_id"], &body["reason"]), (&"a1".into(), &"max_deliver".into()));
    // A failure to tell of a failure is told to nobody.
    ack(&mut state, "ann", told[0].message.id.as_str(), 1, AckOutcome::Rejected, now + 30_001);
    assert_eq!(dead(&state, "ann"), [DeadReason::Rejected]);
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn a_stale_attempt_writes_nothing() {
    let mut state = alone();
    send(&mut state, "ann", "a1", "bob", 0);
    pull(&mut state, "bob", 1, 0);
    state.fire_due(at(30_000), 10);
    pull(&mut state, "bob", 1, 30_100);
    take(&mut state);
    let before = stored(&state);
    for outcome in
        [AckOutcome::Acknowledged, AckOutcome::Read, AckOutcome::Retry, AckOutcome::Rejected]
    {
        for attempt in [0, 1, 3] {
            let effect = ack(&mut state, "bob", "a1", attempt, outcome, 30_101);
            assert_eq!(effect, AckEffect::Stale, "{outcome:?} {attempt}");
        }
        let effect = ack(&mut state, "eve", "a1", 2, outcome, 30_101);
        assert_eq!(effect, AckEffect::Unknown);
    }
    assert!(take(&mut state).is_empty());
    assert_eq!(stored(&state), before);
    assert_eq!(ack(&mut state, "bob", "a1", 2, AckOutcome::Acknowledged, 2), AckEffect::Done);
    assert_eq!(ack(&mut state, "bob", "a1", 2, AckOutcome::Acknowledged, 3), AckEffect::Unknown);
}

#[test]
fn a_late_word_on_the_newest_attempt_counts() {
    let mut state = alone();
    send(&mut state, "ann", "a1", "bob", 0);
    pull(&mut state, "bob", 1, 0);
    state.fire_due(at(30_000), 10);
    assert_eq!(ack(&mut state, "bob", "a1", 1, AckOutcome::Read, 30_001), AckEffect::Stale);
    let late = ack(&mut state, "bob", "a1", 1, AckOutcome::Acknowledged, 30_001);
    assert_eq!(late, AckEffect::Done);
    assert!(pull(&mut state, "bob", 1, 60_000).is_empty());
}

#[test]
fn reading_begins_the_wait_anew() {
    let mut state = alone();
    send(&mut state, "ann", "a1", "bob", 0);
    pull(&mut state, "bob", 1, 0);
    let request = ack_request("a1", 1, AckOutcome::Read);
    let results = state.acknowledge(&name("bob"), &request, at(20_000), 0.0).unwrap();
    assert_eq!(results[0].status, Some(troupe_domain::message::DeliveryStatus::Read));
    state.fire_due(at(49_999), 10);
    assert_eq!(state.mailbox(&name("bob")).unwrap().out(), 1);
    state.fire_due(at(50_000), 10);
    assert_eq!(state.mailbox(&name("bob")).unwrap().out(), 0);
}

#[test]
fn one_id_is_one_message_and_a_repeated_pull_gets_what_it_got() {
    let mut state = alone();
    send(&mut state, "ann", "x", "bob", 0);
    assert!(state.send(direct("ann", "x", "bob", 1), at(1)).unwrap().duplicate);
    // Another sender may use the same id.
    send(&mut state, "cat", "x", "bob", 2);
    let id = Some("p1".to_owned());
    let want = Pull { max: 10, ack_wait_ms: None, id, wanted: Wanted::Everything };
    let first = state.pull(&name("bob"), &want, at(3)).unwrap();
    assert_eq!(first.messages.len(), 2);
    let again = state.pull(&name("bob"), &want, at(4)).unwrap();
    assert_eq!(again, first);
    let request = ack_request("x", 1, AckOutcome::Acknowledged);
    let results = state.acknowledge(&name("bob"), &request, at(5), 0.0).unwrap();
    assert_eq!(results[0].result, AckEffect::Refused, "whose x?");
    let mut request = request;
    request.messages[0].sender_id = Some(name("cat"));
    let results = state.acknowledge(&name("bob"), &request, at(5), 0.0).unwrap();
    assert_eq!(results[0].result, AckEffect::Done);
    // Done is done: the id is remembered.
    assert!(state.send(direct("cat", "x", "bob", 6), at(6)).unwrap().duplicate);
}

#[test]
fn what_needs_no_acknowledgement_is_done_when_it_is_handed_out() {
    let mut state = alone();
    let fields = r#"{"recipient_id":"bob","requires_ack":false}"#;
    state.send(message("ann", "a1", fields, 0), at(0)).unwrap();
    state.send(message("ann", "a2", fields, 1), at(1)).unwrap();
    let got = pull(&mut state, "bob", 10, 2);
    assert_eq!(ids(&got), ["a1", "a2"]);
    assert_eq!(got[0].ack_by, None);
    assert!(state.mailbox(&name("bob")).unwrap().is_empty());
    check_conserved(&state);
}

#[test]
fn a_message_expires_where_it_waits() {
    let mut state = alone();
    let fields = r#"{"recipient_id":"bob","expires_in_ms":1000}"#;
    state.send(message("ann", "a1", fields, 0), at(0)).unwrap();
    send(&mut state, "ann", "a2", "bob", 1);
    assert_eq!(state.timers().next(), Some(at(1_000)));
    // Even before its timer fired it is handed to nobody.
    assert_eq!(ids(&pull(&mut state, "bob", 10, 1_000)), ["a2"]);
    state.fire_due(at(1_000), 10);
    assert_eq!(dead(&state, "bob"), [DeadReason::Expired]);
    check_conserved(&state);
}

#[test]
fn bounds_refuse_by_name() {
    let settings = Settings {
        max_mailboxes: 2,
        max_messages_per_mailbox: 2,
        max_bytes_per_mailbox: 2_000,
        max_patterns_per_mailbox: 1,
        ..Settings::new(0, 1)
    };
    let mut state = RoutingState::new(settings);
    let refused = |state: &mut RoutingState, id: &str, to: &str, fields: &str| {
        let fields = format!(r#"{{"recipient_id":"{to}"{fields}}}"#);
        let fault = state.send(message("ann", id, &fields, 0), at(0)).unwrap_err();
        assert_eq!(fault.code, Code::ResourceExhausted);
        fault.details["limit"].as_str().unwrap().to_owned()
    };
    let body = format!(r#","body":"{}""#, "x".repeat(2_000));
    assert_eq!(refused(&mut state, "a0", "bob", &body), "max_bytes_per_mailbox");
    send(&mut state, "ann", "a1", "bob", 0);
    send(&mut state, "ann", "a2", "bob", 0);
    assert_eq!(refused(&mut state, "a3", "bob", ""), "max_messages_per_mailbox");
    send(&mut state, "ann", "a4", "nobody-yet", 0);
    assert_eq!(refused(&mut state, "a5", "too-many", ""), "max_mailboxes");
    let patterns = ["a", "b"].map(|p| troupe_domain::TopicPattern::parse(p).unwrap()).to_vec();
    let fault = state.follow(&name("bob"), patterns, at(0)).unwrap_err();
    assert_eq!(fault.details["limit"], "max_patterns_per_mailbox");
    // Nothing that was refused is remembered: it may be sent again.
    ack(&mut state, "bob", "a1", 0, AckOutcome::Acknowledged, 0);
    pull(&mut state, "bob", 2, 1);
    ack(&mut state, "bob", "a1", 1, AckOutcome::Acknowledged, 2);
    send(&mut state, "ann", "a3", "bob", 3);
}

#[test]
fn an_empty_mailbox_goes_when_nobody_used_it_for_long() {
    let mut state = alone();
    let week = 7 * 24 * 60 * 60 * 1000;
    let pattern = troupe_domain::TopicPattern::parse("news.>").unwrap();
    state.follow(&name("bob"), vec![pattern], at(0)).unwrap();
    pull(&mut state, "bob", 1, 1_000);
    state.fire_due(at(week), 10);
    assert!(state.mailbox(&name("bob")).is_some(), "its owner looked since");
    state.fire_due(at(week + 1_000), 10);
    assert!(state.mailbox(&name("bob")).is_none());
    assert!(state.followers.is_empty() && state.timers().is_empty());
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn a_message_is_handed_on_under_its_first_name_and_not_in_a_circle() {
    let mut state = alone();
    send(&mut state, "ann", "a1", "h0", 0);
    let hand_on = |state: &mut RoutingState, from: &str, to: &str| {
        pull(state, from, 1, 1);
        let mut request = ack_request("a1", 1, AckOutcome::Forwarded);
        request.forward_to = Some(name(to));
        state.acknowledge(&name(from), &request, at(1), 0.0).unwrap().remove(0)
    };
    for hop in 0..10 {
        let (from, to) = (format!("h{hop}"), format!("h{}", hop + 1));
        if hop > 0 {
            let back = hand_on(&mut state, &from, "h0");
            assert_eq!(back.result, AckEffect::Refused, "{back:?}");
        }
        assert_eq!(hand_on(&mut state, &from, &to).result, AckEffect::Done);
    }
    let last = hand_on(&mut state, "h10", "h11");
    assert_eq!(last.result, AckEffect::Refused);
    assert!(last.reason.unwrap().contains("10 times"));
    let entry = state.mailbox(&name("h10")).unwrap().entries().next().unwrap().1;
    assert_eq!(entry.message.sender_id, name("ann"));
    assert_eq!(entry.message.routing.path.len(), 10);
    check_conserved(&state);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn an_answer_passes_what_its_sender_said_before_and_can_be_waited_for_alone() {
    let mut state = alone();
    let to_r1 = || Wanted::AnswersTo(name("r1"));
    send(&mut state, "bob", "b1", "ann", 0);
    assert_eq!(ids(&pull(&mut state, "ann", 1, 1)), ["b1"]);
    // While ann has b1 in her hands she asks bob for something, who has said more in between.
    let ask = message("ann", "r1", r#"{"recipient_id":"bob","type":"request"}"#, 2);
    state.send(ask, at(2)).unwrap();
    send(&mut state, "bob", "b2", "ann", 3);
    send(&mut state, "cat", "c1", "ann", 3);
    take_ready(&mut state);
    assert_eq!(pull_wanted(&mut state, "ann", to_r1(), 10, 3).len(), 0);
    let fields = r#"{"recipient_id":"ann","type":"response","request_id":"r1"}"#;
    state.send(message("bob", "answer", fields, 4), at(4)).unwrap();
    assert_eq!(take_ready(&mut state), [agent("ann")], "though c1 was ready before");
    assert_eq!(ids(&pull_wanted(&mut state, "ann", Wanted::NoAnswers, 10, 4)), ["c1"]);
    assert_eq!(ids(&pull_wanted(&mut state, "ann", to_r1(), 10, 5)), ["answer"]);
    assert_eq!(pull_wanted(&mut state, "ann", to_r1(), 10, 6).len(), 0);
    assert_eq!(pull(&mut state, "ann", 10, 7).len(), 0, "b2 waits behind b1");
}

#[test]
fn a_request_ends_once_by_its_response_or_by_time() {
    let mut state = alone();
    let ask = |state: &mut RoutingState, id: &str, now: i64| {
        let fields = r#"{"recipient_id":"bob","type":"request","timeout_ms":5000}"#;
        state.send(message("ann", id, fields, now), at(now)).unwrap()
    };
    let answer = |state: &mut RoutingState, by: &str, id: &str, to: &str, now: i64| {
        let fields = format!(r#"{{"recipient_id":"ann","type":"response","request_id":"{to}"}}"#);
        state.send(message(by, id, &fields, now), at(now)).map_err(|fault| fault.code)
    };
    assert_eq!(ask(&mut state, "r1", 0).respond_by, Some(at(5_000)));
    // Somebody else's word does not end it.
    answer(&mut state, "eve", "e1", "r1", 1).unwrap();
    answer(&mut state, "bob", "b1", "r1", 2).unwrap();
    assert_eq!(answer(&mut state, "bob", "b2", "r1", 3), Err(Code::FailedPrecondition));
    ask(&mut state, "r2", 10);
    let got = pull(&mut state, "ann", 10, 11);
    assert_eq!(ids(&got), ["e1", "b1"]);
    pull(&mut state, "bob", 10, 11);
    state.fire_due(at(5_010), 10);
    let told = pull(&mut state, "ann", 10, 5_010);
    assert_eq!(told.len(), 1, "of r2 alone");
    assert_eq!(told[0].message.request_id, Some(name("r2")));
    assert_eq!(told[0].message.kind, MessageType::Error);
    assert_eq!(answer(&mut state, "bob", "b3", "r2", 5_011), Err(Code::FailedPrecondition));
    // A rejection is an answer as well: time has nothing to add.
    ask(&mut state, "r3", 6_000);
    pull(&mut state, "bob", 10, 6_001);
    // r2 expired in bob's hands; its lane goes on.
    state.fire_due(at(36_500), 100);
    let records = take(&mut state);
    check_durable(&state, &records);
    check_conserved(&state);
}

#[test]
fn a_rejected_request_is_over() {
    let mut state = alone();
    let fields = r#"{"recipient_id":"bob","type":"request","timeout_ms":60000}"#;
    state.send(message("ann", "r1", fields, 0), at(0)).unwrap();
    pull(&mut state, "bob", 1, 1);
    ack(&mut state, "bob", "r1", 1, AckOutcome::Rejected, 2);
    assert!(state.mailbox(&name("ann")).unwrap().requests.is_empty());
    let told = pull(&mut state, "ann", 10, 3);
    assert_eq!(told[0].message.request_id, Some(name("r1")));
    state.fire_due(at(60_000), 10);
    assert!(pull(&mut state, "ann", 10, 60_001).iter().all(|m| m.message.id == told[0].message.id));
}
