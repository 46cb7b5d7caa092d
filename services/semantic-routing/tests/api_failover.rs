//! Replicas come and go in the middle of the traffic: no message is lost, and none reaches a handler
//! twice.

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use stage::{Stage, connect_to, without_model};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::registry::Empty;
use troupe_contract::routing::*;
use troupe_contract::{Endpoint, headers};
use troupe_domain::Fault;
use troupe_semantic_routing::Config;
use troupe_testkit::{NatsServer, Proc, eventually, try_eventually};

const PATIENCE: Duration = Duration::from_mins(1);
/// A request that took longer went to somebody who is dead.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
const INSIST_FOR: Duration = Duration::from_secs(90);
const AGENTS: usize = 4;

/// The full size where it is asked for, else the one that fits beside other tests.
fn sized(full: usize, scaled: usize) -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
}

/// Sends a request again until its outcome is known.
async fn insist<E: Endpoint>(bus: &Bus, request: Value, command: &str) -> Result<E::Reply, Fault> {
    let request = serde_json::from_value(request).unwrap();
    let end = tokio::time::Instant::now() + INSIST_FOR;
    let options =
        CallOptions { command_id: Some(command.into()), ..CallOptions::within(ANSWER_WITHIN) };
    loop {
        match bus.call_with::<E>(&request, &options).await {
            Err(fault) if fault.code.is_transient() && tokio::time::Instant::now() < end => {}
            answer => return answer,
        }
    }
}

struct Cluster {
    nats: NatsServer,
    replicas: Vec<Proc>,
    operator: Bus,
}

impl Cluster {
    async fn start(replicas: usize) -> Self {
        let nats = NatsServer::start().await.unwrap();
        let operator = connect_to(&nats.url(), "operator").await;
        let mut cluster = Self { nats, replicas: Vec::new(), operator };
        for _ in 0..replicas {
            cluster.add_replica().await;
        }
        cluster
    }

    /// Starts one more, and waits until each owns shards and every shard answers.
    async fn add_replica(&mut self) {
        let replica = Proc::build("routing", env!("CARGO_BIN_EXE_troupe-semantic-routing"))
            .args(["--nats-url", &self.nats.url(), "--admin-listen", "127.0.0.1:0"])
            .args(["--set", "shards=8", "--set", "intents.model.choice=folder:/nowhere"])
            .start()
            .unwrap();
        self.replicas.push(replica);
        let wanted = self.replicas.len();
        eventually("each replica to own shards", PATIENCE, || async {
            let owners = self.owners().await;
            (owners.len() == wanted && owners.values().all(|owned| *owned > 0)).then_some(())
        })
        .await;
        self.until_every_shard_answers().await;
    }

    async fn until_every_shard_answers(&self) {
        eventually("every shard to answer", PATIENCE, || async {
            let options = CallOptions::within(Duration::from_secs(1));
            self.operator.call_with::<RoutingStats>(&Empty {}, &options).await.ok()
        })
        .await;
    }

    /// How many shards each replica says it owns, by its presence.
    async fn owners(&self) -> BTreeMap<String, usize> {
        let client = self.nats.connect().await.unwrap();
        let mut heard = client.subscribe("troupe.v1.internal.routing.presence").await.unwrap();
        let mut owners = BTreeMap::new();
        let listen = Duration::from_millis(1_200);
        while let Ok(Some(hello)) = tokio::time::timeout(listen, heard.next()).await {
            let hello: Value = serde_json::from_slice(&hello.payload).unwrap();
            let name = hello["replica"].as_str().unwrap().to_owned();
            let owned = hello["owned"].as_array().unwrap().len();
            if owners.insert(name, owned).is_some() {
                break; // heard one twice: everybody has spoken
            }
        }
        owners
    }
}

/// What was acknowledged to senders, and what came to handlers: `<sender> <id>` by recipient.
#[derive(Default)]
struct Told {
    sent: BTreeMap<String, Vec<String>>,
    handled: BTreeMap<String, Vec<String>>,
}

impl Told {
    fn count(list: &BTreeMap<String, Vec<String>>) -> usize {
        list.values().map(Vec::len).sum()
    }

    fn waiting(&self) -> usize {
        Self::count(&self.sent).saturating_sub(Self::count(&self.handled))
    }
}

