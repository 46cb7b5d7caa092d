//! A stack for tests: real NATS, the real service in this process, agents by name.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::time::Duration;

use serde_json::{Value, json};
use troupe_bus::{Bus, CallOptions, Settings};
use troupe_contract::Endpoint;
use troupe_contract::routing::*;
use troupe_domain::agent::Timing;
use troupe_domain::message::MessageSpec;
use troupe_domain::{Fault, Name};
use troupe_embedding::ModelChoice;
use troupe_semantic_routing::{Config, Replica};
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

/// Messaging needs no model, and intents with capabilities neither.
pub fn without_model() -> Config {
    let mut config = Config::default();
    config.intents.model.choice = ModelChoice::Folder("/nowhere".into());
    config
}

pub struct Stage {
    // In this order, so that the replicas end before their server.
    pub replicas: Vec<Replica>,
    pub config: Config,
    pub nats: NatsServer,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(without_model(), 1).await
    }

    /// The service with a registry beside it, so that intents know agents.
    pub async fn with_registry(config: Config) -> (troupe_registry::Replica, Self) {
        Self::with_registry_of(config, Timing::default()).await
    }

    /// The same, where silence means something after another time.
    pub async fn with_registry_of(
        config: Config,
        timing: Timing,
    ) -> (troupe_registry::Replica, Self) {
        let nats = NatsServer::start().await.unwrap();
        let mut stage = Self { replicas: Vec::new(), config, nats };
        let bus = stage.bus("troupe-registry").await;
        let config = troupe_registry::Config { timing, ..Default::default() };
        let settings = config.settings();
        let registry =
            Box::pin(troupe_registry::Replica::start(&bus, &settings, None)).await.unwrap();
        Box::pin(stage.add_replica()).await;
        (registry, stage)
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
        let bus = self.bus("troupe-semantic-routing").await;
        let replica = Replica::start(&bus, &self.config, None).await.unwrap();
        replica.ready().await;
        self.replicas.push(replica);
    }

    pub async fn bus(&self, as_whom: &str) -> Bus {
        connect_to(&self.nats.url(), as_whom).await
    }

    pub async fn agent(&self, id: &str) -> Agent {
        Agent { bus: self.bus(id).await }
    }
}

/// An agent that speaks to the service.
pub struct Agent {
    pub bus: Bus,
}

impl Agent {
    pub fn id(&self) -> &Name {
        self.bus.name()
    }

    pub async fn call<E: Endpoint>(&self, request: Value) -> Result<E::Reply, Fault> {
        call::<E>(&self.bus, request).await
    }

    pub async fn send(&self, message: Value) -> Sent {
        self.call::<Send>(message).await.unwrap()
    }

    pub async fn refused(&self, message: Value) -> Fault {
        let spec: Result<MessageSpec, _> = serde_json::from_value(message);
        let options = CallOptions::within(PATIENCE);
        self.bus.call_with::<Send>(&spec.unwrap(), &options).await.unwrap_err()
    }

    /// What waits now.
    pub async fn pull(&self) -> Vec<DeliveredMessage> {
        self.poll(json!({ "max_messages": 256 })).await
    }

    /// Waits until at least one message is there.
    pub async fn wait(&self) -> Vec<DeliveredMessage> {
        self.poll(json!({ "max_messages": 256, "wait_ms": 15_000 })).await
    }

    pub async fn poll(&self, request: Value) -> Vec<DeliveredMessage> {
        self.call::<Inbox>(request).await.unwrap().messages
    }

    /// Waits for one message, and is done with it.
    pub async fn take_one(&self) -> DeliveredMessage {
        let got = self.poll(json!({ "max_messages": 1, "wait_ms": 15_000 })).await;
        let [delivered] = <[_; 1]>::try_from(got).expect("a message comes");
        assert_eq!(self.ack(&delivered).await, AckEffect::Done);
        delivered
    }

    pub async fn ack(&self, delivered: &DeliveredMessage) -> AckEffect {
        self.end(delivered, json!({})).await
    }

    /// Says what became of a delivery; `how` has the outcome and what belongs to it.
    pub async fn end(&self, delivered: &DeliveredMessage, how: Value) -> AckEffect {
        self.result(delivered, how).await.result
    }

    pub async fn result(&self, delivered: &DeliveredMessage, mut how: Value) -> AckResult {
        how["messages"] = json!([{
            "message_id": delivered.message.id,
            "sender_id": delivered.message.sender_id,
            "attempt": delivered.delivery_attempts,
        }]);
        self.call::<Ack>(how).await.unwrap().results.remove(0)
    }

    pub async fn dead(&self) -> Vec<std::sync::Arc<DeadLetter>> {
        self.call::<DeadLetters>(json!({})).await.unwrap().dead_letters
    }
}

pub fn ids(messages: &[DeliveredMessage]) -> Vec<&str> {
    messages.iter().map(|delivered| delivered.message.id.as_str()).collect()
}

pub fn subjects(messages: &[DeliveredMessage]) -> Vec<&str> {
    messages.iter().map(|delivered| delivered.message.subject.as_str()).collect()
}
