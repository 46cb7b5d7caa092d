//! Several shards with letters between them that are repeated, lost on their way, and late.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use troupe_contract::ingress::{shard_of_agent, shard_of_topic};
use troupe_domain::TopicPattern;

use super::*;
use crate::rules::request::{RoutingRequest, execute};

const SHARDS: u16 = 3;

struct Cluster {
    shards: Vec<RoutingState>,
    records: Vec<Vec<Record>>,
    now: i64,
}

impl Cluster {
    fn new() -> Self {
        let shards = (0..SHARDS).map(|shard| RoutingState::new(Settings::new(shard, SHARDS)));
        Self { shards: shards.collect(), records: vec![Vec::new(); usize::from(SHARDS)], now: 0 }
    }

    fn home(&mut self, agent: &str) -> &mut RoutingState {
        &mut self.shards[usize::from(shard_of_agent(&name(agent), SHARDS))]
    }

    /// One round of letters from a shard. `luck` decides what becomes of each parcel.
    fn post(&mut self, from: usize, luck: u8) {
        for letter in self.shards[from].letters(100) {
            let arrives = !luck.is_multiple_of(4);
            let heard = !luck.is_multiple_of(3);
            if arrives {
                let to = &mut self.shards[usize::from(letter.to)];
                execute(to, letter.request, at(self.now), 0.0).unwrap();
            }
            if arrives && heard {
                self.shards[from].delivered(vec![letter.number]);
            }
        }
        self.store();
    }

    fn store(&mut self) {
        for (shard, records) in self.shards.iter_mut().zip(&mut self.records) {
            records.extend(take(shard));
        }
    }

    fn settle(&mut self) {
        for _ in 0..10 {
            (0..usize::from(SHARDS)).for_each(|from| self.post(from, 1));
        }
        assert!(self.shards.iter().all(|shard| shard.outbox().is_empty()));
    }

    fn check(&mut self) {
        self.store();
        for (shard, records) in self.shards.iter().zip(&self.records) {
            check_conserved(shard);
            check_durable(shard, records);
        }
    }

