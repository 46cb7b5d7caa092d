//! A stage for routing by intent: real NATS, a real registry, the real model.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use troupe_bus::port::{System, World};
use troupe_bus::{Bus, Settings};
use troupe_contract::registry::{Deregister, Register, RegisterAgent};
use troupe_contract::routing::{Resolution, ResolveRequest, Route};
use troupe_domain::agent::Timing;
use troupe_domain::message::Intent;
use troupe_domain::{Fault, Name, Timestamp};
use troupe_semantic_routing::intents::{Choice, Config, End, Intents, Outcome, Setup};
use troupe_testkit::{NatsServer, eventually};

/// Long enough for a loaded machine; nothing waits for it in vain.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What the issue promises of a change in the registry.
pub const A_SECOND: Duration = Duration::from_secs(1);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The full size where it is asked for, else the one that fits beside other tests.
pub fn sized(full: usize, scaled: usize) -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
}

pub struct Stage {
    pub nats: NatsServer,
    pub registry: troupe_registry::Replica,
    pub redis_url: Option<String>,
}

impl Stage {
    pub async fn start() -> Self {
        let nats = NatsServer::start().await.unwrap();
        let bus = connect(&nats, "troupe-registry").await;
        let timing = Timing { heartbeat_interval_ms: 600_000, ..Timing::default() };
        let settings = troupe_registry::Settings { timing, stream_replicas: 1, redis_url: None };
        let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
        Self { nats, registry, redis_url: None }
    }

    pub async fn intents_in(&self, config: Config, world: Arc<dyn World>) -> Arc<Intents> {
        config.check().unwrap();
        let bus = connect(&self.nats, "troupe-semantic-routing").await;
        let redis_url = self.redis_url.clone();
        let setup = Setup { config, redis_url, stream_replicas: 1, world };
        let intents = Intents::start(&bus, setup).await.unwrap();
        intents.ready(PATIENCE).await;
        intents
    }

    /// A replica that has learned what there is.
    pub async fn intents(&self) -> Arc<Intents> {
        self.intents_in(Config::default(), Arc::new(System)).await
    }

    /// An agent registers, or changes what it declared.
    pub async fn agent(&self, id: &str, declared: Value) -> Bus {
        let bus = connect(&self.nats, id).await;
        declare(&bus, declared).await;
        bus
    }

    /// Three agents whose work has little in common.
    pub async fn crew(&self) {
        for (id, role, capability, description, utterances) in CREW {
            let declared = json!({
                "role": role,
                "max_concurrent_tasks": 64,
                "capabilities": [{
                    "name": capability,
                    "description": description,
                    "utterances": utterances,
                }],
            });
            self.agent(id, declared).await;
        }
    }

    pub async fn leave(&self, bus: &Bus) {
        bus.call::<Deregister>(&serde_json::from_value(json!({})).unwrap()).await.unwrap();
    }
}

/// A clock that goes on when it is told to.
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    pub fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl World for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.0.load(Ordering::SeqCst))
    }

    fn random(&self) -> u128 {
        System.random()
    }
}

type Member = (&'static str, &'static str, &'static str, &'static str, [&'static str; 5]);

pub const CREW: [Member; 3] = [
    (
        "tess",
        "tester",
        "unit-tests",
        "writes and repairs automated tests for source code",
        [
            "write unit tests for the parser",
            "the test suite fails, please fix the tests",
            "add a regression test for this bug",
            "increase the test coverage of this module",
            "mock the database in the tests",
        ],
    ),
    (
        "trans",
        "translator",
        "translation",
        "translates texts between human languages",
        [
            "translate this letter into French",
            "what does this German sentence mean in English",
            "please put the manual into Spanish",
            "I need a Japanese version of this page",
            "convert the subtitles to Italian",
        ],
    ),
    (
        "bill",
        "accountant",
        "invoices",
        "prepares, checks and sends invoices and refunds to customers",
        [
            "send the customer an invoice",
            "refund the payment for this order",
            "the bill has the wrong amount",
            "check which invoices are overdue",
            "add the sales tax to the receipt",
        ],
    ),
];

pub async fn connect(nats: &NatsServer, as_whom: &str) -> Bus {
    let settings = Settings { url: nats.url(), ..Settings::default() };
    Bus::connect(&settings, name(as_whom)).await.unwrap()
}

pub async fn declare(bus: &Bus, declared: Value) {
    let declared: RegisterAgent = serde_json::from_value(declared).unwrap();
    bus.call::<Register>(&declared).await.unwrap();
}

pub fn route(id: &str, target: Value, utterances: &[&str]) -> Route {
    serde_json::from_value(json!({"id": id, "target": target, "utterances": utterances})).unwrap()
}

pub async fn resolve(intents: &Intents, request: Value) -> Result<Resolution, Fault> {
    let request: ResolveRequest = serde_json::from_value(request).unwrap();
    intents.resolve(&name("operator"), request, soon()).await
}

pub async fn ask(intents: &Intents, text: &str) -> Resolution {
    resolve(intents, json!({"text": text})).await.unwrap()
}

/// Who does it, or nobody.
pub fn who(resolution: &Resolution) -> &str {
    resolution.agent_id.as_ref().map_or("nobody", Name::as_str)
}

pub async fn choose(intents: &Intents, intent: Value) -> Choice {
    let intent: Intent = serde_json::from_value(intent).unwrap();
    intents.choose(&name("operator"), &intent, soon()).await.unwrap()
}

/// Says how a message ended at an agent.
pub fn end(intents: &Intents, agent: &Name, key: &Name, end: End) {
    let (agent, key) = (agent.clone(), key.clone());
    intents.heard(Outcome { agent, key, end, latency_ms: Some(5), handed_to: None });
}

/// Waits until `text` leads to `agent`.
pub async fn until(intents: &Intents, text: &str, agent: &str, deadline: Duration) -> Resolution {
    eventually(format!("{text:?} to lead to {agent}"), deadline, || async {
        let resolution = ask(intents, text).await;
        (who(&resolution) == agent).then_some(resolution)
    })
    .await
}
