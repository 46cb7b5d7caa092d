//! What agents publish themselves.

use troupe_contract::ingress::Way;
use troupe_contract::routing::DeadReason;
use troupe_domain::MessageType;

use super::*;
use crate::rules::ingress::{Published, ReadMessage, read};
use crate::rules::record::IngressPlace;
use crate::rules::sending::{IngressContent, IngressItem};

fn place(sequence: u64) -> IngressPlace {
    IngressPlace { stream_made_at: at(1), sequence }
}

fn published<'a>(way: Way, sequence: u64, subject: &'a str, payload: &'a [u8]) -> Published<'a> {
    Published { way, place: place(sequence), subject, id: None, at: at(5), trace: None, payload }
}

fn known(published: &Published<'_>) -> IngressItem {
    let ReadMessage::Known(content) = read(published) else { panic!("it wants somebody chosen") };
    IngressItem { way: published.way, place: published.place, content }
}

const TO_BOB: &str = "troupe.v1.ingress.inbox.0.bob.ann";

#[test]
fn each_message_enters_once_in_the_order_of_its_stream() {
    let mut state = alone();
    let one = known(&published(Way::Inbox, 7, TO_BOB, b"{}"));
    let two = known(&published(Way::Inbox, 9, TO_BOB, br#"{"id":"mine","subject":"hi"}"#));
    state.ingest(vec![one.clone(), two.clone()], at(6));
    state.ingest(vec![one.clone()], at(7));
    state.ingest(vec![one, two], at(8));
    assert_eq!(state.ingested(Way::Inbox), place(9));
    assert_eq!(ids(&pull(&mut state, "bob", 10, 9)), ["inbox-1-7", "mine"]);
    // A stream that was made anew begins again.
    let anew = published(Way::Inbox, 1, TO_BOB, b"{}");
    let anew = Published { place: IngressPlace { stream_made_at: at(2), sequence: 1 }, ..anew };
    state.ingest(vec![known(&anew)], at(9));
    for id in ["inbox-1-7", "mine"] {
        ack(&mut state, "bob", id, 1, AckOutcome::Acknowledged, 9);
    }
    assert_eq!(ids(&pull(&mut state, "bob", 10, 9)), ["inbox-2-1"]);
    // The same message through the endpoint is the same message.
    assert!(state.send(direct("ann", "mine", "bob", 10), at(10)).unwrap().duplicate);
    let records = take(&mut state);
    check_durable(&state, &records);
    check_conserved(&state);
}

#[test]
fn what_is_no_message_is_a_dead_letter_and_its_sender_is_told() {
    let mut state = alone();
    pull(&mut state, "ann", 1, 0);
    let large = format!(r#"{{"body":"{}"}}"#, "x".repeat(1_000_000));
    let cases: [(&[u8], &str); 7] = [
        (b"", "payload"),
        (b"hello", "payload"),
        (br#"{"body":"#, "payload"),
        (br#"{"sender_id":"eve"}"#, "sender_id"),
        (br#"{"recipient_id":"cat"}"#, "recipient_id"),
        (br#"{"subject":"a\u0000b"}"#, "subject"),
        (large.as_bytes(), "MAX_PUBLISHED_BYTES"),
    ];
    for (index, (payload, field)) in cases.iter().enumerate() {
        let item = known(&published(Way::Inbox, index as u64 + 1, TO_BOB, payload));
        let IngressContent::Bad { why, .. } = &item.content else { panic!("{payload:?}") };
        assert!(why.contains(field), "{why}");
        state.ingest(vec![item], at(6));
    }
    assert_eq!(dead(&state, "bob"), vec![DeadReason::Invalid; cases.len()]);
    assert!(state.mailbox(&name("bob")).is_none());
    let told = pull(&mut state, "ann", 100, 7);
    assert_eq!(told.len(), cases.len());
    assert!(told.iter().all(|told| told.message.kind == MessageType::Error));
    let page = state.dead_letters(&name("bob"), &DeadLettersRequest::default()).unwrap();
    let raw = page.dead_letters[6].raw.as_ref().unwrap();
    assert_eq!((raw.size_bytes, raw.preview.len()), (large.len(), 1_024));
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn right_to_left_emoji_and_any_language_are_messages() {
    let mut state = alone();
    for (index, text) in ["שלום عالم", "🦀🎭", "日本語のメッセージ", "Ünïcödé"].iter().enumerate()
    {
        let payload = format!(r#"{{"subject":"{text}","body":"{text}"}}"#);
        let item = known(&published(Way::Inbox, index as u64 + 1, TO_BOB, payload.as_bytes()));
        assert!(matches!(item.content, IngressContent::Direct(_)), "{text}");
        state.ingest(vec![item], at(1));
    }
    assert_eq!(pull(&mut state, "bob", 10, 2).len(), 4);
}

#[test]
fn an_intent_wants_somebody_and_one_that_nobody_can_act_on_is_told() {
    let subject = "troupe.v1.ingress.intent.0.ann";
    let payload = br#"{"intent":{"text":"translate this"},"subject":"s"}"#;
    let ReadMessage::Wants(message, intent) = read(&published(Way::Intent, 1, subject, payload))
    else {
        panic!()
    };
    assert_eq!(intent.text, "translate this");
    let mut state = alone();
    pull(&mut state, "ann", 1, 0);
    let mut chosen = (*message).clone();
    chosen.recipient_id = Some(name("bob"));
    let chosen = IngressContent::Direct(chosen.into());
    let item =
        |sequence, content| IngressItem { way: Way::Intent, place: place(sequence), content };
    state.ingest(vec![item(1, chosen.clone())], at(1));
    // Published again, and maybe somebody else was chosen: the first recipient keeps it.
    let IngressContent::Direct(again) = chosen else { panic!() };
    let mut again = AgentMessage::clone(&again);
    again.recipient_id = Some(name("cat"));
    state.ingest(vec![item(2, IngressContent::Direct(again.into()))], at(2));
    assert_eq!(pull(&mut state, "bob", 10, 3).len(), 1);
    assert_eq!(pull(&mut state, "cat", 10, 3).len(), 0);
    assert_eq!(state.chosen_before(&name("ann"), &message.id), Some(name("bob")));

    let why = "nobody fits".to_owned();
    let mut other = *message;
    other.id = name("other");
    let unroutable = IngressContent::Unroutable { message: other.into(), why };
    state.ingest(vec![item(3, unroutable)], at(4));
    assert_eq!(dead(&state, "ann"), [DeadReason::Unroutable]);
    assert_eq!(pull(&mut state, "ann", 10, 5).len(), 1);
    let records = take(&mut state);
    check_durable(&state, &records);
}

#[test]
fn a_full_mailbox_buries_what_was_published_and_says_so() {
    let settings = Settings { max_messages_per_mailbox: 1, ..Settings::new(0, 1) };
    let mut state = RoutingState::new(settings);
    pull(&mut state, "ann", 1, 0);
    let items = (1..=3).map(|n| known(&published(Way::Inbox, n, TO_BOB, b"{}"))).collect();
    state.ingest(items, at(1));
    assert_eq!(dead(&state, "bob"), [DeadReason::MailboxFull; 2]);
    // One word fits ann's own mailbox; the second does not, and is in nobody's way.
    assert_eq!(pull(&mut state, "ann", 10, 2).len(), 1);
    assert!(dead(&state, "ann").is_empty());
    check_conserved(&state);
}
