//! The machinery over a real nats-server, run by a small machine: counters that tell each other.

mod counters;

use std::sync::Arc;
use std::time::Duration;

use counters::{Counters, Request, Settings};
use serde::de::IgnoredAny;
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_bus::log::StreamLog;
use troupe_bus::port::{Log, System};
use troupe_contract::{Service, stream, subject};
use troupe_domain::{Code, Fault, Name};
use troupe_shard::batch::{Batch, NOBODY};
use troupe_shard::place::mint;
use troupe_shard::snapshot::{self, Manifest};
use troupe_shard::{Presence, Setup, Shard, ShardPorts, Shards, SnapshotPolicy, recovery};
use troupe_testkit::{NatsServer, eventually};
use ulid::Ulid;

const PATIENCE: Duration = Duration::from_secs(20);
const LOG_BYTES: i64 = 16 * 1024 * 1024;
const SERVICE: Service = Service::Registry;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn add(name: &Name, by: i64) -> Request {
    Request::Add { name: name.clone(), by, tell: None, heard: None }
}

fn get(name: &Name) -> Request {
    Request::Get { name: name.clone() }
}

/// A counter that lives in `shard` of `shards`.
fn counter(shard: u16, shards: u16) -> Name {
    mint(shard, shards, Ulid::generate).unwrap()
}

async fn connect(url: &str) -> Bus {
    let settings = troupe_bus::Settings { url: url.to_owned(), ..Default::default() };
    Bus::connect(&settings, name("counters")).await.unwrap()
}

async fn replica(url: &str, shards: u16) -> Shards<Counters> {
    let bus = connect(url).await;
    let presence = Arc::new(Presence::new(SERVICE, Ulid::generate().to_string()));
    let setup = Setup {
        shards,
        stream_replicas: 1,
        max_log_bytes: LOG_BYTES,
        snapshots: SnapshotPolicy { after_log_bytes: 1024 * 1024 },
        settings: Box::new(move |shard| Settings { shard, shards }),
        events: Arc::new(bus.events(SERVICE, 1).await.unwrap()),
        world: Arc::new(System),
        on_ready: Arc::new(|_| ()),
        ask: Arc::new(|_, _| ()),
    };
    let replica = Shards::start(&bus, &presence, setup).await.unwrap();
    replica.ready().await;
    replica
}

async fn ask(replica: &Shards<Counters>, shard: u16, request: Request) -> Result<i64, Fault> {
    replica.router().call(shard, request, Instant::now() + PATIENCE).await
}

/// One shard by itself, opened as often as a test likes.
struct Alone {
    ports: ShardPorts<Counters>,
    log: StreamLog,
    _nats: NatsServer,
}

impl Alone {
    async fn start() -> Self {
        let nats = NatsServer::start().await.unwrap();
        let bus = connect(&nats.url()).await;
        let spec = stream::shard_log(SERVICE, 0, 1, LOG_BYTES);
        assert_eq!(spec.name, "TROUPE_REGISTRY_0");
        let log = bus.open_stream(&spec, 1).await.unwrap();
        let ports = ShardPorts {
            log: Arc::new(log.clone()),
            events: Arc::new(bus.events(SERVICE, 1).await.unwrap()),
            world: Arc::new(System),
            on_ready: Arc::new(|_| ()),
        };
        Self { ports, log, _nats: nats }
    }

    async fn open(&self, owner: &str) -> (Arc<Shard<Counters>>, Manifest) {
        let settings = Settings { shard: 0, shards: 1 };
        recovery::open(settings, owner, self.ports.clone()).await.unwrap()
    }

    async fn batches(&self) -> Vec<Batch<IgnoredAny>> {
        let mut batches = Vec::new();
        let subject = subject::shard_log(SERVICE, 0);
        let mut take = |entry: troupe_bus::port::Entry| {
            batches.push(serde_json::from_slice(&entry.body).unwrap());
        };
        self.log.read(&subject, 1, &mut take).await.unwrap();
        batches
    }
}

#[tokio::test]
async fn what_a_killed_replica_stored_is_there_for_the_next() {
    let nats = NatsServer::start().await.unwrap();
    let url = nats.url();
    let (hits, doomed) = (name("hits"), tokio::runtime::Runtime::new().unwrap());
    let (of, hit) = (url.clone(), hits.clone());
    let writing = doomed.spawn(async move {
        let first = replica(&of, 1).await;
        for by in 1..=10 {
            ask(&first, 0, add(&hit, by)).await.unwrap();
        }
        first
    });
    let first = writing.await.unwrap();
    // Nothing of it runs on: no farewell, no goodbye.
    std::mem::forget(first);
    doomed.shutdown_background();
    let second = replica(&url, 1).await;
    assert_eq!(ask(&second, 0, get(&hits)).await.unwrap(), 55);
    assert_eq!(ask(&second, 0, add(&hits, 45)).await.unwrap(), 100);
    second.drain().await;
    let bus = connect(&url).await;
    let events = bus.events(SERVICE, 1).await.unwrap();
    let mut told = 0;
    let mut seen = std::collections::BTreeSet::new();
    let mut sum = |entry: troupe_bus::port::Entry| {
        for event in troupe_contract::event::decode::<i64>(&entry.body).unwrap() {
            assert_eq!(event.subject, hits.as_str());
            told += if seen.insert(event.id) { event.data } else { 0 };
        }
    };
    events.log.read(&subject::events_of("counter"), 1, &mut sum).await.unwrap();
    assert_eq!(told, 100, "each has its event; those that come twice have their id");
}