    /// Sends a message of a kind, for an intent to `to`; gives whether it came before.
    fn say(&mut self, how: u8, sender: &str, id: &str, to: &str) -> bool {
        let now = self.now;
        let sent = match how {
            0 => self.home(to).send(direct(sender, id, to, now), at(now)).unwrap(),
            1 => {
                let topic = message(sender, id, r#"{"topic":"news.eu"}"#, now);
                let key = topic.topic.clone().unwrap();
                let shard = shard_of_topic(&key, &name(sender), SHARDS);
                self.shards[usize::from(shard)].spread(topic, Vec::new(), at(now))
            }
            2 => {
                let all = message(sender, id, r#"{"broadcast":true}"#, now);
                self.home(sender).spread(all, vec![name("newcomer")], at(now))
            }
            _ => {
                let intent = message(sender, id, r#"{"intent":{"text":"do"}}"#, now);
                let mut chosen = AgentMessage::clone(&intent);
                chosen.recipient_id = Some(name(to));
                self.home(sender).route(chosen.into(), at(now)).unwrap()
            }
        };
        self.store();
        sent.duplicate
    }

    /// Takes everything out of a mailbox, and is done with it.
    fn finish(&mut self, agent: &str, now: i64) -> Vec<String> {
        let home = self.home(agent);
        let got = pull(home, agent, 256, now);
        let refs = got.iter().map(|delivered| DeliveryRef {
            message_id: delivered.message.id.clone(),
            sender_id: Some(delivered.message.sender_id.clone()),
            attempt: delivered.delivery_attempts,
        });
        let mut request = ack_request("-", 0, AckOutcome::Acknowledged);
        request.messages = refs.collect();
        home.acknowledge(&name(agent), &request, at(now), 0.0).unwrap();
        self.store();
        got.iter().map(|d| format!("{} {}", d.message.sender_id, d.message.id)).collect()
    }

    fn took(&mut self, agent: &str) -> Vec<String> {
        let now = self.now;
        let got = pull(self.home(agent), agent, 256, now);
        got.iter().map(|d| format!("{} {}", d.message.sender_id, d.message.id)).collect()
    }
}

#[test]
fn a_request_of_another_shard_is_answered_or_runs_out_there() {
    let mut cluster = Cluster::new();
    let agents: Vec<String> = (0..9).map(|i| format!("agent{i}")).collect();
    let asker = "agent0";
    for other in &agents[1..] {
        let fields = format!(r#"{{"recipient_id":"{other}","type":"request","timeout_ms":60000}}"#);
        let request = message(asker, &format!("to-{other}"), &fields, 0);
        cluster.home(other).send(request, at(0)).unwrap();
    }
    // One answers before its shard's word that it was asked has come.
    let fields = r#"{"recipient_id":"agent0","type":"response","request_id":"to-agent1"}"#;
    cluster.home(asker).send(message("agent1", "fast", fields, 1), at(1)).unwrap();
    // Somebody else claims to answer, before that word has come: it ends nothing.
    let fields = r#"{"recipient_id":"agent0","type":"response","request_id":"to-agent2"}"#;
    cluster.home(asker).send(message("agent7", "not-mine", fields, 1), at(1)).unwrap();
    cluster.settle();
    let fields = r#"{"recipient_id":"agent0","type":"response","request_id":"to-agent2"}"#;
    cluster.home(asker).send(message("agent2", "slow", fields, 2), at(2)).unwrap();
    assert_eq!(cluster.home(asker).mailbox(&name(asker)).unwrap().requests.len(), 6);
    cluster.now = 60_000;
    for shard in &mut cluster.shards {
        shard.fire_due(at(60_000), 100);
    }
    cluster.settle();
    let got = cluster.took(asker);
    assert_eq!(got.len(), 3 + 6, "{got:?}");
    cluster.check();
}

#[test]
fn a_dead_message_of_another_shard_is_told_to_its_sender_once() {
    let mut cluster = Cluster::new();
    let (sender, recipient) = ("agent0", "agent5");
    cluster.took(sender);
    send(cluster.home(recipient), sender, "m1", recipient, 0);
    assert_eq!(cluster.took(recipient).len(), 1);
    ack(cluster.home(recipient), recipient, "m1", 1, AckOutcome::Rejected, 1);
    cluster.settle();
    assert_eq!(cluster.took(sender).len(), 1);
    cluster.check();
}

/// What is sent: by whom, how, and how the letters fare meanwhile.
fn acts() -> impl Strategy<Value = Vec<(u8, u8, u8, u8)>> {
    vec((0_u8..6, 0_u8..4, 0_u8..6, any::<u8>()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn each_message_is_in_each_mailbox_once_and_in_order(acts in acts()) {
        let mut cluster = Cluster::new();
        let agents: Vec<String> = (0..6).map(|i| format!("agent{i}")).collect();
        let news = TopicPattern::parse("news.*").unwrap();
        for (index, agent) in agents.iter().enumerate() {
            let home = cluster.home(agent);
            pull(home, agent, 1, 0);
            if index % 2 == 0 {
                home.follow(&name(agent), vec![news.clone()], at(0)).unwrap();
            }
        }
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (index, (who, how, to, luck)) in acts.iter().enumerate() {
            cluster.now = index as i64;
            let (sender, to) = (&agents[usize::from(*who)], &agents[usize::from(*to)]);
            // The way is a part of the id: the order holds for each sender and way.
            let (id, now) = (format!("{how}-{index:02}"), cluster.now);
            // Each is sent twice, as by a client that did not hear the answer.
            for again in [false, true] {
                let sent = cluster.say(*how, sender, &id, if again { "agent0" } else { to });
                prop_assert_eq!(sent, again && !(*how == 0 && to != "agent0"));
            }
            let reached: Vec<&str> = match how {
                0 if to != "agent0" => vec![to, "agent0"],
                1 => agents.iter().step_by(2).map(String::as_str).collect(),
                2 => agents.iter().map(String::as_str).chain(["newcomer"]).collect(),
                _ => vec![to],
            };
            let is_told = |agent: &&str| !matches!(how, 1 | 2) || agent != sender;
            for agent in reached.into_iter().filter(is_told) {
                wanted.entry(agent.to_owned()).or_default().push(format!("{sender} {id}"));
            }
            cluster.post(usize::from(luck % 3), *luck);
            // What is done is gone from its mailbox: only the numbers of letters know that it came.
            let reader = &agents[usize::from(luck / 3 % 6)];
            got.entry(reader.clone()).or_default().extend(cluster.finish(reader, now));
            if index == acts.len() / 2 {
                cluster.check();
            }
        }
        cluster.settle();
        for agent in agents.iter().map(String::as_str).chain(["newcomer"]) {
            let mut got = got.remove(agent).unwrap_or_default();
            got.extend(cluster.finish(agent, 100));
            let mut wanted = wanted.remove(agent).unwrap_or_default();
            let in_order = |list: &[String]| {
                let mut lanes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for line in list {
                    let (lane, place) = line.rsplit_once('-').unwrap();
                    lanes.entry(lane).or_default().push(place);
                }
                lanes.values().all(|places| places.is_sorted())
            };
            prop_assert!(in_order(&got), "{got:?}");
            got.sort();
            wanted.sort();
            prop_assert_eq!(got, wanted);
        }
        cluster.check();
    }
}

#[test]
fn letters_that_come_before_earlier_ones_are_sent_back() {
    let mut state = RoutingState::new(Settings::new(0, 2));
    let contents = Vec::new();
    let early = RoutingRequest::Letters { from: 1, first: 2, contents };
    let fault = execute(&mut state, early, at(0), 0.0).unwrap_err();
    assert_eq!(fault.code, troupe_domain::Code::Unavailable);
}
