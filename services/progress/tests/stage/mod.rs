//! A stack for tests: real NATS, and the registry, work distribution and the service in this process.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::time::Duration;

use serde_json::{Value, json};
use troupe_bus::{Bus, CallOptions, Settings};
use troupe_contract::Endpoint;
use troupe_contract::progress::*;
use troupe_contract::registry::{Empty, Register};
use troupe_contract::work::{
    Complete, CompleteRequest, CreateGraph, GraphCreated, Next, NextRequest, TaskReceipt,
};
use troupe_domain::task::ClaimedTask;
use troupe_domain::{Fault, Name, TaskId};
use troupe_progress::{Config, Replica};
use troupe_testkit::{NatsServer, eventually};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// The full size where it is asked for, else the one that fits beside other tests.
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
    pub work: troupe_work_distribution::Replica,
    pub registry: troupe_registry::Replica,
    pub operator: Bus,
    pub config: Config,
    pub nats: NatsServer,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(Config::default(), 1).await
    }

    pub async fn with(config: Config, replicas: usize) -> Self {
        let nats = NatsServer::start().await.unwrap();
        let url = nats.url();
        let bus = connect_to(&url, "troupe-registry").await;
        let settings = troupe_registry::Config::default().settings();
        let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
        let bus = connect_to(&url, "troupe-work-distribution").await;
        let work = troupe_work_distribution::Config::default();
        let work = troupe_work_distribution::Replica::start(&bus, &work, None).await.unwrap();
        work.ready().await;
        let operator = connect_to(&url, "operator").await;
        let mut stage = Self { replicas: Vec::new(), work, registry, operator, config, nats };
        for _ in 0..replicas {
            stage.add_replica().await;
        }
        stage
    }

    pub async fn add_replica(&mut self) {
        let bus = self.bus("troupe-progress").await;
        let replica = Replica::start(&bus, &self.config, None).await.unwrap();
        replica.ready().await;
        self.replicas.push(replica);
    }

    pub async fn bus(&self, as_whom: &str) -> Bus {
        connect_to(&self.nats.url(), as_whom).await
    }

    /// An agent of the fleet, an implementer.
    pub async fn agent(&self, id: &str) -> Bus {
        let bus = self.bus(id).await;
        let declared = json!({"role": "implementer", "max_concurrent_tasks": 64});
        call::<Register>(&bus, declared).await.unwrap();
        bus
    }

    /// Creates a graph; its tasks by key and what each waits for.
    pub async fn graph(&self, tasks: &[(&str, &[&str])]) -> GraphCreated {
        let task = |(key, on): &(&str, &[&str])| {
            json!({"key": key, "title": format!("do {key}"), "role": "implementer",
                "depends_on": on, "estimated_minutes": 10})
        };
        let tasks: Vec<Value> = tasks.iter().map(task).collect();
        call::<CreateGraph>(&self.operator, json!({ "tasks": tasks })).await.unwrap()
    }

    pub async fn ask<E: Endpoint>(&self, request: Value) -> Result<E::Reply, Fault> {
        call::<E>(&self.operator, request).await
    }

    pub async fn summary(&self, over: Value) -> ProgressSummary {
        self.ask::<Summary>(over).await.unwrap()
    }

    pub async fn latest(&self, task: &TaskId) -> TaskProgress {
        self.ask::<Latest>(json!({ "task_id": task })).await.unwrap().progress
    }

    pub async fn stats(&self) -> ProgressStatistics {
        self.operator.call::<ProgressStats>(&Empty {}).await.unwrap()
    }

    pub async fn until_summary(
        &self,
        over: Value,
        what: &str,
        is: impl Fn(&ProgressSummary) -> bool,
    ) -> ProgressSummary {
        eventually(what, PATIENCE, || async {
            self.ask::<Summary>(over.clone()).await.ok().filter(|summary| is(summary))
        })
        .await
    }
}

/// Claims and starts the best task.
pub async fn take(agent: &Bus) -> ClaimedTask {
    let next = NextRequest { wait_ms: 10_000, start: true };
    agent
        .call_with::<Next>(&next, &CallOptions::within(PATIENCE))
        .await
        .unwrap()
        .task
        .expect("a task")
}

pub async fn complete(agent: &Bus, claimed: &ClaimedTask) {
    let request = CompleteRequest::new(claimed.task.id.clone(), claimed.task.epoch, None);
    agent.call::<Complete>(&request).await.unwrap();
}

pub async fn report(
    agent: &Bus,
    claimed: &ClaimedTask,
    percentage: f64,
) -> Result<ReportReceipt, Fault> {
    let report =
        json!({"task_id": claimed.task.id, "epoch": claimed.task.epoch, "percentage": percentage});
    call::<Report>(agent, report).await
}

pub fn is_held(receipt: &TaskReceipt) -> bool {
    receipt.status.is_held()
}
