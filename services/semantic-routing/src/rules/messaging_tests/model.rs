//! A mailbox against a simple model of one, under random commands.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use troupe_domain::MessagePriority;

use super::*;
use crate::rules::mailbox::{EntryState, Mailbox};
use crate::rules::state::DEFAULT_BACKOFF;

const ACK_WAIT_MS: i64 = 1_000;
const MAX_DELIVER: u32 = 3;
const MAX_MESSAGES: usize = 6;

#[derive(Debug, Clone)]
enum Command {
    Send { sender: u8, to: u8, id: u8, priority: u8, ack: bool, expires_ms: u16 },
    Pull { agent: u8, max: u8 },
    Ack { agent: u8, place: u8, attempt: u8, outcome: u8 },
}

fn command() -> impl Strategy<Value = (u16, Command)> {
    let send = (0_u8..3, 0_u8..2, 0_u8..12, 0_u8..4, any::<bool>(), 100_u16..6_000).prop_map(
        |(sender, to, id, priority, ack, expires_ms)| Command::Send {
            sender,
            to,
            id,
            priority,
            ack,
            expires_ms,
        },
    );
    let pull = (0_u8..2, 1_u8..4).prop_map(|(agent, max)| Command::Pull { agent, max });
    let ack = (0_u8..2, 0_u8..6, 0_u8..4, 0_u8..4).prop_map(|(agent, place, attempt, outcome)| {
        Command::Ack { agent, place, attempt, outcome }
    });
    (0_u16..900, prop_oneof![4 => send, 3 => pull, 3 => ack])
}

#[derive(Debug, Clone, PartialEq)]
enum Standing {
    Queued(Option<i64>),
    Out(i64),
}

#[derive(Debug, Clone, PartialEq)]
struct Letter {
    sender: String,
    id: String,
    urgency: i64,
    ack: bool,
    expires: i64,
    attempts: u32,
    standing: Standing,
}

/// Each mailbox is a list in the order of arrival.
#[derive(Debug, Default)]
struct Model {
    boxes: BTreeMap<String, Vec<Letter>>,
    seen: BTreeSet<(String, String, String)>,
    accepted: u64,
    acknowledged: u64,
    dead: u64,
    expired: u64,
}

impl Model {
    /// Takes a message back whose delivery failed; false if it is at its end.
    fn back(letter: &mut Letter, now: i64) -> Result<(), bool> {
        if letter.expires <= now {
            return Err(true);
        }
        if letter.attempts >= MAX_DELIVER {
            return Err(false);
        }
        let wait = DEFAULT_BACKOFF.wait_ms(letter.attempts, 0.0) as i64;
        letter.standing = Standing::Queued(Some(now + wait));
        Ok(())
    }

    fn end(&mut self, expired: bool) {
        if expired {
            self.expired += 1;
        } else {
            self.dead += 1;
        }
    }

    fn pass_time(&mut self, now: i64) {
        let mut ends = Vec::new();
        for letters in self.boxes.values_mut() {
            letters.retain_mut(|letter| match letter.standing {
                Standing::Queued(_) if letter.expires <= now => {
                    ends.push(true);
                    false
                }
                Standing::Out(until) if until <= now => match Self::back(letter, now) {
                    Ok(()) => true,
                    Err(expired) => {
                        ends.push(expired);
                        false
                    }
                },
                _ => true,
            });
        }
        ends.into_iter().for_each(|expired| self.end(expired));
    }

    fn send(&mut self, to: &str, letter: Letter) -> &'static str {
        let key = (to.to_owned(), letter.sender.clone(), letter.id.clone());
        if self.seen.contains(&key) {
            return "duplicate";
        }
        let letters = self.boxes.entry(to.to_owned()).or_default();
        if letters.len() >= MAX_MESSAGES {
            return "full";
        }
        letters.push(letter);
        self.seen.insert(key);
        self.accepted += 1;
        "sent"
    }

    /// What a pull gets, picked one by one: among the lanes of which nothing is out, the one whose
    /// most urgent message is the most urgent gives its first.
    fn pull(&mut self, agent: &str, max: usize, now: i64) -> Vec<(String, String)> {
        let letters = self.boxes.entry(agent.to_owned()).or_default();
        let out: BTreeSet<String> = letters
            .iter()
            .filter(|letter| matches!(letter.standing, Standing::Out(_)))
            .map(|letter| letter.sender.clone())
            .collect();
        let mut got = Vec::new();
        while got.len() < max {
            let left = |letter: &&Letter| {
                !out.contains(&letter.sender)
                    && !got.contains(&(letter.sender.clone(), letter.id.clone()))
            };
            let mut lanes: BTreeMap<&str, (i64, usize)> = BTreeMap::new();
            for (place, letter) in letters.iter().enumerate().filter(|(_, l)| left(l)) {
                let lane = lanes.entry(&letter.sender).or_insert((letter.urgency, place));
                lane.0 = lane.0.min(letter.urgency);
            }
            lanes.retain(|_, (_, place)| match letters[*place].standing {
                Standing::Queued(Some(from)) => from <= now,
                _ => true,
            });
            let Some((_, place)) = lanes.values().min() else { break };
            let first = &letters[*place];
            got.push((first.sender.clone(), first.id.clone()));
        }
        let mut done = 0;
        letters.retain_mut(|letter| {
            if !got.contains(&(letter.sender.clone(), letter.id.clone())) {
                return true;
            }
            letter.attempts += 1;
            letter.standing = Standing::Out(now + ACK_WAIT_MS);
            done += u64::from(!letter.ack);
            letter.ack
        });
        self.acknowledged += done;
        got
    }

    fn ack(
        &mut self,
        agent: &str,
        place: usize,
        attempt: u32,
        outcome: AckOutcome,
        now: i64,
    ) -> bool {
        let letters = self.boxes.entry(agent.to_owned()).or_default();
        let letter = &mut letters[place];
        let is_out = matches!(letter.standing, Standing::Out(_));
        let ends = matches!(outcome, AckOutcome::Acknowledged | AckOutcome::Rejected);
        if letter.attempts != attempt || attempt == 0 || !(is_out || ends) {
            return false;
        }
        match outcome {
            AckOutcome::Acknowledged => self.acknowledged += 1,
            AckOutcome::Rejected => self.dead += 1,
            AckOutcome::Read => {
                letter.standing = Standing::Out(now + ACK_WAIT_MS);
                return true;
            }
            _ => match Self::back(letter, now) {
                Ok(()) => return true,
                Err(expired) => self.end(expired),
            },
        }
        self.boxes.entry(agent.to_owned()).or_default().remove(place);
        true
    }
}

