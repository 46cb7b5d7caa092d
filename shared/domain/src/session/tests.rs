//! Conversations over a network that delays, repeats and reorders.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::change::Change;
use super::conversation::{Opening, TurnPlace};
use super::*;
use crate::fault::Code;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn opening(order: TurnOrder, participants: &[&str]) -> Opening {
    Opening {
        id: name("s"),
        kind: SessionType::Planning,
        title: "a plan".to_owned(),
        by: name(participants[0]),
        at: at(0),
        idle_ms: 60_000,
        anyone_may_join: false,
        turn_order: order,
        participants: participants.iter().map(|p| name(p)).collect(),
    }
}

fn turn(by: &str, id: &str, clock: &[(&str, u64)]) -> Turn {
    let mut counts = VectorClock::default();
    for (who, count) in clock {
        counts.raise(&name(who), *count).unwrap();
    }
    Turn {
        id: name(id),
        by: name(by),
        class: MessageClass::Planning,
        subject: String::new(),
        body: None,
        clock: counts,
        said_at: at(0),
        trace: None,
    }
}

fn limits() -> SessionLimits {
    SessionLimits::default()
}

fn carry_out(talk: &mut Conversation, changes: Vec<Change>, now: Timestamp) {
    changes.iter().for_each(|change| talk.apply(change, now));
}

fn say(talk: &mut Conversation, turn: Turn, now: i64) -> Result<(), Code> {
    let changes = talk.say(turn, &limits()).map_err(|fault| fault.code)?;
    carry_out(talk, changes, at(now));
    Ok(())
}

fn heard(talk: &Conversation) -> Vec<String> {
    let turns = talk.transcript().iter().filter_map(|entry| match &entry.what {
        TranscriptEvent::Turn(turn) => Some(turn.id.to_string()),
        _ => None,
    });
    turns.collect()
}

#[test]
fn a_turn_waits_for_what_it_answers_and_is_heard_after_it() {
    let mut talk = Conversation::open(opening(TurnOrder::Free, &["ann", "bob"]));
    say(&mut talk, turn("bob", "b1", &[("ann", 1), ("bob", 1)]), 1).unwrap();
    say(&mut talk, turn("bob", "b2", &[("ann", 1), ("bob", 2)]), 2).unwrap();
    assert_eq!(heard(&talk), Vec::<String>::new());
    assert_eq!(talk.session().held_turns, 2);
    say(&mut talk, turn("ann", "a1", &[("ann", 1)]), 3).unwrap();
    assert_eq!(heard(&talk), ["a1", "b1", "b2"]);
    // Twice is once, under its id and under its place.
    say(&mut talk, turn("ann", "a1", &[("ann", 1)]), 4).unwrap();
    assert_eq!(say(&mut talk, turn("ann", "x", &[("ann", 1)]), 4), Err(Code::AlreadyExists));
    assert_eq!(heard(&talk).len(), 3);
}

#[test]
fn a_turn_without_a_clock_comes_after_all_that_was_heard() {
    let mut talk = Conversation::open(opening(TurnOrder::Free, &["ann", "bob"]));
    say(&mut talk, turn("ann", "a1", &[]), 1).unwrap();
    say(&mut talk, turn("bob", "b1", &[]), 2).unwrap();
    let TranscriptEvent::Turn(last) = &talk.transcript()[1].what else { panic!() };
    assert_eq!((last.clock.get(&name("ann")), last.clock.get(&name("bob"))), (1, 1));
}

#[test]
fn what_does_not_come_in_time_is_declared_and_the_rest_goes_on() {
    let mut talk = Conversation::open(opening(TurnOrder::Free, &["ann", "bob"]));
    // ann's first turn is lost. bob's second depends on it, bob's first does not.
    say(&mut talk, turn("bob", "b2", &[("ann", 1), ("bob", 2)]), 0).unwrap();
    say(&mut talk, turn("ann", "a2", &[("ann", 2)]), 10).unwrap();
    carry_out_tick(&mut talk, 29_999);
    assert_eq!(talk.session().held_turns, 2);
    carry_out_tick(&mut talk, 30_000);
    // b2 waited too long, for a turn of ann's and for one of its own.
    assert_eq!(talk.place(&name("bob"), &name("b2")), Some(TurnPlace::Missing));
    assert_eq!(talk.session().clock.get(&name("bob")), 2);
    say(&mut talk, turn("bob", "b3", &[("bob", 3)]), 30_001).unwrap();
    assert_eq!(heard(&talk), ["b3"]);
    carry_out_tick(&mut talk, 30_010);
    assert_eq!(talk.session().held_turns, 0);
    assert_eq!(say(&mut talk, turn("ann", "a1", &[("ann", 1)]), 30_011), Err(Code::AlreadyExists));
    say(&mut talk, turn("ann", "a3", &[("ann", 3), ("bob", 3)]), 30_012).unwrap();
    assert_eq!(heard(&talk), ["b3", "a3"]);
}

