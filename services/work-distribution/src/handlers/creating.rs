//! Creating tasks and graphs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use troupe_bus::Call;
use troupe_bus::trace::{self, of_span};
use troupe_contract::work::{Created, GraphCreated, GraphSpec};
use troupe_domain::fault::{Code, Fault};
use troupe_domain::graph;
use troupe_domain::task::spec::{Birth, DependencySpec, TaskSpec, check_idempotency_key};
use troupe_domain::task::{Dependency, Outcome};
use troupe_domain::{Json, Name, Task, TaskId, TaskStatus};
use troupe_shard::batch::MAX_BATCH_BYTES;
use troupe_shard::place::{digest, mint, shard_of};

use super::{Work, deadline};
use crate::replica::archive;
use crate::rules::record::{CreatedUnder, CreationKey, Watcher};
use crate::shard::{ShardReply, ShardRequest};

/// How often the dependencies of one task are resolved, should they leave memory meanwhile.
const MAX_RESOLVE_ATTEMPTS: u32 = 4;

/// `work.create`
pub async fn create(work: &Work, call: Call<TaskSpec>) -> Result<Created, Fault> {
    let until = deadline(&call);
    let Call { caller, request: mut spec, command_id, trace, .. } = call;
    spec.check()?;
    if spec.key.is_some() {
        return Err(Fault::invalid("key", "belongs to a task of a graph"));
    }
    spec.idempotency_key = spec.idempotency_key.or(command_id);
    let key = spec.idempotency_key.as_ref().map(|key| scoped(&caller, key));
    let asked = match &key {
        Some(_) => digest(&serde_json::to_vec(&spec).unwrap_or_default()),
        None => 0,
    };
    let shard = work.shard_for(&spec, key.as_deref());
    let id = match spec.id.clone() {
        Some(id) => Box::pin(work.unused(id, until)).await?,
        None => work.mint(shard)?,
    };
    if spec.parent_task_id.is_some() {
        Box::pin(work.check_parent(&spec, until)).await?;
    }
    let span = sending("task.create", 1);
    let birth = Birth {
        id: id.clone(),
        at: work.world.now(),
        by: caller,
        trace: of_span(&span).or(trace),
        graph_id: None,
        default_lease_ms: work.default_lease_ms,
    };
    let key =
        key.map(|key| CreationKey { key, digest: asked, created: CreatedUnder::Task(id.clone()) });
    match work.put(shard, spec, birth, key, until).await? {
        ShardReply::Created { before, single: Some((task_id, status)) } => {
            Ok(Created { task_id, status, created: before.is_none() })
        }
        ShardReply::Created { before: Some(CreatedUnder::Task(id)), single: None } => {
            let status = Box::pin(work.read(&id, until)).await?.status;
            Ok(Created { task_id: id, status, created: false })
        }
        ShardReply::Created { .. } => Err(another_kind()),
        other => Err(other.unexpected()),
    }
}

/// `work.create_graph`
pub async fn create_graph(work: &Work, call: Call<GraphSpec>) -> Result<GraphCreated, Fault> {
    let until = deadline(&call);
    let Call { caller, request: spec, command_id, trace, .. } = call;
    check_idempotency_key(spec.idempotency_key.as_deref())?;
    let key = spec.idempotency_key.or(command_id).map(|key| scoped(&caller, &key));
    let asked = match &key {
        Some(_) => digest(&serde_json::to_vec(&spec.tasks).unwrap_or_default()),
        None => 0,
    };
    let graph = graph::check(spec.tasks)?;
    let graph_id = work.new_name()?;
    let shards = work.router.shards();
    let shard = shard_of(key.as_deref().unwrap_or(graph_id.as_str()), shards);
    if let Some(key) = &key {
        // Asked beforehand, so that a repetition costs nothing and draws no ids.
        let known = ShardRequest::CreatedUnder { key: key.clone(), digest: asked };
        if let ShardReply::Created { before: Some(before), .. } =
            work.router.call(shard, known, until).await?
        {
            return repeated(before);
        }
    }
    let span = sending("task.create_graph", graph.tasks.len());
    let trace = of_span(&span).or(trace);
    let mut ids: BTreeMap<Name, TaskId> = BTreeMap::new();
    let mut tasks = Vec::with_capacity(graph.tasks.len());
    for spec in graph.tasks {
        work.check_parent(&spec, until).await?;
        let id = work.mint(shard)?;
        if let Some(key) = &spec.key {
            ids.insert(key.clone(), id.clone());
        }
        let edges = spec.depends_on.iter().filter_map(|edge| {
            ids.get(edge.task()).map(|id| open_edge(id.clone(), edge.on_failure()))
        });
        let edges = edges.collect();
        let birth = Birth {
            id,
            at: work.world.now(),
            by: caller.clone(),
            trace: trace.clone(),
            graph_id: Some(graph_id.clone()),
            default_lease_ms: work.default_lease_ms,
        };
        tasks.push(spec.into_task(birth, edges));
    }
    check_size(&tasks)?;
    let created = CreatedUnder::Graph { id: graph_id.clone(), tasks: Arc::new(ids.clone()) };
    let key = key.map(|key| CreationKey { key, digest: asked, created });
    match work.router.call(shard, ShardRequest::Create { tasks, key }, until).await? {
        ShardReply::Created { before: None, .. } => {
            Ok(GraphCreated { graph_id, task_ids: ids, created: true })
        }
        ShardReply::Created { before: Some(before), .. } => repeated(before),
        other => Err(other.unexpected()),
    }
}