fn seen_in(state: &RoutingState, agent: &str) -> Vec<Letter> {
    let Some(mailbox) = state.mailbox(&name(agent)) else { return Vec::new() };
    let letters = mailbox.entries().map(|(_, entry)| {
        let message = &entry.message;
        Letter {
            sender: message.sender_id.to_string(),
            id: message.id.to_string(),
            urgency: message.priority.queue_key(message.created_at),
            ack: message.requires_ack,
            expires: message.expires_at.as_millis(),
            attempts: entry.attempts,
            standing: match &entry.state {
                EntryState::Queued { not_before } => {
                    Standing::Queued(not_before.map(Timestamp::as_millis))
                }
                EntryState::Out { until, .. } => Standing::Out(until.as_millis()),
            },
        }
    });
    letters.collect()
}

fn step(state: &mut RoutingState, model: &mut Model, command: &Command, now: i64) {
    match command {
        Command::Send { sender, to, id, priority, ack, expires_ms } => {
            let (sender, to, id) = (format!("s{sender}"), format!("r{to}"), format!("m{id}"));
            let priority = MessagePriority::ALL[usize::from(*priority)];
            let fields = format!(
                r#"{{"recipient_id":"{to}","priority":"{}","requires_ack":{ack},"expires_in_ms":{expires_ms}}}"#,
                priority.as_str()
            );
            let letter = Letter {
                sender: sender.clone(),
                id: id.clone(),
                urgency: priority.queue_key(at(now)),
                ack: *ack,
                expires: now + i64::from(*expires_ms),
                attempts: 0,
                standing: Standing::Queued(None),
            };
            let wanted = model.send(&to, letter);
            let got = match state.send(message(&sender, &id, &fields, now), at(now)) {
                Ok(sent) if sent.duplicate => "duplicate",
                Ok(_) => "sent",
                Err(_) => "full",
            };
            assert_eq!(got, wanted);
        }
        Command::Pull { agent, max } => {
            let agent = format!("r{agent}");
            let wanted = model.pull(&agent, usize::from(*max), now);
            let got = pull(state, &agent, usize::from(*max), now);
            let got: Vec<(String, String)> = got
                .iter()
                .map(|d| (d.message.sender_id.to_string(), d.message.id.to_string()))
                .collect();
            assert_eq!(got, wanted);
        }
        Command::Ack { agent, place, attempt, outcome } => {
            let agent = format!("r{agent}");
            let outcome = [
                AckOutcome::Acknowledged,
                AckOutcome::Read,
                AckOutcome::Retry,
                AckOutcome::Rejected,
            ][usize::from(*outcome)];
            let letters = model.boxes.get(&agent).cloned().unwrap_or_default();
            let Some(letter) = letters.get(usize::from(*place)) else { return };
            let mut request = ack_request(&letter.id, u32::from(*attempt), outcome);
            request.messages[0].sender_id = Some(name(&letter.sender));
            let written = state.drafts().records.len();
            let results = state.acknowledge(&name(&agent), &request, at(now), 0.0).unwrap();
            let done = model.ack(&agent, usize::from(*place), u32::from(*attempt), outcome, now);
            let wanted = if done { AckEffect::Done } else { AckEffect::Stale };
            assert_eq!(results[0].result, wanted);
            if !done {
                assert_eq!(state.drafts().records.len(), written, "a stale attempt wrote");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_mailbox_does_what_the_model_does(commands in vec(command(), 1..120)) {
        let settings = Settings {
            ack_wait_ms: ACK_WAIT_MS as u64,
            max_deliver: MAX_DELIVER,
            max_messages_per_mailbox: MAX_MESSAGES,
            ..Settings::new(0, 1)
        };
        let mut state = RoutingState::new(settings);
        let mut model = Model::default();
        let mut now = 0;
        let mut records = Vec::new();
        for (after_ms, command) in &commands {
            now += i64::from(*after_ms);
            state.fire_due(at(now), 1_000);
            model.pass_time(now);
            step(&mut state, &mut model, command, now);
            for agent in ["r0", "r1"] {
                let wanted = model.boxes.get(agent).cloned().unwrap_or_default();
                assert_eq!(seen_in(&state, agent), wanted, "{agent} at {now}");
            }
            check_conserved(&state);
            records.extend(take(&mut state));
        }
        let totals = *state.totals();
        assert_eq!(totals.accepted, model.accepted);
        assert_eq!(totals.acknowledged, model.acknowledged);
        assert_eq!((totals.dead, totals.expired), (model.dead, model.expired));
        check_durable(&state, &records);
        // Time ends everything that nobody ends.
        for _ in 0..8 {
            now += 10_000;
            state.fire_due(at(now), 1_000);
        }
        let left: usize = state.mailboxes.values().map(Mailbox::len).sum();
        prop_assert_eq!(left, 0);
        check_conserved(&state);
    }
}
