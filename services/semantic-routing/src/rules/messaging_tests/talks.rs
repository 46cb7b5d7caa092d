//! Sessions as a shard carries them: turns reach mailboxes, ends are told.

use troupe_contract::event::SESSION;
use troupe_contract::routing::{DeadReason, SayStatus, TranscriptRequest};
use troupe_domain::session::conversation::Opening;
use troupe_domain::session::{SessionLimits, SessionOutcome, Turn, TurnOrder};
use troupe_domain::{Code, MessageClass, MessageType, SessionType, VectorClock};

use super::*;

pub(super) fn opening(id: &str, participants: &[&str], now: i64) -> Opening {
    Opening {
        id: name(id),
        kind: SessionType::Negotiation,
        title: "a price".to_owned(),
        by: name(participants[0]),
        at: at(now),
        idle_ms: 600_000,
        anyone_may_join: false,
        turn_order: TurnOrder::Free,
        participants: participants.iter().map(|p| name(p)).collect(),
    }
}

pub(super) fn turn(by: &str, id: &str, clock: &[(&str, u64)], now: i64) -> Turn {
    let mut counts = VectorClock::default();
    for (who, count) in clock {
        counts.raise(&name(who), *count).unwrap();
    }
    Turn {
        id: name(id),
        by: name(by),
        class: MessageClass::Negotiation,
        subject: String::new(),
        body: Some(troupe_domain::Json::text(id)),
        clock: counts,
        said_at: at(now),
        trace: None,
    }
}

#[test]
fn turns_reach_the_others_in_causal_order_whoever_says_them() {
    let mut state = alone();
    state.open_session(opening("s", &["ann", "bob", "cat"], 0), at(0)).unwrap();
    let invited = pull(&mut state, "cat", 10, 1);
    assert_eq!((invited.len(), invited[0].message.kind), (1, MessageType::System));
    ack(&mut state, "cat", invited[0].message.id.as_str(), 1, AckOutcome::Acknowledged, 1);
    // bob's answer comes before what it answers.
    let held = state.say(&name("s"), turn("bob", "b1", &[("ann", 1), ("bob", 1)], 2), at(2));
    assert_eq!(held.unwrap().status, SayStatus::Held);
    assert!(pull(&mut state, "cat", 10, 3).is_empty());
    let heard = state.say(&name("s"), turn("ann", "a1", &[("ann", 1)], 4), at(4)).unwrap();
    assert_eq!((heard.status, heard.number), (SayStatus::Heard, Some(1)));
    assert_eq!(heard.clock.get(&name("bob")), 1);
    let got = pull(&mut state, "cat", 10, 5);
    assert_eq!(ids(&got), ["a1", "b1"]);
    assert_eq!(got[1].message.session.as_ref().unwrap().turn, Some(2));
    // The speaker does not hear itself; who said it again hears where it is.
    let again = state.say(&name("s"), turn("bob", "b1", &[("ann", 1), ("bob", 1)], 6), at(6));
    let again = again.unwrap();
    assert!(again.duplicate && again.number == Some(2));
    let for_bob = pull(&mut state, "bob", 10, 7);
    assert!(!ids(&for_bob).contains(&"b1") && ids(&for_bob).contains(&"a1"));
    let request = TranscriptRequest { session_id: name("s"), limit: Some(1), after: None };
    let page = state.transcript(&request, &name("ann")).unwrap();
    assert_eq!((page.entries.len(), page.next_after, page.total), (1, Some(1), 2));
    let fault = state.transcript(&request, &name("eve")).unwrap_err();
    assert_eq!(fault.code, Code::PermissionDenied);
    let records = take(&mut state);
    check_durable(&state, &records);
    check_conserved(&state);
}

#[test]
fn a_turn_that_waits_for_too_long_is_its_speakers_dead_letter() {
    let mut state = alone();
    state.open_session(opening("s", &["ann", "bob"], 0), at(0)).unwrap();
    state.say(&name("s"), turn("bob", "b1", &[("ann", 1), ("bob", 1)], 1), at(1)).unwrap();
    assert_eq!(state.timers().next(), Some(at(30_001)));
    state.fire_due(at(30_001), 10);
    assert_eq!(dead(&state, "bob"), [DeadReason::HeldTooLong]);
    let told = pull(&mut state, "bob", 10, 30_002);
    let kinds: Vec<MessageType> = told.iter().map(|told| told.message.kind).collect();
    assert!(kinds.contains(&MessageType::Error), "{kinds:?}");
    // What is held when a session ends is told as well.
    state.say(&name("s"), turn("bob", "b3", &[("ann", 1), ("bob", 3)], 2), at(40_000)).unwrap();
    let outcome = SessionOutcome::Agreed;
    let session = state.close_session(&name("s"), &name("ann"), outcome, "sold", at(40_001));
    assert_eq!(session.unwrap().end.unwrap().outcome, outcome);
    assert_eq!(dead(&state, "bob"), [DeadReason::HeldTooLong, DeadReason::SessionEnded]);
    let said = state.say(&name("s"), turn("ann", "a9", &[], 3), at(40_002));
    assert_eq!(said.unwrap_err().code, Code::FailedPrecondition);
    let notices: Vec<&str> = state.drafts().notices.iter().map(|notice| notice.event).collect();
    assert_eq!(notices, ["session_opened", "message_dead", "session_closed", "message_dead"]);
    assert!(state.drafts().notices.iter().any(|notice| notice.entity == SESSION));
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn sessions_are_bounded_by_name() {
    let settings = Settings {
        max_open_sessions: 1,
        max_session_bytes: 550,
        session: SessionLimits { max_participants: 2, ..SessionLimits::default() },
        ..Settings::new(0, 1)
    };
    let mut state = RoutingState::new(settings);
    let limit = |fault: troupe_domain::Fault| {
        assert_eq!(fault.code, Code::ResourceExhausted);
        fault.details["limit"].as_str().unwrap().to_owned()
    };
    let three = opening("s", &["ann", "bob", "cat"], 0);
    assert_eq!(limit(state.open_session(three, at(0)).unwrap_err()), "max_participants");
    state.open_session(opening("s", &["ann", "bob"], 0), at(0)).unwrap();
    // The same opening again is the same session; another with its id is refused.
    assert!(state.open_session(opening("s", &["ann", "bob"], 0), at(1)).is_ok());
    let other = state.open_session(opening("s", &["bob", "ann"], 0), at(1)).unwrap_err();
    assert_eq!(other.code, Code::AlreadyExists);
    let second = opening("s2", &["ann", "bob"], 0);
    assert_eq!(limit(state.open_session(second, at(1)).unwrap_err()), "max_open_sessions");
    state.say(&name("s"), turn("ann", "a1", &[], 2), at(2)).unwrap();
    let full = state.say(&name("s"), turn("ann", "a2", &[], 3), at(3)).unwrap_err();
    assert_eq!(limit(full), "max_session_bytes");
    // Its end makes room.
    state.leave_session(&name("s"), &name("ann"), "", at(4)).unwrap();
    state.leave_session(&name("s"), &name("bob"), "", at(5)).unwrap();
    state.open_session(opening("s2", &["ann", "bob"], 6), at(6)).unwrap();
    let stats = state.statistics();
    assert_eq!((stats.open_sessions, stats.ended_sessions), (1, 1));
    let records = take(&mut state);
    check_durable(&state, &records);
}
