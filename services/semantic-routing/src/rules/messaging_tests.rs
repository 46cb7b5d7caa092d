//! The rules of messaging, driven without I/O.

mod causality;
mod delivery;
mod failover;
mod ingestion;
mod model;
mod shards;
mod talks;
mod unfit;

use std::sync::Arc;

use troupe_contract::routing::{
    AckEffect, AckOutcome, AckRequest, DeadLettersRequest, DeliveredMessage, DeliveryRef,
    InboxReply,
};
use troupe_domain::message::{Address, Birth, MessageSpec};
use troupe_domain::{AgentId, AgentMessage, Name, Timestamp};
use troupe_shard::Machine;

use super::mailbox::Wanted;
use super::notice::count_of;
use super::pulling::Pull;
use super::record::Record;
use super::state::{RoutingState, Settings};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn alone() -> RoutingState {
    RoutingState::new(Settings::new(0, 1))
}

/// A message of `sender` with fields as JSON.
fn message(sender: &str, id: &str, fields: &str, now: i64) -> Arc<AgentMessage> {
    let spec: MessageSpec = serde_json::from_str(fields).unwrap();
    let address = spec.check(&name(sender)).unwrap();
    let birth = Birth { id: name(id), sender: name(sender), at: at(now), trace: None };
    let mut message = spec.into_message(&address, birth);
    if let Address::Intent(_) = address {
        message.recipient_id = Some(name("chosen"));
    }
    Arc::new(message)
}

fn direct(sender: &str, id: &str, to: &str, now: i64) -> Arc<AgentMessage> {
    message(sender, id, &format!(r#"{{"recipient_id":"{to}"}}"#), now)
}

fn send(state: &mut RoutingState, sender: &str, id: &str, to: &str, now: i64) {
    assert!(!state.send(direct(sender, id, to, now), at(now)).unwrap().duplicate);
}

fn pull(state: &mut RoutingState, agent: &str, max: usize, now: i64) -> Vec<DeliveredMessage> {
    pull_wanted(state, agent, Wanted::Everything, max, now)
}

fn pull_wanted(
    state: &mut RoutingState,
    agent: &str,
    wanted: Wanted,
    max: usize,
    now: i64,
) -> Vec<DeliveredMessage> {
    let pull = Pull { max, ack_wait_ms: None, id: None, wanted };
    let InboxReply { messages, .. } = state.pull(&name(agent), &pull, at(now)).unwrap();
    messages
}

fn ids(messages: &[DeliveredMessage]) -> Vec<&str> {
    messages.iter().map(|delivered| delivered.message.id.as_str()).collect()
}

fn ack_request(id: &str, attempt: u32, outcome: AckOutcome) -> AckRequest {
    AckRequest {
        messages: vec![DeliveryRef { message_id: name(id), sender_id: None, attempt }],
        outcome,
        reason: "because".to_owned(),
        forward_to: None,
    }
}

fn ack(
    state: &mut RoutingState,
    agent: &str,
    id: &str,
    attempt: u32,
    outcome: AckOutcome,
    now: i64,
) -> AckEffect {
    let request = ack_request(id, attempt, outcome);
    state.acknowledge(&name(agent), &request, at(now), 0.0).unwrap()[0].result
}

/// What the shard stores, as text.
fn stored(state: &RoutingState) -> Vec<String> {
    state.snapshot_lines().iter().map(|line| serde_json::to_string(line).unwrap()).collect()
}

/// Takes what was drafted; checks that each record tells of as many notices as it has, and that it
/// reads as it was written.
fn take(state: &mut RoutingState) -> Vec<Record> {
    let drafts = std::mem::take(state.drafts());
    let told: usize = drafts.records.iter().map(count_of).sum();
    assert_eq!(told, drafts.notices.len(), "{:#?}", drafts.records);
    for record in &drafts.records {
        let text = serde_json::to_string(record).unwrap();
        assert_eq!(&serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");
    }
    drafts.records
}

/// A replay of the records, and a snapshot put back, give the same shard.
fn check_durable(state: &RoutingState, records: &[Record]) {
    let mut replayed = RoutingState::new(state.settings.clone());
    records.iter().for_each(|record| replayed.apply_record(record));
    assert_eq!(stored(&replayed), stored(state));
    let mut restored = RoutingState::new(state.settings.clone());
    for line in state.snapshot_lines() {
        let text = serde_json::to_string(&line).unwrap();
        restored.restore_snapshot_line(serde_json::from_str(&text).unwrap());
    }
    assert_eq!(stored(&restored), stored(state));
    for other in [&replayed, &restored] {
        assert_eq!(timers(other), timers(state));
        assert_eq!(other.bytes, state.bytes);
        assert_eq!(other.followers.len(), state.followers.len());
        assert_eq!(other.open_session_bytes, state.open_session_bytes);
        assert_eq!(other.ended_session_bytes, state.ended_session_bytes);
    }
}

/// The timers that follow from what is stored.
fn timers(state: &RoutingState) -> Vec<String> {
    use super::timers::Timer;
    let follows = |timer: &Timer| !matches!(timer, Timer::Idle(_) | Timer::Wake(_));
    let all = state.timers().iter().filter(|(_, timer)| follows(timer));
    all.map(|armed| format!("{armed:?}")).collect()
}

/// Every message that went into a mailbox is there, or in exactly one of the ends.
fn check_conserved(state: &RoutingState) {
    let totals = state.totals();
    let there: u64 = state.mailboxes.values().map(|mailbox| mailbox.len() as u64).sum();
    let ended = totals.acknowledged + totals.forwarded + totals.dead + totals.expired;
    assert_eq!(totals.accepted, ended + there, "{totals:?}, {there} in mailboxes");
    let bytes: usize = state.mailboxes.values().map(super::mailbox::Mailbox::bytes).sum();
    assert_eq!(bytes, state.bytes);
}

fn dead(state: &RoutingState, agent: &str) -> Vec<troupe_contract::routing::DeadReason> {
    let page = state.dead_letters(&name(agent), &DeadLettersRequest::default()).unwrap();
    page.dead_letters.iter().map(|letter| letter.reason).collect()
}

fn agent(text: &str) -> AgentId {
    name(text)
}
