//! What the registry's tests stand on: a real server, replicas over it, and agents that speak.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses its own part

use std::time::Duration;

use serde_json::{Value, json};
use troupe_bus::connect::Settings as BusSettings;
use troupe_bus::port::{Entry, Log};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::event::{AgentEvent, AgentEventKind};
use troupe_contract::registry::{GetAgent, Heartbeat, HeartbeatResponse, Register, Registered};
use troupe_contract::{Endpoint, Service, subject};
use troupe_domain::agent::Timing;
use troupe_domain::{Agent, AgentStatus, Fault, Name};
use troupe_registry::{Replica, Settings};
use troupe_testkit::{NatsServer, eventually};

/// Long enough for a loaded machine; nothing waits for it in vain.
pub const SOON: Duration = Duration::from_secs(30);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Timing in which nobody is ever missed during a test.
pub fn patient() -> Timing {
    Timing { heartbeat_interval_ms: 600_000, ..Timing::default() }
}

/// Timing in which silence leads to an end within seconds.
pub fn hasty() -> Timing {
    Timing {
        heartbeat_interval_ms: 300,
        offline_after_misses: 3,
        crashed_after_misses: 5,
        crashed_retention_ms: 600,
    }
}

pub struct Stage {
    pub nats: NatsServer,
}

impl Stage {
    pub async fn start() -> Self {
        Self { nats: NatsServer::start().await.unwrap() }
    }

    /// A connection under a name.
    pub async fn bus(&self, who: &str) -> Bus {
        let settings = BusSettings { url: self.nats.url(), ..BusSettings::default() };
        Bus::connect(&settings, name(who)).await.unwrap()
    }

    pub async fn replica(&self, timing: Timing) -> Replica {
        self.replica_with(Settings { timing, ..Settings::default() }).await
    }

    pub async fn replica_with(&self, settings: Settings) -> Replica {
        let bus = self.bus("troupe-registry").await;
        Replica::start(&bus, &settings, None).await.unwrap()
    }

    /// Everything that was told of agents, in order.
    pub async fn events(&self) -> Vec<AgentEvent> {
        let log = self.bus("reader").await.events(Service::Registry, 1).await.unwrap().log;
        let mut told = Vec::new();
        let mut each = |entry: Entry| {
            let events = troupe_contract::event::decode(&entry.body).unwrap();
            told.extend(events.into_iter().map(|event| event.data));
        };
        log.read(&subject::events_of("agent"), 0, &mut each).await.unwrap();
        told
    }

    /// The kinds of events of one agent, in order.
    pub async fn kinds(&self, agent: &str) -> Vec<AgentEventKind> {
        let told = self.events().await;
        told.iter().filter(|e| e.agent_id.as_str() == agent).map(|e| e.event).collect()
    }
}

/// Calls an operation with any JSON under the connection's name.
pub async fn ask(bus: &Bus, operation: &str, body: Value) -> Result<Value, Fault> {
    let subject = format!("{}.registry.{operation}.{}", subject::PREFIX, bus.name());
    let answer = bus.call_raw(&subject, body.to_string().into(), &CallOptions::default()).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

/// Calls an operation that must be refused; gives the code and the field that is named.
pub async fn refused(bus: &Bus, operation: &str, body: Value) -> (String, String) {
    let shown = body.to_string();
    let fault = ask(bus, operation, body).await.expect_err(&shown);
    let field = fault.details.get("field").and_then(Value::as_str).unwrap_or_default();
    (fault.code.as_str().to_owned(), field.to_owned())
}

pub async fn call<E: Endpoint>(bus: &Bus, body: Value) -> Result<E::Reply, Fault> {
    bus.call::<E>(&serde_json::from_value(body).unwrap()).await
}

pub async fn register(bus: &Bus, body: Value) -> Registered {
    call::<Register>(bus, body).await.unwrap()
}

/// Registers an agent with a role and nothing else.
pub async fn join(bus: &Bus) -> Registered {
    register(bus, json!({"role": "implementer"})).await
}

pub async fn beat(bus: &Bus) -> Result<HeartbeatResponse, Fault> {
    call::<Heartbeat>(bus, json!({})).await
}

pub async fn get(bus: &Bus, id: &str) -> Result<Agent, Fault> {
    call::<GetAgent>(bus, json!({"agent_id": id})).await.map(|reply| reply.agent)
}

/// Waits until `id` has a status.
pub async fn until_status(bus: &Bus, id: &str, status: AgentStatus) {
    eventually(format!("{id} to be {status:?}"), SOON, || async {
        get(bus, id).await.ok().filter(|agent| agent.status == status)
    })
    .await;
}
