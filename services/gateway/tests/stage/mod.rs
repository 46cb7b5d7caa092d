//! A stack for tests: real NATS with the permissions that the contract generates, the real services in
//! this process, a gateway with two callers, and a client of MCP that says exactly what it is told.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

pub mod http;

use std::time::Duration;

use async_nats::ConnectOptions;
use serde_json::{Value, json};
use tempfile::TempDir;
use troupe_bus::{Bus, CallOptions, Settings};
use troupe_contract::generate::permissions::Kind;
use troupe_contract::generate::{User, nats_config};
use troupe_contract::{Endpoint, Service, subject};
use troupe_domain::agent::Timing;
use troupe_domain::{Fault, Name};
use troupe_embedding::ModelChoice;
use troupe_gateway::{Config, Gateway, sha256_of};
use troupe_runtime::config::{Address, Secret};
use troupe_testkit::NatsServer;

pub use http::Client;

pub const PATIENCE: Duration = Duration::from_secs(30);
const GATEWAY: &str = "troupe-gateway";
const CALLERS: [&str; 3] = ["ann", "bob", "eve"];

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn password(name: &str) -> String {
    format!("{name}-secret")
}

pub fn token(name: &str) -> String {
    format!("{name}-token")
}

/// Timing in which silence means something soon.
pub fn hasty() -> Timing {
    Timing { heartbeat_interval_ms: 300, ..Timing::default() }
}

pub struct Stage {
    // In this order, so that what stands on the server ends before it.
    pub gateway: Option<Gateway>,
    _plans: troupe_plan_sync::Replica,
    _progress: troupe_progress::Replica,
    _routing: troupe_semantic_routing::Replica,
    _work: troupe_work_distribution::Replica,
    _registry: troupe_registry::Replica,
    pub operator: Bus,
    pub config: Config,
    pub folder: TempDir,
    pub nats: NatsServer,
}

impl Stage {
    pub async fn start() -> Self {
        Box::pin(Self::with(Timing::default(), |_| ())).await
    }

    pub async fn with(timing: Timing, change: impl FnOnce(&mut Config)) -> Self {
        let mut stage = Box::pin(Self::without_gateway(timing)).await;
        change(&mut stage.config);
        let bus = login(&stage.nats, GATEWAY).await;
        let gateway = Box::pin(Gateway::start(&bus, &stage.config, None)).await.unwrap();
        stage.gateway = Some(gateway);
        stage
    }

    pub async fn without_gateway(timing: Timing) -> Self {
        Box::pin(Self::services(timing)).await
    }

    async fn services(timing: Timing) -> Self {
        let nats = server().await;
        let registry = troupe_registry::Config { timing, ..Default::default() };
        let bus = login(&nats, Service::Registry.full_name()).await;
        let registry =
            troupe_registry::Replica::start(&bus, &registry.settings(), None).await.unwrap();
        let bus = login(&nats, Service::Work.full_name()).await;
        let work = troupe_work_distribution::Config::default();
        let work = troupe_work_distribution::Replica::start(&bus, &work, None).await.unwrap();
        let bus = login(&nats, Service::Routing.full_name()).await;
        let mut routing = troupe_semantic_routing::Config::default();
        routing.intents.model.choice = ModelChoice::Folder("/nowhere".into());
        let routing = troupe_semantic_routing::Replica::start(&bus, &routing, None).await.unwrap();
        let bus = login(&nats, Service::Plan.full_name()).await;
        let plans = troupe_plan_sync::Config::default();
        let plans = troupe_plan_sync::Replica::start(&bus, &plans, None).await.unwrap();
        let bus = login(&nats, Service::Progress.full_name()).await;
        let progress = troupe_progress::Config::default();
        let progress = troupe_progress::Replica::start(&bus, &progress, None).await.unwrap();
        work.ready().await;
        routing.ready().await;
        plans.ready().await;
        progress.ready().await;
        let operator = login(&nats, "operator").await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(&nats, &folder);
        Self {
            gateway: None,
            _plans: plans,
            _progress: progress,
            _routing: routing,
            _work: work,
            _registry: registry,
            operator,
            config,
            folder,
            nats,
        }
    }

    /// A client with this agent's token.
    pub fn client(&self, agent: &str) -> Client {
        Client::new(self.gateway.as_ref().unwrap().address(), Some(token(agent)))
    }

    /// Calls an endpoint as the operator, with a request that is written as JSON.
    pub async fn ask<E: Endpoint>(&self, request: Value) -> Result<E::Reply, Fault> {
        let request = serde_json::from_value(request).expect("the request is as declared");
        self.operator.call_with::<E>(&request, &CallOptions::within(PATIENCE)).await
    }

    /// Creates a task for implementers; gives its id.
    pub async fn task(&self, title: &str) -> String {
        let spec = json!({"title": title, "required_role": "implementer", "lease_ms": 2_000});
        let created = self.ask::<troupe_contract::work::Create>(spec).await.unwrap();
        created.task_id.to_string()
    }

    /// One task, as it is now.
    pub async fn task_now(&self, id: &str) -> Value {
        let reply = self.ask::<troupe_contract::work::GetTask>(json!({"task_id": id})).await;
        serde_json::to_value(&*reply.unwrap().task).unwrap()
    }
}

async fn server() -> NatsServer {
    let services = Service::ALL.map(|service| (service.full_name(), Kind::Service(service)));
    let callers = CALLERS.map(|caller| (caller, Kind::Agent));
    let others = [("operator", Kind::Operator), (GATEWAY, Kind::Agent)];
    let users: Vec<User> = services
        .into_iter()
        .chain(callers)
        .chain(others)
        .map(|(user, kind)| User { name: name(user), password: password(user), kind })
        .collect();
    let block = nats_config(&users).unwrap();
    let kit = Service::Work.full_name();
    let options = ConnectOptions::with_user_and_password(kit.to_owned(), password(kit))
        .custom_inbox_prefix(subject::inbox_prefix(&name(kit)));
    NatsServer::builder().auth(block, options).start().await.unwrap()
}

pub async fn login(nats: &NatsServer, who: &str) -> Bus {
    let settings = Settings {
        url: nats.url(),
        user: Some(who.to_owned()),
        password: Some(password(who)),
        credentials_file: None,
    };
    Bus::connect(&settings, name(who)).await.unwrap()
}

/// The line of a caller in the file of callers.
pub fn line(agent: &str) -> String {
    let (sha256, password) = (sha256_of(&token(agent)), password(agent));
    format!("- {{agent: {agent}, sha256: {sha256}, password: {password}}}\n")
}

fn config(nats: &NatsServer, folder: &TempDir) -> Config {
    let file = folder.path().join("callers.yaml");
    std::fs::write(&file, CALLERS.map(line).concat()).unwrap();
    let mut config = Config::default();
    config.common.nats.url = Address::new(nats.url()).unwrap();
    config.common.nats.user = Some(GATEWAY.to_owned());
    config.common.nats.password = Some(Secret::new(password(GATEWAY)));
    config.mcp.listen.set_port(0);
    config.mcp.callers_file = Some(file);
    config
}

/// What a tool gave back; it must have succeeded.
pub fn given(answer: &Value) -> &Value {
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    &answer["result"]["structuredContent"]
}

/// What a tool said of a fault.
pub fn fault(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap()
}