fn carry_out_tick(talk: &mut Conversation, now: i64) {
    let changes = talk.tick(&limits(), at(now));
    carry_out(talk, changes, at(now));
}

#[test]
fn in_a_strict_order_everybody_speaks_in_turn_and_leaving_passes_the_word() {
    let mut talk = Conversation::open(opening(TurnOrder::RoundRobin, &["ann", "bob", "cat"]));
    assert_eq!(say(&mut talk, turn("bob", "b1", &[]), 1), Err(Code::FailedPrecondition));
    // cat answers bob before bob's turn is here: it waits for both.
    let answer = turn("cat", "c1", &[("ann", 1), ("bob", 1), ("cat", 1)]);
    say(&mut talk, answer, 1).unwrap();
    say(&mut talk, turn("ann", "a1", &[]), 2).unwrap();
    assert_eq!(talk.session().next_speaker, Some(name("bob")));
    say(&mut talk, turn("bob", "b1", &[]), 3).unwrap();
    assert_eq!(heard(&talk), ["a1", "b1", "c1"]);
    let changes = talk.leave(&name("ann"), "").unwrap();
    carry_out(&mut talk, changes, at(4));
    assert_eq!(talk.session().next_speaker, Some(name("bob")));
}

#[test]
fn limits_refuse_and_the_end_is_the_end() {
    let mut talk = Conversation::open(opening(TurnOrder::Free, &["ann", "bob"]));
    let few = SessionLimits { max_turns: 1, max_held_turns: 1, ..limits() };
    let changes = talk.say(turn("ann", "a3", &[("ann", 3)]), &few).unwrap();
    carry_out(&mut talk, changes, at(1));
    for (turn, limit) in [
        (turn("bob", "b1", &[]), "max_turns"),
        (turn("ann", "a9", &[("ann", 999)]), "MAX_TURNS_AHEAD"),
    ] {
        let fault = talk.say(turn, &few).unwrap_err();
        assert_eq!((fault.code, &fault.details["limit"]), (Code::ResourceExhausted, &limit.into()));
    }
    let held = SessionLimits { max_held_turns: 1, ..limits() };
    let fault = talk.say(turn("bob", "b2", &[("bob", 2)]), &held).unwrap_err();
    assert_eq!(fault.details["limit"], "max_held_turns");
    let stranger = turn("ann", "a1", &[("ann", 1), ("eve", 1)]);
    assert_eq!(talk.say(stranger, &limits()).unwrap_err().code, Code::InvalidArgument);
    assert_eq!(
        talk.say(turn("eve", "e1", &[]), &limits()).unwrap_err().code,
        Code::PermissionDenied
    );
    assert_eq!(talk.join(&name("eve"), &limits()).unwrap_err().code, Code::PermissionDenied);

    let changes = talk.close(&name("bob"), SessionOutcome::Agreed, "done").unwrap();
    carry_out(&mut talk, changes, at(2));
    assert_eq!(talk.session().held_turns, 0);
    assert_eq!(talk.place(&name("ann"), &name("a3")), Some(TurnPlace::Missing));
    assert_eq!(say(&mut talk, turn("ann", "a1", &[]), 3), Err(Code::FailedPrecondition));
    assert_eq!(talk.tick(&limits(), at(1_000_000)), Vec::new());
}

#[test]
fn a_silent_session_ends_by_itself() {
    let mut talk = Conversation::open(opening(TurnOrder::Free, &["ann", "bob"]));
    carry_out_tick(&mut talk, 59_999);
    assert!(talk.is_open());
    carry_out_tick(&mut talk, 60_000);
    assert_eq!(talk.session().status, SessionStatus::Expired);
    assert_eq!(talk.session().end.unwrap().outcome, SessionOutcome::Abandoned);
}