/// Agents that send to each other in every way, and handle what they get.
struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Told>>,
    senders: Vec<tokio::task::JoinHandle<()>>,
    handlers: Vec<tokio::task::JoinHandle<()>>,
}

fn recipient(number: usize) -> String {
    format!("recipient-{number}")
}

impl Load {
    async fn start(nats: &NatsServer) -> Self {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Told>>::default());
        let (mut senders, mut handlers) = (Vec::new(), Vec::new());
        for number in 0..AGENTS {
            let bus = connect_to(&nats.url(), &recipient(number)).await;
            insist::<Subscribe>(&bus, json!({"patterns": ["news.*"]}), "s").await.unwrap();
            handlers.push(tokio::spawn(handle(bus, told.clone())));
        }
        // Everybody follows the topic before anything is said on it.
        for number in 0..AGENTS {
            let bus = connect_to(&nats.url(), &format!("sender-{number}")).await;
            senders.push(tokio::spawn(send_until(bus, stop.clone(), told.clone())));
        }
        let raw = nats.connect().await.unwrap();
        senders.push(tokio::spawn(publish_until(raw, stop.clone(), told.clone())));
        Self { stop, told, senders, handlers }
    }

    /// Waits until `more` messages were handled since now.
    async fn progress(&self, more: usize) {
        let wanted = Told::count(&self.told.lock().handled) + more;
        eventually("the load to go on", PATIENCE * 2, || async {
            (Told::count(&self.told.lock().handled) >= wanted).then_some(())
        })
        .await;
    }

    /// Stops sending, waits until everything is handled, and checks it.
    async fn finish(self) {
        self.stop.store(true, Ordering::Release);
        for sender in self.senders {
            sender.await.unwrap();
        }
        let told = self.told;
        let all = Told::count(&told.lock().sent);
        let whole = try_eventually("everything to be handled", PATIENCE * 2, || async {
            (Told::count(&told.lock().handled) >= all).then_some(())
        });
        // What is missing is said below.
        drop(whole.await);
        self.handlers.iter().for_each(tokio::task::JoinHandle::abort);
        let told = told.lock();
        for (agent, sent) in &told.sent {
            let handled = &told.handled[agent];
            let distinct: BTreeSet<&String> = handled.iter().collect();
            assert_eq!(distinct.len(), handled.len(), "{agent} handled a message twice");
            let sent: BTreeSet<&String> = sent.iter().collect();
            let lost: Vec<_> = sent.difference(&distinct).collect();
            assert!(lost.is_empty(), "{agent} never got {lost:?}");
            // A sender's messages of one way come in the order in which they were accepted.
            let mut lanes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for line in handled {
                let (lane, place) = line.rsplit_once('-').unwrap();
                lanes.entry(lane).or_default().push(place);
            }
            for (lane, places) in lanes {
                assert!(places.is_sorted(), "{agent} heard {lane} as {places:?}");
            }
        }
        println!("{all} messages, each handled once, each sender's in order");
    }
}