/// The span of putting tasks into the queue; what claims them later hangs below it.
fn sending(name: &'static str, tasks: usize) -> tracing::Span {
    tracing::info_span!(
        target: trace::TARGET,
        "send",
        otel.name = name,
        otel.kind = "producer",
        messaging.system = "nats",
        messaging.operation.type = "send",
        messaging.batch.message_count = tasks,
    )
}

fn repeated(before: CreatedUnder) -> Result<GraphCreated, Fault> {
    match before {
        CreatedUnder::Graph { id, tasks } => {
            Ok(GraphCreated { graph_id: id, task_ids: (*tasks).clone(), created: false })
        }
        CreatedUnder::Task(_) => Err(another_kind()),
    }
}

fn another_kind() -> Fault {
    Fault::new(Code::AlreadyExists, "the idempotency key was used for a different request")
        .with("field", "idempotency_key")
}

/// A graph is stored in one message, all or nothing: it must fit.
fn check_size(tasks: &[Task]) -> Result<(), Fault> {
    let max = MAX_BATCH_BYTES - 64 * 1024;
    let size = serde_json::to_vec(tasks).map_or(usize::MAX, |encoded| encoded.len());
    if size > max {
        return Err(Fault::exhausted("MAX_BATCH_BYTES", max)
            .with("field", "tasks")
            .with("size_bytes", size));
    }
    Ok(())
}

fn scoped(caller: &Name, key: &str) -> String {
    format!("{caller}/{key}")
}

fn open_edge(task_id: TaskId, on_failure: troupe_domain::task::OnFailure) -> Dependency {
    Dependency { task_id, on_failure, outcome: None, result: None }
}

impl Work {
    fn mint(&self, shard: u16) -> Result<TaskId, Fault> {
        mint(shard, self.router.shards(), || self.world.ulid())
            .ok_or_else(|| Fault::new(Code::Internal, "no id could be drawn"))
    }

    fn new_name(&self) -> Result<Name, Fault> {
        let text = self.world.ulid().to_string();
        Name::parse(&text).map_err(|why| Fault::new(Code::Internal, why.to_string()))
    }

    /// Where a new task lives: near what it belongs to.
    fn shard_for(&self, spec: &TaskSpec, key: Option<&str>) -> u16 {
        let near = spec
            .id
            .as_ref()
            .or(if key.is_some() { None } else { spec.parent_task_id.as_ref() })
            .or(if key.is_some() {
                None
            } else {
                spec.depends_on.first().map(DependencySpec::task)
            });
        match (near, key) {
            (Some(id), _) => self.shard_of(id),
            (None, Some(key)) => shard_of(key, self.router.shards()),
            (None, None) => (self.world.random() % u128::from(self.router.shards())) as u16,
        }
    }

    /// Refuses an id that was used before, even if its task has left memory.
    async fn unused(&self, id: TaskId, until: Instant) -> Result<TaskId, Fault> {
        match self.ask(&id, ShardRequest::Get { id: id.clone() }, until).await {
            // A repetition under the same idempotency key is recognised by the shard.
            Ok(_) => Ok(id),
            Err(fault) if fault.code == Code::NotFound => match self.archived(&id, &fault).await? {
                None => Ok(id),
                Some(_) => {
                    Err(Fault::new(Code::AlreadyExists, format!("the id {id} was used before"))
                        .with("field", "id"))
                }
            },
            Err(fault) => Err(fault),
        }
    }

    /// The task that its shard does not have, as the shard said in `absent`, if it is in the archive.
    pub(super) async fn archived(
        &self,
        id: &TaskId,
        absent: &Fault,
    ) -> Result<Option<Arc<Task>>, Fault> {
        archive::find(&*self.archive, self.shard_of(id), id, absent).await
    }