#[tokio::test]
async fn any_replica_serves_any_shard_while_they_move() {
    let nats = NatsServer::start().await.unwrap();
    let first = replica(&nats.url(), 8).await;
    let counters: Vec<Name> = (0..8).map(|shard| counter(shard, 8)).collect();
    for (shard, name) in (0..).zip(&counters) {
        ask(&first, shard, add(name, 1)).await.unwrap();
    }
    let second = replica(&nats.url(), 8).await;
    let refused = ask(&second, 0, add(&counters[0], 0)).await.unwrap_err();
    assert_eq!((refused.code, &refused.details["field"]), (Code::InvalidArgument, &"by".into()));
    for (shard, name) in (0..).zip(&counters) {
        let asked = if shard % 2 == 0 { &first } else { &second };
        assert_eq!(ask(asked, shard, add(name, 1)).await.unwrap(), 2);
    }
    let shared = [first.router().local().len(), second.router().local().len()];
    assert!(shared.iter().sum::<usize>() <= 8, "{shared:?}");
    first.drain().await;
    for (shard, name) in (0..).zip(&counters) {
        assert_eq!(ask(&second, shard, get(name)).await.unwrap(), 2);
    }
    assert_eq!(second.router().local().len(), 8);
    second.drain().await;
}

#[tokio::test]
async fn a_former_owner_is_fenced_and_reads_nothing_old() {
    let alone = Alone::start().await;
    let hits = name("hits");
    let (former, _) = alone.open("former").await;
    assert_eq!(former.call(add(&hits, 1)).await.unwrap(), 1);
    let (owner, _) = alone.open("owner").await;
    assert_eq!(owner.call(add(&hits, 1)).await.unwrap(), 2);
    // Its lease has run out while the new owner waited: it finds out, and does not answer 1.
    let fault = former.call(get(&hits)).await.unwrap_err();
    assert_eq!(fault.code, Code::DeadlineExceeded);
    assert_eq!(former.call(add(&hits, 1)).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(owner.call(get(&hits)).await.unwrap(), 2);
    let owners: Vec<String> = alone.batches().await.into_iter().map(|batch| batch.owner).collect();
    assert!(owners.iter().rposition(|o| o == "former") < owners.iter().position(|o| o == "owner"));
    owner.drain("the test ends").await;
    assert_eq!(alone.batches().await.last().unwrap().owner, NOBODY);
}

#[tokio::test]
async fn snapshots_shorten_the_log_and_a_damaged_one_costs_nothing() {
    let alone = Alone::start().await;
    let (shard, mut manifest) = alone.open("first").await;
    let (hits, far) = (name("hits"), name("far"));
    for round in 0..3 {
        for by in 1..=10 {
            let tell = Some(far.clone());
            shard.call(Request::Add { name: hits.clone(), by, tell, heard: None }).await.unwrap();
        }
        manifest = snapshot::take(&shard, &manifest).await.unwrap();
        assert_eq!(manifest.former.is_some(), round > 0);
    }
    let former = manifest.former.clone().unwrap();
    shard.drain("the test goes on").await;
    let kept = alone.batches().await;
    assert!(kept.iter().skip(1).all(|batch| batch.after >= Some(former.through)), "{kept:?}");
    let same = |(shard, found): (Arc<Shard<Counters>>, Manifest)| {
        assert_eq!(found, manifest);
        let letters = shard.look(|machine| troupe_shard::Machine::letters(machine, 100));
        assert_eq!((shard.look(|machine| machine.count(&hits)), letters.len()), (165, 30));
        shard
    };
    let second = same(alone.open("second").await);
    second.drain("the test goes on").await;
    let newest = manifest.newest.clone().unwrap();
    let chunk = subject::shard_snapshot(SERVICE, 0, newest.through, 0);
    alone.log.put(&chunk, "junk".into()).await.unwrap();
    same(alone.open("third").await);
}

#[tokio::test]
async fn a_letter_arrives_once_although_it_is_sent_until_it_does() {
    let nats = NatsServer::start().await.unwrap();
    let (here, there) = (counter(0, 2), counter(1, 2));
    let first = replica(&nats.url(), 2).await;
    let second = replica(&nats.url(), 2).await;
    for by in 1..=10 {
        let tell = Some(there.clone());
        let request = Request::Add { name: here.clone(), by, tell, heard: None };
        ask(&first, 0, request).await.unwrap();
    }
    eventually("the letters to arrive", PATIENCE, || async {
        (ask(&second, 1, get(&there)).await.unwrap() == 55).then_some(())
    })
    .await;
    // Sent again from where it was sent: nothing is added twice.
    let again = Request::Add { name: there.clone(), by: 1, tell: None, heard: Some((0, 0)) };
    assert_eq!(ask(&first, 1, again).await.unwrap(), 55);
    first.drain().await;
    second.drain().await;
}
