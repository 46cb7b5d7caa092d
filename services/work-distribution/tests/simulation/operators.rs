//! Operators: they create tasks and graphs, call off, bring back and look.

use std::sync::Arc;

use tokio::time::sleep;
use troupe_bus::port::World;
use troupe_contract::work::TaskFilter;
use troupe_domain::evidence::Verification;
use troupe_domain::retry::Backoff;
use troupe_domain::task::spec::{Birth, TaskSpec};
use troupe_domain::task::{Dependency, OnFailure};
use troupe_domain::{Task, TaskId, TaskStatus};
use troupe_shard::place::mint;
use troupe_work_distribution::replica::archive;
use troupe_work_distribution::rules::record::{CreatedUnder, CreationKey, Watcher};
use troupe_work_distribution::shard::{ShardReply, ShardRequest};

use super::agents::ROLES;
use super::client::{Client, name};
use super::cluster::Cluster;
use super::history::{Answer, Asked};

const MAX_TRIES: usize = 4;

/// One operator.
pub(crate) struct Operator {
    client: Client,
    known: Vec<TaskId>,
    keys: u64,
}

impl Operator {
    pub(crate) fn new(cluster: &Arc<Cluster>, index: usize) -> Self {
        let client = Client::new(cluster, &format!("operator-{index}"));
        Self { client, known: Vec::new(), keys: 0 }
    }

    /// Gives so many commands as the plan says.
    pub(crate) async fn run(mut self) {
        let commands = self.client.cluster.plan.commands_per_operator;
        for _ in 0..commands {
            sleep(self.client.chance.millis(10, 1_500)).await;
            match self.client.chance.below(20) {
                0..=8 => self.create().await,
                9..=10 => self.cancel().await,
                11..=13 => self.revive().await,
                14 => self.list().await,
                _ => self.look().await,
            }
        }
    }

    /// Looks at what there is, over and over, for ever.
    pub(crate) async fn watch(self) {
        loop {
            let most = if self.client.cluster.is_kind() { 5_000 } else { 900 };
            sleep(self.client.chance.millis(50, most)).await;
            let known = self.created_so_far();
            if let Some(id) = self.client.chance.pick(&known) {
                self.client.see(id).await;
            }
        }
    }

    /// What anybody asked to create, as anybody may have been told.
    fn created_so_far(&self) -> Vec<TaskId> {
        let ops = self.client.cluster.history.ops();
        let created = ops.into_iter().filter_map(|op| match op.asked {
            Asked::Create { ids } => Some(ids),
            _ => None,
        });
        created.flatten().collect()
    }

    fn some_task(&self) -> Option<TaskId> {
        self.client.chance.pick(&self.known).cloned()
    }

    fn draw_id(&self, shard: u16) -> TaskId {
        let cluster = &self.client.cluster;
        mint(shard, cluster.plan.shards, || cluster.world.ulid())
            .unwrap_or_else(|| panic!("no id for shard {shard}"))
    }

    fn spec(&self) -> TaskSpec {
        let chance = &self.client.chance;
        TaskSpec {
            title: "a task".to_owned(),
            required_role: chance.hits(300).then(|| name(ROLES[chance.below(2) as usize])),
            max_retries: Some(chance.below(3) as u32),
            backoff: Some(Backoff {
                initial_ms: chance.within(1, 2_000),
                max_ms: 4_000,
                multiplier: 2.0,
            }),
            lease_ms: Some(chance.within(600, 4_000)),
            verification: chance.hits(200).then(Verification::default),
            ..TaskSpec::default()
        }
    }

    fn birth(&self, id: &TaskId) -> Birth {
        Birth {
            id: id.clone(),
            at: self.client.now(),
            by: self.client.name.clone(),
            trace: None,
            graph_id: None,
            default_lease_ms: 2_000,
        }
    }

    fn policy(&self) -> OnFailure {
        match self.client.chance.below(4) {
            0 => OnFailure::Block,
            1 => OnFailure::Continue,
            _ => OnFailure::Cancel,
        }
    }

