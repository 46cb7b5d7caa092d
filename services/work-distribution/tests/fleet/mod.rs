//! A stack for tests: real NATS, real services in this process, agents by name.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses a part of it

pub mod parts;
pub mod worker;

use std::time::Duration;

use troupe_bus::{Bus, Settings};
use troupe_contract::registry::{Register, RegisterAgent};
use troupe_contract::work::*;
use troupe_domain::task::ClaimedTask;
use troupe_domain::task::spec::TaskSpec;
use troupe_domain::{Fault, Task};
use troupe_domain::{Json, Name, TaskId, TaskStatus};
use troupe_testkit::history::{Acknowledged, History, Rule, Violation};
use troupe_testkit::{NatsServer, eventually, try_eventually};
use troupe_work_distribution::{Config, Replica};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn task(title: &str) -> TaskSpec {
    TaskSpec { title: title.to_owned(), ..TaskSpec::default() }
}

/// The full size where it is asked for, else the one that fits beside other tests.
pub fn sized(full: usize, scaled: usize) -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
}

pub struct Fleet {
    pub nats: NatsServer,
    pub registry: Option<troupe_registry::Replica>,
    pub replicas: Vec<Replica>,
    pub operator: Bus,
    pub config: Config,
}

pub async fn connect(nats: &NatsServer, as_whom: &str) -> Bus {
    connect_to(&nats.url(), as_whom).await
}

pub async fn connect_to(url: &str, as_whom: &str) -> Bus {
    let settings = Settings { url: url.to_owned(), ..Settings::default() };
    Bus::connect(&settings, name(as_whom)).await.unwrap()
}

pub fn declaration(role: &str, capabilities: &[&str]) -> RegisterAgent {
    RegisterAgent {
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
    }
}

pub fn hold(claimed: &ClaimedTask) -> HoldRequest {
    HoldRequest { task_id: claimed.task.id.clone(), epoch: claimed.task.epoch }
}

pub fn done(hold: &HoldRequest, result: &str) -> CompleteRequest {
    CompleteRequest::new(hold.task_id.clone(), hold.epoch, Some(Json::text(result)))
}

pub fn failed(hold: &HoldRequest, retryable: bool) -> FailRequest {
    FailRequest {
        task_id: hold.task_id.clone(),
        epoch: hold.epoch,
        error: "cannot be done".into(),
        retryable,
    }
}

/// Whether time may mend it: events follow the writes that they tell of.
fn may_come(violation: &Violation) -> bool {
    matches!(
        violation.rule,
        Rule::EveryTaskEnds
            | Rule::AcknowledgedCreates
            | Rule::AcknowledgedClaims
            | Rule::AcknowledgedCompletions
    )
}

/// The history of all tasks, in which every promise is kept and every task has ended.
pub async fn proven(nats: &NatsServer, acknowledged: &Acknowledged, within: Duration) -> History {
    let last = std::sync::Mutex::new(Vec::new());
    let looked = try_eventually("a whole history", within, || async {
        let history = History::read(nats).await.ok()?;
        let violations = history.check_ended(acknowledged);
        let (whole, hopeless) = (violations.is_empty(), !violations.iter().all(may_come));
        *last.lock().unwrap() = violations;
        (whole || hopeless).then_some(history)
    });
    let looked = looked.await;
    let broken: Vec<String> = last.lock().unwrap().iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{} promises are broken:\n{}", broken.len(), broken.join("\n"));
    looked.unwrap()
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
        let registry = Some(troupe_registry::Replica::start(&bus, &registry, None).await.unwrap());
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
        bus.call::<Register>(&declaration(role, capabilities)).await.unwrap();
        bus
    }

    /// Claims, starts and completes one task.
    pub async fn work_once(
        &self,
        agent: &Bus,
        result: impl Fn(&ClaimedTask) -> String,
    ) -> ClaimedTask {
        let claimed =
            agent.call::<Next>(&NextRequest::waiting(4_000)).await.unwrap().task.expect("a task");
        let (task_id, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
        agent.call::<Start>(&HoldRequest { task_id: task_id.clone(), epoch }).await.unwrap();
        let result = Some(Json::text(&result(&claimed)));
        let done = CompleteRequest::new(task_id, epoch, result);
        agent.call::<Complete>(&done).await.unwrap();
        claimed
    }

    pub async fn create(&self, spec: &TaskSpec) -> std::sync::Arc<Task> {
        let created = self.operator.call::<Create>(spec).await.unwrap();
        self.get(&created.task_id).await
    }

    pub async fn get(&self, id: &TaskId) -> std::sync::Arc<Task> {
        let read = TaskRef { task_id: id.clone() };
        self.operator.call::<GetTask>(&read).await.unwrap().task
    }

    /// Claims the best task now.
    pub async fn claim(&self, agent: &Bus) -> ClaimedTask {
        self.next(agent).await.unwrap().expect("a task")
    }

    /// Claims the best task now, if there is one.
    pub async fn next(&self, agent: &Bus) -> Result<Option<ClaimedTask>, Fault> {
        agent.call::<Next>(&NextRequest::waiting(0)).await.map(|reply| reply.task)
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
