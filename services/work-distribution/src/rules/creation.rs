//! Creating tasks: once per key, within the bounds.

use std::collections::BTreeSet;
use std::sync::Arc;

use troupe_domain::fault::{Code, Fault};
use troupe_domain::task::change::Change;
use troupe_domain::{Task, TaskId, TaskStatus, Timestamp};
use troupe_shard::place::shard_of;

use super::record::{CreatedUnder, CreationKey, Record, Watcher};
use super::state::{ShardState, weight};

impl ShardState {
    /// What an earlier request created under the same key; a fault if it asked for something else.
    pub fn created_under(&self, key: &str, digest: u64) -> Result<Option<CreatedUnder>, Fault> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(known) if known.digest == digest => Ok(Some(known.created.clone())),
            Some(_) => Err(Fault::new(
                Code::AlreadyExists,
                "the idempotency key was used for a different request",
            )
            .with("field", "idempotency_key")),
        }
    }

    /// Creates `tasks`, all or nothing. The edges were resolved; those to tasks of this shard learn
    /// here how they ended. Gives what the key had created before, if it had.
    pub fn create(
        &mut self,
        mut tasks: Vec<Task>,
        key: Option<CreationKey>,
        now: Timestamp,
    ) -> Result<Option<CreatedUnder>, Fault> {
        if let Some(key) = &key
            && let Some(created) = self.created_under(&key.key, key.digest)?
        {
            return Ok(Some(created));
        }
        if self.open_tasks() + tasks.len() > self.settings.max_open_tasks {
            return Err(Fault::exhausted("max_open_tasks", self.settings.max_open_tasks));
        }
        self.check_archive()?;
        let bytes: usize = tasks.iter().map(weight).sum();
        if self.open_bytes + bytes > self.settings.max_open_bytes {
            return Err(Fault::exhausted("max_open_bytes", self.settings.max_open_bytes));
        }
        if let Some(task) = tasks.iter().find(|task| self.tasks.contains_key(&task.id)) {
            return Err(Fault::new(Code::AlreadyExists, format!("the id {} is taken", task.id))
                .with("field", "id"));
        }
        if let Some(gone) = self.gone_dependency(&tasks) {
            return Err(Fault::new(
                Code::Conflict,
                format!("the dependency {gone} ended and left memory in the meantime: ask again"),
            )
            .with("dependency", gone.as_str()));
        }
        for task in &mut tasks {
            self.settle_edges(task);
        }
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
        self.draft(Record::Created { at: now, tasks, key });
        for id in ids {
            let follows = self.tasks.get(&id).and_then(|task| task.follow_dependencies(now));
            if let Some(change) = follows {
                let ends = matches!(change, Change::Cancelled(_));
                self.change(&id, change, now);
                if ends {
                    self.settle_dependents(&id, now);
                }
            }
        }
        Ok(None)
    }

    /// A dependency of this shard that was open when the edges were resolved and has left memory
    /// since: nobody would ever tell its dependents how it ended.
    fn gone_dependency(&self, tasks: &[Task]) -> Option<TaskId> {
        let here = |id: &TaskId| shard_of(id.as_str(), self.settings.shards) == self.settings.shard;
        let new: BTreeSet<&TaskId> = tasks.iter().map(|task| &task.id).collect();
        let edges = tasks.iter().flat_map(|task| &task.dependencies);
        let mut open = edges.filter(|edge| edge.outcome.is_none()).map(|edge| &edge.task_id);
        open.find(|id| !new.contains(id) && !self.tasks.contains_key(id) && here(id)).cloned()
    }

    /// Tells a task that is being created how its dependencies of this shard have ended.
    fn settle_edges(&self, task: &mut Task) {
        for edge in task.dependencies.iter_mut().filter(|edge| edge.outcome.is_none()) {
            edge.outcome = self.tasks.get(&edge.task_id).and_then(|d| d.status.outcome());
        }
        let waits = task.dependencies.iter().any(|edge| edge.outcome.is_none())
            || task.waiting_status() == TaskStatus::Blocked;
        task.status = if waits { TaskStatus::Blocked } else { TaskStatus::Available };
    }

    /// A task of another shard will depend on `id`: gives it as it is, and remembers to tell.
    pub fn watch(&mut self, id: &TaskId, watcher: Watcher) -> Result<Arc<Task>, Fault> {
        let task = self.tasks.get(id).cloned().ok_or_else(|| self.absent(id))?;
        if !self.watchers.get(id).is_some_and(|known| known.contains(&watcher)) {
            self.draft(Record::Watched { id: id.clone(), watcher });
        }
        Ok(task)
    }

    /// Letters arrived.
    pub fn delivered(&mut self, letters: Vec<u64>) {
        let known: Vec<u64> =
            letters.into_iter().filter(|number| self.letters.contains_key(number)).collect();
        if !known.is_empty() {
            self.draft(Record::Delivered { letters: known });
        }
    }

    /// Takes back from the archive a task that was evicted, so that it can be revived.
    pub fn restore_archived(&mut self, task: Task) {
        if self.is_archived(&task.id) {
            self.draft(Record::Restored { task: Box::new(task) });
        }
    }
}
