//! The state of one shard: the fold of its records, and the indexes that derive from it.
//!
//! Invariants: [`ShardState::apply`] decides nothing, so that a replay gives the same state; every
//! index follows from the tasks through `take_out` and `put` alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use troupe_domain::task::ReasonKind;
use troupe_domain::task::change::Change;
use troupe_domain::{AgentId, Fault, Name, Task, TaskId, TaskStatus, Timestamp};
use troupe_shard::Drafts;
use troupe_shard::place::shard_of;

use super::memory::{Departed, Ended, Keys, PIECE};
use super::notice;
use super::queue::{Need, Queue};
use super::record::{Letter, LetterContent, Record, SnapshotLine, Watcher};
use super::stats::Tally;
use super::tasks::Tasks;
use super::timers::Timers;

/// What a shard needs to know of itself.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Its number.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// A task is stalled after so long without progress.
    pub stalled_after_ms: u64,
    /// Terminal tasks that stay in memory; older ones are read from the archive.
    pub max_terminal_tasks: usize,
    /// Tasks that are not terminal; the next creation is refused.
    pub max_open_tasks: usize,
    /// Bytes of tasks that are not terminal; the next creation is refused.
    pub max_open_bytes: usize,
}

/// What a task takes in memory, about: its texts, and the rest as a constant.
pub(super) fn weight(task: &Task) -> usize {
    const REST_BYTES: usize = 1_024;
    let json =
        |json: &Option<troupe_domain::Json>| json.as_ref().map_or(0, troupe_domain::Json::len);
    REST_BYTES
        + task.description.len()
        + task.prompt.as_ref().map_or(0, String::len)
        + json(&task.payload)
        + json(&task.metadata)
        + json(&task.result)
        + task.dependencies.len() * 64
}

/// What a task was before it changed, as far as indexes ask.
#[derive(Debug)]
struct Was {
    status: TaskStatus,
    epoch: u64,
    holder: Option<AgentId>,
}

/// One shard.
#[derive(Debug)]
pub struct ShardState {
    pub(super) settings: Settings,
    pub(super) tasks: Tasks,
    pub(super) queue: Queue,
    pub(super) timers: Timers,
    pub(super) tally: Tally,
    pub(super) keys: Keys,
    pub(super) held: HashMap<AgentId, BTreeSet<TaskId>>,
    pub(super) graphs: HashMap<Name, BTreeSet<TaskId>>,
    /// Open tasks by the task of this shard that they depend on.
    pub(super) dependents: HashMap<TaskId, BTreeSet<TaskId>>,
    pub(super) watchers: BTreeMap<TaskId, Vec<Watcher>>,
    pub(super) letters: BTreeMap<u64, Letter>,
    pub(super) next_letter: u64,
    pub(super) ended: Ended,
    pub(super) departed: Departed,
    pub(super) open_bytes: usize,
    pub(super) ended_bytes: usize,
    /// What was applied and is not yet stored, with what follows from it for others.
    pub(crate) drafts: Drafts<Self>,
}

