//! A stack for tests: real NATS, the real service in this process, agents by name, replicas of their own.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use troupe_bus::port::World;
use troupe_bus::{Bus, CallOptions, Settings};
use troupe_contract::Endpoint;
use troupe_contract::event::{PLAN, PlanEvent};
use troupe_contract::plan::*;
use troupe_contract::stream;
use troupe_crdt::{AgentKey, Edit, Kind, Replica as Copy, SignedBatch};
use troupe_domain::{Fault, Name};
use troupe_plan_sync::{Config, Replica};
use troupe_testkit::NatsServer;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn sized(full: usize, scaled: usize) -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
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

pub struct Stage {
    // In this order, so that the replicas end before their server.
    pub replicas: Vec<Replica>,
    pub config: Config,
    pub nats: NatsServer,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(Config::default(), 1).await
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
        let bus = self.bus("troupe-plan-sync").await;
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

    /// What was told so far of one plan or object.
    pub async fn events(&self, plan: &str) -> Vec<PlanEvent> {
        Box::pin(async { told(&self.bus("observer").await, plan).await }).await
    }
}

/// What was told so far of one plan or object.
pub async fn told(bus: &Bus, plan: &str) -> Vec<PlanEvent> {
    use troupe_bus::port::Log;
    let log = bus.open_stream(&stream::events(), 1).await.unwrap();
    let mut told = Vec::new();
    let filter = troupe_contract::subject::events_of(PLAN);
    log.read(&filter, 0, &mut |entry| {
        let events = troupe_contract::event::decode::<PlanEvent>(&entry.body).unwrap();
        told.extend(
            events.into_iter().map(|event| event.data).filter(|e| e.plan_id.as_str() == plan),
        );
    })
    .await
    .unwrap();
    told
}

/// An agent that speaks to the service.
pub struct Agent {
    pub bus: Bus,
}

impl Agent {
    pub async fn call<E: Endpoint>(&self, request: Value) -> Result<E::Reply, Fault> {
        call::<E>(&self.bus, request).await
    }

    /// Makes a plan with items of these ids.
    pub async fn make(&self, plan: &str, items: &[&str]) -> PlanReceipt {
        let items: Vec<Value> =
            items.iter().map(|id| json!({ "item_id": id, "title": format!("Do {id}") })).collect();
        let request = json!({ "plan_id": plan, "name": "A plan", "items": items });
        self.call::<CreatePlan>(request).await.unwrap()
    }

    pub async fn get(&self, plan: &str) -> PlanReply {
        self.call::<GetPlan>(json!({ "plan_id": plan })).await.unwrap()
    }

    /// A replica of its own.
    pub fn copy_of(&self, plan: &str) -> OwnCopy {
        OwnCopy::new(self.bus.name().clone(), plan)
    }
}

/// A replica of a plan, as an agent with the SDK holds one.
pub struct OwnCopy {
    pub agent: Name,
    pub key: AgentKey,
    pub copy: Copy,
}

impl OwnCopy {
    pub fn new(agent: Name, plan: &str) -> Self {
        let mut seed = [7; 32];
        agent.as_str().bytes().enumerate().for_each(|(at, byte)| seed[at % 32] ^= byte);
        let copy = Copy::new(name(plan), Kind::Plan);
        Self { agent, key: AgentKey::from_seed(seed), copy }
    }

    /// Edits, and gives the batch.
    pub fn edit(&mut self, edits: &[Edit]) -> Arc<SignedBatch> {
        let now = troupe_bus::port::System.now();
        let operations = self.copy.document().operations(&self.agent, edits).unwrap();
        self.copy.write(&self.agent, &self.key, None, now, operations).unwrap()
    }

    /// What it lacks comes from the service.
    pub async fn pull(&mut self, bus: &Bus) {
        loop {
            let vector = self.copy.document().vector();
            let object = self.copy.document().object().clone();
            let request = SyncRequest { object_id: object, vector, max_bytes: None };
            let reply = bus.call::<Sync>(&request).await.unwrap();
            if reply.snapshot_needed {
                self.adopt(bus).await;
                continue;
            }
            for batch in &reply.batches {
                let signed = SignedBatch::decode(batch.as_ref()).unwrap();
                self.copy.receive(Arc::new(signed)).unwrap();
            }
            if !reply.more {
                return;
            }
        }
    }

    /// Takes the service's snapshot in place of its own state.
    pub async fn adopt(&mut self, bus: &Bus) {
        let object = self.copy.document().object().clone();
        let (mut bytes, mut offset, mut through) = (Vec::new(), 0, None);
        loop {
            let request = SnapshotRequest { object_id: object.clone(), offset, through };
            let piece = bus.call::<Snapshot>(&request).await.unwrap();
            bytes.extend_from_slice(piece.chunk.as_ref());
            through = Some(piece.sequence);
            match piece.next_offset {
                Some(next) => offset = next,
                None => break,
            }
        }
        self.copy.adopt(&bytes).unwrap();
    }

    pub fn hash(&self) -> String {
        self.copy.document().hash().to_string()
    }
}

/// Brings batches to the service.
pub async fn bring(bus: &Bus, batches: &[Arc<SignedBatch>]) -> Result<ApplyReply, Fault> {
    let batches = batches.iter().map(|batch| Bytes64(batch.shared_bytes())).collect();
    bus.call_with::<Apply>(&ApplyRequest { batches }, &CallOptions::within(PATIENCE)).await
}
