//! A stack for tests: real NATS, real services in this process, agents by name.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

use std::time::Duration;

use troupe_bus::{Bus, Settings};
use troupe_contract::registry::{Register, RegisterAgent};
use troupe_contract::work::*;
use troupe_domain::task::ClaimedTask;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{Json, Name, TaskId, TaskStatus};
use troupe_testkit::{NatsServer, eventually};
use troupe_work_distribution::{Config, Replica};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn task(title: &str) -> TaskSpec {
    TaskSpec { title: title.to_owned(), ..TaskSpec::default() }
}

pub struct Fleet {
    pub nats: NatsServer,
    pub registry: troupe_registry::Replica,
    pub replicas: Vec<Replica>,
    pub operator: Bus,
    pub config: Config,
}

pub async fn connect(nats: &NatsServer, as_whom: &str) -> Bus {
    let settings = Settings { url: nats.url(), ..Settings::default() };
    Bus::connect(&settings, name(as_whom)).await.unwrap()
}

impl Fleet {
    pub async fn start() -> Self {
        Self::with(Config::default(), troupe_registry::Config::default().settings(), 1).await
    }

    pub async fn with(
        config: Config,
        registry: troupe_registry::Settings,
        replicas: usize,
    ) -> Self {
        let nats = NatsServer::start().await.unwrap();
        let bus = connect(&nats, "troupe-registry").await;
        let registry = troupe_registry::Replica::start(&bus, &registry, None).await.unwrap();
        let operator = connect(&nats, "operator").await;
        let mut fleet = Self { nats, registry, replicas: Vec::new(), operator, config };
        for _ in 0..replicas {
            fleet.add_replica().await;
        }
        fleet
    }

    pub async fn add_replica(&mut self) {
        let bus = connect(&self.nats, "troupe-work-distribution").await;
        let replica = Replica::start(&bus, &self.config, None).await.unwrap();
        replica.ready().await;
        self.replicas.push(replica);
    }

    pub async fn agent(&self, id: &str, role: &str, capabilities: &[&str]) -> Bus {
        let bus = connect(&self.nats, id).await;
        let declaration = RegisterAgent {
            id: None,
            role: name(role),
            persona: None,
            capabilities: capabilities.iter().map(|text| text.parse().unwrap()).collect(),
            surface: troupe_domain::Surface::Cli,
            max_concurrent_tasks: 64,
            parent_agent_id: None,
            session_id: None,
            status: troupe_domain::AgentStatus::Active,
            metadata: None,
        };
        bus.call::<Register>(&declaration).await.unwrap();
        bus
    }

    /// Claims, starts and completes one task.
    pub async fn work_once(
        &self,
        agent: &Bus,
        result: impl Fn(&ClaimedTask) -> String,
    ) -> ClaimedTask {
        let claimed = agent
            .call::<Next>(&NextRequest { wait_ms: 4_000 })
            .await
            .unwrap()
            .task
            .expect("a task");
        let (task_id, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
        agent.call::<Start>(&HoldRequest { task_id: task_id.clone(), epoch }).await.unwrap();
        let result = Some(Json::text(&result(&claimed)));
        let done = CompleteRequest { task_id, epoch, result, evidence: Vec::new() };
        agent.call::<Complete>(&done).await.unwrap();
        claimed
    }

    pub async fn status(&self, id: &TaskId) -> TaskStatus {
        let read = TaskRef { task_id: id.clone() };
        self.operator.call::<GetTask>(&read).await.unwrap().task.status
    }

    pub async fn until_status(&self, id: &TaskId, wanted: TaskStatus) {
        let what = format!("{id} to be {}", wanted.as_str());
        eventually(&what, PATIENCE, || async { (self.status(id).await == wanted).then_some(()) })
            .await;
    }

    pub async fn until_waiting(&self, polls: usize) {
        eventually("long polls to wait", PATIENCE, || async {
            let waiting: usize = self.replicas.iter().map(Replica::waiting_polls).sum();
            (waiting >= polls).then_some(())
        })
        .await;
    }
}