    /// The task, in memory or in the archive.
    pub(super) async fn read(&self, id: &TaskId, until: Instant) -> Result<Arc<Task>, Fault> {
        match self.ask(id, ShardRequest::Get { id: id.clone() }, until).await {
            Ok(ShardReply::Task(task)) => Ok(task),
            Ok(other) => Err(other.unexpected()),
            Err(fault) if fault.code == Code::NotFound => {
                self.archived(id, &fault).await?.ok_or(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn check_parent(&self, spec: &TaskSpec, until: Instant) -> Result<(), Fault> {
        let Some(parent) = &spec.parent_task_id else { return Ok(()) };
        match self.read(parent, until).await {
            Ok(parent) if parent.status.is_terminal() => {
                Err(Fault::invalid("parent_task_id", "the parent has already ended"))
            }
            Ok(_) => Ok(()),
            Err(fault) if fault.code == Code::NotFound => {
                Err(Fault::invalid("parent_task_id", format!("no task has the id {parent}")))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Resolves the edges of a task that is not in a graph, and creates it. A dependency may end and
    /// leave memory between the two: then it is asked for again.
    async fn put(
        &self,
        shard: u16,
        spec: TaskSpec,
        birth: Birth,
        key: Option<CreationKey>,
        until: Instant,
    ) -> Result<ShardReply, Fault> {
        let mut attempts = 1;
        loop {
            let edges = Box::pin(self.resolve(&spec, &birth.id, until)).await?;
            let tasks = vec![spec.clone().into_task(birth.clone(), edges)];
            let request = ShardRequest::Create { tasks, key: key.clone() };
            match self.router.call(shard, request, until).await {
                Err(fault) if fault.code == Code::Conflict && attempts < MAX_RESOLVE_ATTEMPTS => {
                    attempts += 1;
                }
                reply => return reply,
            }
        }
    }

    /// The edges of a task that is not in a graph: each dependency exists, and its shard will tell
    /// ours how it ends.
    async fn resolve(
        &self,
        spec: &TaskSpec,
        id: &TaskId,
        until: Instant,
    ) -> Result<Vec<Dependency>, Fault> {
        let home = self.shard_of(id);
        let mut edges = Vec::with_capacity(spec.depends_on.len());
        for (index, wanted) in spec.depends_on.iter().enumerate() {
            let on = wanted.task();
            let task = self.find_dependency(id, on, until).await?.ok_or_else(|| {
                let field = format!("depends_on[{index}]");
                Fault::invalid(&field, format!("no task has the id {on}"))
            })?;
            edges.push(known_edge(&task, wanted.on_failure(), self.shard_of(on) != home));
        }
        Ok(edges)
    }

    /// A task that `dependent` depends on, in memory or in the archive. From another shard it will be
    /// told how the dependency ends.
    async fn find_dependency(
        &self,
        dependent: &TaskId,
        on: &TaskId,
        until: Instant,
    ) -> Result<Option<Arc<Task>>, Fault> {
        let home = self.shard_of(dependent);
        let request = if self.shard_of(on) == home {
            ShardRequest::Get { id: on.clone() }
        } else {
            let watcher = Watcher { shard: home, id: dependent.clone() };
            ShardRequest::Watch { id: on.clone(), watcher }
        };
        match self.ask(on, request, until).await {
            Ok(ShardReply::Task(task)) => Ok(Some(task)),
            Ok(other) => Err(other.unexpected()),
            Err(fault) if fault.code == Code::NotFound => self.archived(on, &fault).await,
            Err(fault) => Err(fault),
        }
    }

    /// What an archived task missed of its dependencies since it left memory.
    pub(super) async fn refresh_edges(&self, task: &mut Task, until: Instant) -> Result<(), Fault> {
        let (id, home) = (task.id.clone(), self.shard_of(&task.id));
        for edge in task.dependencies.iter_mut().filter(|edge| edge.outcome.is_none()) {
            if let Some(on) = self.find_dependency(&id, &edge.task_id, until).await? {
                *edge = known_edge(&on, edge.on_failure, self.shard_of(&edge.task_id) != home);
            }
        }
        Ok(())
    }
}

fn known_edge(task: &Task, on_failure: troupe_domain::task::OnFailure, far: bool) -> Dependency {
    let outcome: Option<Outcome> = task.status.outcome();
    let done = task.status == TaskStatus::Completed;
    let result: Option<Json> = task.result.clone().filter(|_| far && done);
    Dependency { task_id: task.id.clone(), on_failure, outcome, result }
}