    /// Creates a few tasks, all or nothing, that depend on one another and on older ones.
    async fn create(&mut self) {
        let shard = self.client.chance.below(u64::from(self.client.cluster.plan.shards)) as u16;
        let count = self.client.chance.within(1, 4);
        let ids: Vec<TaskId> = (0..count).map(|_| self.draw_id(shard)).collect();
        let mut tasks = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let mut edges = Vec::new();
            for before in &ids[..index] {
                if self.client.chance.hits(400) {
                    let task_id = before.clone();
                    let on_failure = self.policy();
                    edges.push(Dependency { task_id, on_failure, outcome: None, result: None });
                }
            }
            if self.client.chance.hits(400)
                && let Some(older) = self.some_task()
            {
                edges.extend(self.edge_to(&older, id).await);
            }
            let mut spec = self.spec();
            if self.client.chance.hits(150) {
                spec.parent_task_id = self.some_task();
            }
            tasks.push(spec.into_task(self.birth(id), edges));
        }
        self.keys += 1;
        let key = CreationKey {
            key: format!("{}/{}", self.client.name, self.keys),
            digest: 1,
            created: CreatedUnder::Task(ids[0].clone()),
        };
        for _ in 0..MAX_TRIES {
            let request = ShardRequest::Create { tasks: tasks.clone(), key: Some(key.clone()) };
            let asked = Asked::Create { ids: ids.clone() };
            match self.client.ask(shard, asked, request).await.0 {
                Answer::Unknown => {}
                Answer::Refused(_) => return,
                Answer::Done { .. } => break,
            }
        }
        self.known.extend(ids);
    }

    /// An edge to an older task, as the handler of a creation makes it.
    async fn edge_to(&self, on: &TaskId, dependent: &TaskId) -> Option<Dependency> {
        let cluster = &self.client.cluster;
        let (home, far) = (cluster.shard_of(dependent), cluster.shard_of(on));
        let task = if home == far {
            self.client.see(on).await?
        } else {
            let watcher = Watcher { shard: home, id: dependent.clone() };
            let request = ShardRequest::Watch { id: on.clone(), watcher };
            let asked = Asked::See { id: Some(on.clone()) };
            match self.client.ask(far, asked, request).await.1 {
                Some(ShardReply::Task(task)) => task,
                _ => return None,
            }
        };
        let done = task.status == TaskStatus::Completed;
        Some(Dependency {
            task_id: on.clone(),
            on_failure: self.policy(),
            outcome: task.status.outcome(),
            result: task.result.clone().filter(|_| done && home != far),
        })
    }

    async fn cancel(&self) {
        let Some(id) = self.some_task() else { return };
        let shard = self.client.cluster.shard_of(&id);
        for _ in 0..MAX_TRIES {
            let request = ShardRequest::Cancel {
                id: id.clone(),
                by: self.client.name.clone(),
                reason: "not wanted".to_owned(),
            };
            let asked = Asked::Cancel { id: id.clone() };
            if !matches!(self.client.ask(shard, asked, request).await.0, Answer::Unknown) {
                return;
            }
        }
    }

    /// Brings back a task that did not succeed, from the archive where it has left memory.
    async fn revive(&self) {
        let Some(id) = self.some_task() else { return };
        let shard = self.client.cluster.shard_of(&id);
        let mut archived = None;
        for _ in 0..MAX_TRIES {
            let request = ShardRequest::Revive {
                id: id.clone(),
                by: self.client.name.clone(),
                reason: "wanted after all".to_owned(),
                archived: archived.clone(),
            };
            let asked = Asked::Revive { id: id.clone() };
            match self.client.ask(shard, asked, request).await.0 {
                Answer::Unknown => {}
                Answer::Refused(troupe_domain::Code::NotFound) if archived.is_none() => {
                    archived = self.archived(&id).await;
                    if archived.is_none() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// The task from the archive. It may not know what became of its dependencies since, so that those
    /// are asked once more.
    async fn archived(&self, id: &TaskId) -> Option<Box<Task>> {
        let mut task = self.in_archive(id).await?;
        for edge in task.dependencies.iter_mut().filter(|edge| edge.outcome.is_none()) {
            let fresh = self.edge_to(&edge.task_id, id).await?;
            (edge.outcome, edge.result) = (fresh.outcome, fresh.result);
        }
        Some(task)
    }

    /// The task as it left memory.
    async fn in_archive(&self, id: &TaskId) -> Option<Box<Task>> {
        let cluster = &self.client.cluster;
        let shard = cluster.shard_of(id);
        let absent = cluster.call(shard, ShardRequest::Get { id: id.clone() }).await?.err()?;
        let found = archive::find(&cluster.events, shard, id, &absent).await.ok()??;
        Some(Box::new(Task::clone(&found)))
    }

    async fn look(&self) {
        if let Some(id) = self.some_task() {
            self.client.see(&id).await;
        }
    }

    async fn list(&self) {
        let shard = self.client.chance.below(u64::from(self.client.cluster.plan.shards)) as u16;
        let request = ShardRequest::List { filter: TaskFilter::default() };
        self.client.ask(shard, Asked::See { id: None }, request).await;
    }
}