async fn send_until(bus: Bus, stop: Arc<AtomicBool>, told: Arc<Mutex<Told>>) {
    let sender = bus.name().to_string();
    for number in 0_usize.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let to = recipient(number % AGENTS);
        let id = format!("direct-{number:06}");
        let message = json!({"id": id, "recipient_id": to, "body": number});
        insist::<Send>(&bus, message, &id).await.unwrap();
        told.lock().sent.entry(to).or_default().push(format!("{sender} {id}"));
        if number % 4 == 0 {
            let id = format!("topic-{number:06}");
            insist::<Send>(&bus, json!({"id": id, "topic": "news.eu"}), &id).await.unwrap();
            let mut told = told.lock();
            for number in 0..AGENTS {
                let list = told.sent.entry(recipient(number)).or_default();
                list.push(format!("{sender} {id}"));
            }
        }
        // The handlers set the pace.
        while told.lock().waiting() > 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Publishes without the service; what the server acknowledged must arrive.
async fn publish_until(client: async_nats::Client, stop: Arc<AtomicBool>, told: Arc<Mutex<Told>>) {
    let context = async_nats::jetstream::new(client);
    for number in 0_usize.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let (to, id) = (recipient(number % AGENTS), format!("published-{number:06}"));
        let mut map = async_nats::HeaderMap::new();
        map.insert(headers::MSG_ID, id.as_str());
        let subject = format!("troupe.v1.agent.{to}.inbox.publisher");
        let ack = context.publish_with_headers(subject, map, "{}".into()).await.unwrap();
        ack.await.unwrap();
        told.lock().sent.entry(to).or_default().push(format!("publisher {id}"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Takes messages, handles each, and is done with it.
async fn handle(bus: Bus, told: Arc<Mutex<Told>>) {
    let me = bus.name().to_string();
    for poll in 0_u64.. {
        let command = format!("{me}-{poll}");
        let request = json!({"wait_ms": 500, "max_messages": 8, "ack_wait_ms": 120_000});
        let got = insist::<Inbox>(&bus, request, &command).await.unwrap().messages;
        let refs: Vec<Value> = got
            .iter()
            .map(|delivered| {
                let message = &delivered.message;
                let line = format!("{} {}", message.sender_id, message.id);
                told.lock().handled.entry(me.clone()).or_default().push(line);
                json!({
                    "message_id": message.id, "sender_id": message.sender_id,
                    "attempt": delivered.delivery_attempts,
                })
            })
            .collect();
        if !refs.is_empty() {
            insist::<Ack>(&bus, json!({ "messages": refs }), &command).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_or_handled_twice_when_replicas_are_killed_join_and_leave() {
    let mut cluster = Box::pin(Cluster::start(2)).await;
    let load = Load::start(&cluster.nats).await;
    let more = sized(5_000, 300);
    load.progress(more).await;
    for round in 0..2 {
        let victim = cluster.replicas.remove(0);
        let killed = std::time::Instant::now();
        victim.kill9().unwrap();
        cluster.until_every_shard_answers().await;
        println!("round {round}: every shard answers {:?} after kill -9", killed.elapsed());
        load.progress(more).await;
        cluster.add_replica().await;
        load.progress(more).await;
    }
    let leaver = cluster.replicas.remove(0);
    leaver.terminate().unwrap();
    let status = leaver.wait(Duration::from_secs(40)).await.unwrap();
    assert!(status.success(), "{status}\n{}", leaver.quoted_output());
    load.progress(more).await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_at_one_replica_is_woken_by_a_message_that_another_one_takes() {
    let config = Config { shards: 8, ..without_model() };
    let stage = Stage::with(config, 2).await;
    eventually("both replicas to own shards", PATIENCE, || async {
        stage.replicas.iter().all(|replica| !replica.router().local().is_empty()).then_some(())
    })
    .await;
    let ann = stage.agent("ann").await;
    // The server picks who answers: among so many, polls wait where their mailboxes are not.
    for number in 0..16 {
        let agent = stage.agent(&format!("a{number}")).await;
        let id = agent.id().to_string();
        let polling = tokio::spawn(async move { agent.wait().await });
        eventually("the poll to wait", PATIENCE, || async {
            let waiting: usize = stage.replicas.iter().map(|r| r.waiters().len()).sum();
            (waiting == 1).then_some(())
        })
        .await;
        ann.send(json!({"recipient_id": id})).await;
        assert_eq!(polling.await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_of_an_earlier_version_stop_the_start_unless_they_are_empty() {
    let nats = NatsServer::start().await.unwrap();
    let context = async_nats::jetstream::new(nats.connect().await.unwrap());
    let config = async_nats::jetstream::stream::Config {
        name: "TROUPE_MAILBOXES".to_owned(),
        subjects: vec!["troupe.v1.agent.*.inbox.*".to_owned()],
        ..Default::default()
    };
    context.create_stream(config.clone()).await.unwrap();
    let ack = context.publish("troupe.v1.agent.bob.inbox.ann", "{}".into()).await.unwrap();
    ack.await.unwrap();
    let mut stage = Stage { replicas: Vec::new(), config: without_model(), nats };
    let bus = stage.bus("troupe-semantic-routing").await;
    let started = troupe_semantic_routing::Replica::start(&bus, &stage.config, None).await;
    let why = started.unwrap_err().to_string();
    assert!(why.contains("TROUPE_MAILBOXES") && why.contains("nats stream rm"), "{why}");
    context.get_stream("TROUPE_MAILBOXES").await.unwrap().purge().await.unwrap();
    stage.add_replica().await;
    assert!(context.get_stream("TROUPE_MAILBOXES").await.is_err(), "it is gone");
    let ann = stage.agent("ann").await;
    ann.send(json!({"recipient_id": "bob"})).await;
}