/// Agents that speak from what they have seen: each step, one hears some of what was said and speaks.
fn spoken(steps: &[(u8, u8)]) -> Vec<Turn> {
    const AGENTS: [&str; 4] = ["ann", "bob", "cat", "dan"];
    let mut seen: BTreeMap<&str, VectorClock> = BTreeMap::new();
    let mut said: Vec<Turn> = Vec::new();
    for (step, (who, hears)) in steps.iter().enumerate() {
        let who = AGENTS[usize::from(*who) % AGENTS.len()];
        let mut clock = seen.remove(who).unwrap_or_default();
        if !said.is_empty() {
            clock = clock.merge(&said[usize::from(*hears) % said.len()].clock).unwrap();
        }
        clock.increment(&name(who)).unwrap();
        seen.insert(who, clock.clone());
        let mut turn = turn(who, &format!("t{step}"), &[]);
        turn.clock = clock;
        turn.said_at = at(step as i64);
        said.push(turn);
    }
    said
}

/// Everything that a turn had seen stands before it, or is declared missing before it.
fn check_causality(talk: &Conversation) -> Result<(), TestCaseError> {
    let mut past: BTreeSet<(Name, u64)> = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for entry in talk.transcript() {
        match &entry.what {
            TranscriptEvent::Turn(turn) => {
                for (who, count) in turn.clock.iter() {
                    let upto = if *who == turn.by { count - 1 } else { count };
                    for earlier in 1..=upto {
                        let there = past.contains(&(who.clone(), earlier));
                        prop_assert!(there, "{} before {who} {earlier}", turn.id);
                    }
                }
                prop_assert!(past.insert((turn.by.clone(), turn.count())), "twice: {}", turn.id);
                prop_assert!(ids.insert(turn.id.clone()));
            }
            TranscriptEvent::Missing(missing) => {
                prop_assert!(past.insert((missing.by.clone(), missing.count)));
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_order_of_arrival_gives_a_causal_transcript(
        steps in vec((0_u8..4, any::<u8>()), 1..40),
        // For each turn: lost, or copies with delays.
        network in vec((0_u8..10, vec(0_i64..20_000, 1..3)), 40),
        lossy in any::<bool>(),
    ) {
        let said = spoken(&steps);
        let mut arrivals: Vec<(i64, usize)> = Vec::new();
        for (index, (luck, delays)) in network.iter().take(said.len()).enumerate() {
            if !(lossy && *luck == 0) {
                arrivals.extend(delays.iter().map(|delay| (index as i64 * 100 + delay, index)));
            }
        }
        arrivals.sort_unstable();
        let mut talk = Conversation::open(opening(TurnOrder::Free, &["ann", "bob", "cat", "dan"]));
        let mut changes_made = Vec::new();
        for (now, index) in &arrivals {
            for changes in [talk.tick(&limits(), at(*now)), talk.say(said[*index].clone(), &limits()).unwrap_or_default()] {
                changes_made.extend(changes.iter().map(|change| (change.clone(), at(*now))));
                carry_out(&mut talk, changes, at(*now));
            }
            check_causality(&talk)?;
        }
        let came: BTreeSet<usize> = arrivals.iter().map(|(_, index)| *index).collect();
        if !lossy {
            // Nothing is lost, so all is heard, without any help from time.
            prop_assert_eq!(heard(&talk).len(), said.len());
        }
        // Time ends every wait.
        let late = at(arrivals.last().map_or(0, |(now, _)| *now) + 30_000);
        let changes = talk.tick(&limits(), late);
        carry_out(&mut talk, changes, late);
        check_causality(&talk)?;
        prop_assert_eq!(talk.session().held_turns, 0);
        for index in came {
            let place = talk.place(&said[index].by, &said[index].id);
            // Heard, let go of with a reason, or refused to its face because it came too late.
            prop_assert_ne!(place, Some(TurnPlace::Held));
        }
        // The order is a fact: a replay of the changes gives the same state, also from a snapshot.
        let mut again = Conversation::open(opening(TurnOrder::Free, &["ann", "bob", "cat", "dan"]));
        for (change, now) in &changes_made {
            again.apply(change, *now);
        }
        let changes = again.tick(&limits(), late);
        carry_out(&mut again, changes, late);
        prop_assert_eq!(&again, &talk);
        let mut restored = Conversation::from_head(talk.head());
        talk.transcript().iter().for_each(|entry| restored.restore(entry.clone()));
        prop_assert_eq!(&restored, &talk);
    }
}