impl ShardState {
    /// An empty shard.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            tasks: Tasks::default(),
            queue: Queue::default(),
            timers: Timers::new(settings.stalled_after_ms),
            tally: Tally::default(),
            keys: Keys::default(),
            held: HashMap::new(),
            graphs: HashMap::new(),
            dependents: HashMap::new(),
            watchers: BTreeMap::new(),
            letters: BTreeMap::new(),
            next_letter: 0,
            ended: Ended::default(),
            departed: Departed::default(),
            open_bytes: 0,
            ended_bytes: 0,
            drafts: Drafts::default(),
        }
    }

    /// One task.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(id)
    }

    /// That there is no such task here. Where it left memory, the fault says where it is.
    pub fn absent(&self, id: &TaskId) -> Fault {
        let fault = Fault::not_found("task", id);
        match self.departed.piece_of(id) {
            Some(piece) => fault.with(PIECE, piece),
            None => fault,
        }
    }

    /// Whether it left memory, and can come back.
    pub(super) fn is_archived(&self, id: &TaskId) -> bool {
        !self.tasks.contains_key(id) && self.departed.piece_of(id).is_some()
    }

    /// How many tasks are in memory.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Tasks that are not terminal.
    pub fn open_tasks(&self) -> usize {
        self.tasks.len() - self.ended.len()
    }

    /// The timers.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The letters that wait to be delivered.
    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.letters.values()
    }

    /// Drafts a record: it is applied now, and stored with everything else that was drafted.
    pub(super) fn draft(&mut self, record: Record) {
        self.apply(&record);
        self.drafts.records.push(record);
    }

    /// Drafts a change of one task.
    pub(super) fn change(&mut self, id: &TaskId, change: Change, at: Timestamp) {
        self.draft(Record::Changed { at, id: id.clone(), change });
    }

    /// Folds a record into the state.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Created { at, tasks, key } => {
                for task in tasks {
                    self.drafts.notices.push(notice::created(task, *at));
                    self.add(Arc::new(task.clone()), *at);
                }
                if let Some(key) = key {
                    self.keys.insert(key.clone());
                }
            }
            Record::Changed { at, id, change } => self.apply_change(id, change, *at),
            Record::Watched { id, watcher } => {
                let watchers = self.watchers.entry(id.clone()).or_default();
                if !watchers.contains(watcher) {
                    watchers.push(watcher.clone());
                }
            }
            Record::Delivered { letters } => {
                for number in letters {
                    self.letters.remove(number);
                }
            }
            Record::Evicted { piece, ids, spared } => {
                self.departed.push(*piece, ids);
                for id in ids {
                    self.ended.forget(id);
                    self.drop_task(id);
                }
                for id in spared {
                    self.ended.forget(id);
                    self.ended.push(id.clone());
                }
            }
            Record::Restored { task } => self.put(Arc::new((**task).clone()), None),
        }
    }

    fn add(&mut self, task: Arc<Task>, at: Timestamp) {
        if let Some(parent) = &task.parent_task_id {
            let here = shard_of(parent.as_str(), self.settings.shards) == self.settings.shard;
            if here {
                let added = Change::SubtaskAdded { id: task.id.clone() };
                let parent = parent.clone();
                self.apply_change(&parent, &added, at);
            } else {
                let content =
                    LetterContent::Part { parent: parent.clone(), child: task.id.clone() };
                self.post(parent, content, at);
            }
        }
        self.put(task, None);
    }

    fn apply_change(&mut self, id: &TaskId, change: &Change, at: Timestamp) {
        let Some((mut task, was)) = self.take_out(id) else { return };
        // In place, unless a snapshot or an answer on its way still has it.
        Arc::make_mut(&mut task).apply(change, at);
        let holder = was.holder.as_ref();
        self.drafts.notices.extend(notice::changed(change, &task, holder, at));
        self.tally.happened(change, &task, holder, at);
        match change {
            Change::Cancelled(_) => self.call_off_far(&task, &task.subtask_ids, at),
            // A part that came while its whole was being called off.
            Change::SubtaskAdded { id } => self.call_off_far(&task, std::slice::from_ref(id), at),
            _ => {}
        }
        let news = was.status.outcome() != task.status.outcome();
        self.put(task, Some(&was));
        if matches!(change, Change::Stalled)
            && let Some(task) = self.tasks.get(id)
        {
            self.timers.told_stalled(task);
        }
        if news {
            self.tell_watchers(id, at);
        }
    }

    /// Writes a letter to every task of another shard that waits for `id`.
    fn tell_watchers(&mut self, id: &TaskId, at: Timestamp) {
        let Some(watchers) = self.watchers.get(id).cloned() else { return };
        let Some(task) = self.tasks.get(id).cloned() else { return };
        for watcher in watchers {
            let content = LetterContent::Dependency {
                dependent: watcher.id.clone(),
                dependency: id.clone(),
                outcome: task.status.outcome(),
                result: task.result.clone().filter(|_| task.status == TaskStatus::Completed),
            };
            self.post(&watcher.id, content, at);
        }
    }

    /// Writes a letter to every one of `parts` that lives in another shard, if somebody called
    /// `whole` off.
    fn call_off_far(&mut self, whole: &Task, parts: &[TaskId], at: Timestamp) {
        let called_off = whole.reasons.last().filter(|_| whole.status == TaskStatus::Cancelled);
        let Some(by) = called_off
            .filter(|reason| reason.kind == ReasonKind::Cancelled)
            .and_then(|reason| reason.by.clone())
        else {
            return;
        };
        for part in parts {
            if shard_of(part.as_str(), self.settings.shards) != self.settings.shard {
                let (part, whole, by) = (part.clone(), whole.id.clone(), by.clone());
                self.post(&part.clone(), LetterContent::CallOff { part, whole, by }, at);
            }
        }
    }

    fn post(&mut self, to: &TaskId, content: LetterContent, at: Timestamp) {
        let number = self.next_letter;
        self.next_letter += 1;
        let to = shard_of(to.as_str(), self.settings.shards);
        self.letters.insert(number, Letter { number, to, at, content });
    }

    /// Takes a task out of every index, to be changed and put back.
    fn take_out(&mut self, id: &TaskId) -> Option<(Arc<Task>, Was)> {
        let task = self.tasks.take_out(id)?;
        self.timers.disarm(&task);
        self.tally.moved(Some(&task), None);
        self.unlist(&task);
        *self.side(task.status) -= weight(&task);
        let was = Was { status: task.status, epoch: task.epoch, holder: task.claimed_by.clone() };
        Some((task, was))
    }

    /// Puts a task into every index that it belongs to; `was` is what it was when it was taken out.
    fn put(&mut self, task: Arc<Task>, was: Option<&Was>) {
        self.timers.arm_anew(&task, was.map(|was| was.epoch));
        self.tally.moved(None, Some(&task));
        match (was.is_some_and(|was| was.status.is_terminal()), task.status.is_terminal()) {
            (true, false) => self.ended.forget(&task.id),
            (false, true) => self.ended.push(task.id.clone()),
            _ => {}
        }
        *self.side(task.status) += weight(&task);
        self.list(&task);
        match was {
            Some(_) => self.tasks.put_back(task),
            None => self.tasks.insert(task),
        }
    }

    /// The bytes of the tasks that are open, or of those that are not.
    fn side(&mut self, status: TaskStatus) -> &mut usize {
        if status.is_terminal() { &mut self.ended_bytes } else { &mut self.open_bytes }
    }

    fn list(&mut self, task: &Arc<Task>) {
        // A task that waits for its retry is put into the queue by its timer.
        if task.status == TaskStatus::Available && task.retry_at.is_none() {
            self.queue.insert(task);
            self.drafts.ready.push(Need::of(task));
        }
        if let (true, Some(holder)) = (task.status.is_held(), &task.claimed_by) {
            if !self.held.contains_key(holder) {
                self.held.insert(holder.clone(), BTreeSet::new());
            }
            self.held.get_mut(holder).into_iter().for_each(|held| {
                held.insert(task.id.clone());
            });
        }
        if let Some(graph) = &task.graph_id {
            self.graphs.entry(graph.clone()).or_default().insert(task.id.clone());
        }
        for edge in &task.dependencies {
            self.dependents.entry(edge.task_id.clone()).or_default().insert(task.id.clone());
        }
    }

    fn unlist(&mut self, task: &Task) {
        if task.status == TaskStatus::Available {
            self.queue.remove(task);
        }
        if let (true, Some(holder)) = (task.status.is_held(), &task.claimed_by)
            && let Some(held) = self.held.get_mut(holder)
        {
            held.remove(&task.id);
            if held.is_empty() {
                self.held.remove(holder);
            }
        }
    }

    fn drop_task(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.remove(id) else { return };
        self.tally.moved(Some(&task), None);
        *self.side(task.status) -= weight(&task);
        // Who depends on it stays known, for as long as they are in memory: it may be revived.
        self.watchers.remove(id);
        for edge in &task.dependencies {
            if let Some(dependents) = self.dependents.get_mut(&edge.task_id) {
                dependents.remove(id);
                if dependents.is_empty() {
                    self.dependents.remove(&edge.task_id);
                }
            }
        }
        if let Some(graph) = &task.graph_id
            && let Some(members) = self.graphs.get_mut(graph)
        {
            members.remove(id);
            if members.is_empty() {
                self.graphs.remove(graph);
            }
        }
    }

    /// A task whose wait for a retry is over joins the queue. Nothing of it is stored.
    pub fn retry_is_due(&mut self, id: &TaskId, now: Timestamp) {
        let waited = |task: &Arc<Task>| task.is_ready(now) && task.retry_at.is_some();
        if !self.tasks.get(id).is_some_and(waited) {
            return;
        }
        let Some((mut task, was)) = self.take_out(id) else { return };
        Arc::make_mut(&mut task).retry_at = None;
        self.put(task, Some(&was));
    }

    /// Everything that a snapshot must hold, cheaply: tasks are shared, not copied.
    pub fn snapshot(&self) -> Vec<SnapshotLine> {
        let mut lines: Vec<SnapshotLine> =
            self.tasks.values().cloned().map(SnapshotLine::Task).collect();
        lines.extend(self.keys.iter().cloned().map(SnapshotLine::Key));
        lines.extend(self.letters.values().cloned().map(SnapshotLine::Letter));
        lines.push(SnapshotLine::NextLetter(self.next_letter));
        let watchers = self.watchers.iter().map(|(id, w)| (id.clone(), w.clone()));
        lines.extend(watchers.map(|(id, w)| SnapshotLine::Watchers(id, w)));
        let agents = self.tally.agents().map(|(agent, tally)| (agent.clone(), *tally));
        lines.extend(agents.map(|(agent, tally)| SnapshotLine::Agent(agent, tally)));
        lines.push(SnapshotLine::Stalled(self.timers.stalled()));
        lines.push(SnapshotLine::Ended(self.ended.iter().cloned().collect()));
        lines.extend(self.departed.pieces().map(|(piece, ids)| SnapshotLine::Departed(piece, ids)));
        lines
    }

    /// Takes one line of a snapshot.
    pub fn restore(&mut self, line: SnapshotLine) {
        match line {
            SnapshotLine::Task(task) => {
                self.timers.arm_anew(&task, None);
                self.tally.moved(None, Some(&task));
                *self.side(task.status) += weight(&task);
                self.list(&task);
                self.tasks.insert(task);
            }
            SnapshotLine::Key(key) => self.keys.insert(key),
            SnapshotLine::Letter(letter) => {
                self.letters.insert(letter.number, letter);
            }
            SnapshotLine::NextLetter(number) => self.next_letter = number,
            SnapshotLine::Watchers(id, watchers) => {
                self.watchers.insert(id, watchers);
            }
            SnapshotLine::Agent(agent, tally) => self.tally.restore_agent(agent, tally),
            SnapshotLine::Stalled(told) => {
                for (id, epoch) in told {
                    if let Some(task) = self.tasks.get(&id).filter(|task| task.epoch == epoch) {
                        self.timers.told_stalled(task);
                    }
                }
            }
            SnapshotLine::Ended(ids) => self.ended.extend(ids),
            SnapshotLine::Departed(piece, digests) => self.departed.push_digests(piece, digests),
        }
    }
}
