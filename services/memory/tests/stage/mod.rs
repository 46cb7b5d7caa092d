//! A stack for tests: real NATS and the service in this process.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::time::Duration;

use serde_json::{Value, json};
use troupe_bus::{Bus, CallOptions, Settings};
use troupe_contract::Endpoint;
use troupe_contract::memory::*;
use troupe_contract::registry::Empty;
use troupe_domain::memory::{Memory, MemoryId};
use troupe_domain::{Fault, Name};
use troupe_memory::{Config, Replica};
use troupe_testkit::NatsServer;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub async fn connect_to(url: &str, as_whom: &str) -> Bus {
    let settings = Settings { url: url.to_owned(), ..Settings::default() };
    Bus::connect(&settings, name(as_whom)).await.unwrap()
}

/// Calls `E` with a request that is written as JSON.
pub async fn call<E: Endpoint>(bus: &Bus, request: Value) -> Result<E::Reply, Fault> {
    let request = serde_json::from_value(request).expect("the request is as declared");
    bus.call_with::<E>(&request, &CallOptions::within(PATIENCE)).await
}

/// Words only: most tests need no model, and start faster without one.
pub fn lexical() -> Config {
    Config { model: None, admins: vec![name("admin")], ..Config::default() }
}

pub struct Stage {
    // In this order, so that the replicas end before their server.
    pub replicas: Vec<Replica>,
    pub config: Config,
    pub nats: NatsServer,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(lexical(), 1).await
    }

    pub async fn with(config: Config, replicas: usize) -> Self {
        let nats = NatsServer::start().await.unwrap();
        let mut stage = Self { replicas: Vec::new(), config, nats };
        for _ in 0..replicas {
            stage.add_replica().await;
        }
        stage
    }

    pub async fn add_replica(&mut self) {
        let bus = self.bus("troupe-memory").await;
        let replica = Replica::start(&bus, &self.config, None).await.unwrap();
        replica.ready().await;
        self.replicas.push(replica);
    }

    pub async fn bus(&self, as_whom: &str) -> Bus {
        connect_to(&self.nats.url(), as_whom).await
    }
}

pub async fn create(bus: &Bus, request: Value) -> MemoryReceipt {
    call::<CreateMemory>(bus, request).await.unwrap()
}

pub async fn fact(bus: &Bus, content: &str) -> MemoryId {
    create(bus, json!({"content": content, "type": "semantic"})).await.id
}

pub async fn get(bus: &Bus, id: &MemoryId) -> Memory {
    call::<GetMemory>(bus, json!({ "id": id })).await.unwrap().memory
}

pub async fn search(bus: &Bus, request: Value) -> MemorySearchReply {
    call::<SearchMemory>(bus, request).await.unwrap()
}

/// The ids of the results, the best first.
pub fn ids(reply: &MemorySearchReply) -> Vec<MemoryId> {
    reply.results.iter().map(|hit| hit.memory.id.clone()).collect()
}

pub async fn stats(bus: &Bus) -> MemoryStatistics {
    bus.call::<MemoryStats>(&Empty {}).await.unwrap()
}
