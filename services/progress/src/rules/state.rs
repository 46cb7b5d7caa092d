//! The state: tasks, milestones, agents, and every sum over them.
//!
//! Invariants: applying a record decides nothing that the log does not say, so that a replay gives the
//! same state; every index and sum follows from the tasks through [`ProgressState::put`] alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use troupe_contract::stream::PROGRESS_SHARDS;
use troupe_domain::progress::{Milestone, MilestoneId};
use troupe_domain::{AgentId, Name, TaskId, Timestamp};
use troupe_shard::Drafts;

use super::accounts::Account;
use super::durations::Durations;
use super::record::{Place, Record, What};
use super::shares::{Scope, Share, scopes_of};
use super::task::TaskState;
use super::timers::Timers;
use super::totals::Total;

/// The only shard.
pub const SHARD: u16 = PROGRESS_SHARDS - 1;

/// What the rules need to know. Limits are named as the configuration names them.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the configuration says it
pub struct Settings {
    pub stalled_after_ms: u64,
    pub max_tasks: usize,
    pub max_ended_tasks: usize,
    pub max_reports_per_task: usize,
    pub max_report_bytes: usize,
    pub max_agents: usize,
    pub max_milestones: usize,
}

impl Default for Settings {
    /// Two snapshots and the log after each must fit into `PROGRESS_LOG_BYTES` while a third is written:
    /// a task takes about 600 bytes of a snapshot.
    fn default() -> Self {
        Self {
            stalled_after_ms: 600_000,
            max_tasks: 150_000,
            max_ended_tasks: 50_000,
            max_reports_per_task: 64,
            max_report_bytes: 64 * 1024 * 1024,
            max_agents: 10_000,
            max_milestones: 10_000,
        }
    }
}

/// Tasks that are forgotten together: a graph, what else belongs together, or one task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    Set(Scope),
    Alone(TaskId),
}

impl Family {
    pub(super) fn of(task: &TaskState) -> Self {
        scopes_of(task)
            .find(|scope| *scope != Scope::Fleet)
            .map_or_else(|| Self::Alone(task.id.clone()), Self::Set)
    }
}

/// How many tasks of a family are there, and open, and when one of them last changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) tasks: usize,
    pub(super) open: usize,
    pub(super) touched_at: Timestamp,
}

/// What a task was before it changed, as far as indexes ask.
struct Was {
    share: Share,
    ended: bool,
    reported_at: Option<Timestamp>,
    stalled_since: Option<Timestamp>,
}

impl Was {
    fn of(task: &TaskState) -> Self {
        let share = Share::of(task);
        Self {
            share,
            ended: task.is_ended(),
            reported_at: reported_at(task),
            stalled_since: task.stalled_since,
        }
    }
}

/// Under which moment the reports of a task are found when the oldest must go.
fn reported_at(task: &TaskState) -> Option<Timestamp> {
    (!task.history.is_empty()).then_some(task.touched_at)
}

/// The state of progress.
#[derive(Debug)]
pub struct ProgressState {
    pub(super) settings: Settings,
    pub(super) tasks: HashMap<TaskId, Arc<TaskState>>,
    pub(super) totals: HashMap<Scope, Total>,
    /// The tasks of graphs, plans and parts.
    pub(super) members: HashMap<Scope, BTreeSet<TaskId>>,
    pub(super) accounts: BTreeMap<AgentId, Account>,
    pub(super) milestones: BTreeMap<MilestoneId, Arc<Milestone>>,
    /// By task: the milestones that require it.
    pub(super) required_by: HashMap<TaskId, BTreeSet<MilestoneId>>,
    pub(super) families: HashMap<Family, Members>,
    /// Families of which no task is open, the first to have ended first.
    pub(super) ended_families: BTreeSet<(Timestamp, Family)>,
    pub(super) ended_tasks: usize,
    pub(super) report_bytes: usize,
    /// Tasks with reports, the longest silent first.
    pub(super) reported: BTreeSet<(Timestamp, TaskId)>,
    pub(super) stalled: BTreeSet<(Timestamp, TaskId)>,
    pub(super) timers: Timers,
    pub(super) durations: Durations,
    pub(super) heard: Option<Place>,
    pub(super) complete: bool,
    pub(super) untracked: u64,
    /// Milestones that something happened to and that nobody has looked at yet.
    pub(super) touched: BTreeSet<MilestoneId>,
    /// What was applied and is not yet stored, with what follows from it for others.
    pub(crate) drafts: Drafts<Self>,
}

impl ProgressState {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            timers: Timers::new(settings.stalled_after_ms),
            settings,
            tasks: HashMap::new(),
            totals: HashMap::new(),
            members: HashMap::new(),
            accounts: BTreeMap::new(),
            milestones: BTreeMap::new(),
            required_by: HashMap::new(),
            families: HashMap::new(),
            ended_families: BTreeSet::new(),
            ended_tasks: 0,
            report_bytes: 0,
            reported: BTreeSet::new(),
            stalled: BTreeSet::new(),
            durations: Durations::default(),
            heard: None,
            complete: false,
            untracked: 0,
            touched: BTreeSet::new(),
            drafts: Drafts::default(),
        }
    }

    /// One task.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<TaskState>> {
        self.tasks.get(id)
    }

    /// How many tasks are followed.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no more tasks are followed.
    pub fn is_full(&self) -> bool {
        self.tasks.len() >= self.settings.max_tasks
    }

    /// Tasks that have not ended.
    pub fn open_tasks(&self) -> Vec<TaskId> {
        let open = self.tasks.values().filter(|task| !task.is_ended());
        open.map(|task| task.id.clone()).collect()
    }

    /// How many milestones there are.
    pub fn milestone_count(&self) -> usize {
        self.milestones.len()
    }

    /// Bytes of the reports that are kept one by one, about.
    pub fn report_bytes(&self) -> usize {
        self.report_bytes
    }

    /// How many tasks are stalled.
    pub fn stalled_count(&self) -> usize {
        self.stalled.len()
    }

    /// How far the stream of events was taken in.
    pub fn heard(&self) -> Option<Place> {
        self.heard
    }

    /// Whether everything that was there before is known.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// A sum; none where nothing of the scope is known.
    pub fn total(&self, scope: &Scope) -> Option<&Total> {
        self.totals.get(scope)
    }

    /// Applies what happened, and drafts it for the log.
    pub(super) fn draft(&mut self, what: What) {
        let before = self.drafts.notices.len();
        self.apply_what(&what);
        let notices = self.drafts.notices.len() - before;
        self.drafts.records.push(Record { notices, what });
    }

    /// Begins to follow a task.
    pub(super) fn track(&mut self, task: TaskState) {
        if self.tasks.len() >= self.settings.max_tasks {
            self.untracked += 1;
            return;
        }
        self.put(Arc::new(task));
    }

    /// Takes a task in that is not there.
    pub(super) fn put(&mut self, task: Arc<TaskState>) {
        for scope in scopes_of(&task).filter(|scope| *scope != Scope::Fleet) {
            self.members.entry(scope).or_default().insert(task.id.clone());
        }
        self.families.entry(Family::of(&task)).or_default().tasks += 1;
        self.report_bytes += task.history.bytes();
        self.index(&task, None, Some(&Was::of(&task)));
        self.timers.enter(&task);
        self.tasks.insert(task.id.clone(), task);
    }

    /// Lets go of a task.
    pub(super) fn take_out(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.remove(id) else { return };
        self.timers.leave(&task);
        self.timers.forget(id);
        self.index(&task, Some(&Was::of(&task)), None);
        self.report_bytes -= task.history.bytes();
        let family = Family::of(&task);
        if let Some(members) = self.families.get_mut(&family) {
            members.tasks -= 1;
            if members.tasks == 0 {
                let ended = (members.touched_at, family.clone());
                self.families.remove(&family);
                self.ended_families.remove(&ended);
            }
        }
        for scope in scopes_of(&task) {
            if self.totals.get(&scope).is_some_and(Total::is_empty) {
                self.totals.remove(&scope);
            }
            if let Some(members) = self.members.get_mut(&scope) {
                members.remove(id);
                if members.is_empty() {
                    self.members.remove(&scope);
                }
            }
        }
    }

    /// Changes a task in place.
    pub(super) fn change<T>(
        &mut self,
        id: &TaskId,
        change: impl FnOnce(&mut TaskState, &Settings) -> T,
    ) -> Option<T> {
        let mut task = self.tasks.remove(id)?;
        self.timers.leave(&task);
        let was = Was::of(&task);
        let result = change(Arc::make_mut(&mut task), &self.settings);
        self.index(&task, Some(&was), Some(&Was::of(&task)));
        self.timers.enter(&task);
        self.tasks.insert(id.clone(), task);
        Some(result)
    }

    fn index(&mut self, task: &TaskState, before: Option<&Was>, after: Option<&Was>) {
        let share = |was: Option<&Was>| was.map(|was| was.share.clone());
        let (old, new) = (share(before), share(after));
        if old != new {
            self.add_up(task, old.as_ref(), new.as_ref());
        }
        let holder = |share: &Option<Share>| share.as_ref().and_then(|s| s.holder.clone());
        let (old_holder, new_holder) = (holder(&old), holder(&new));
        if old_holder != new_holder {
            if let Some(account) = old_holder.and_then(|agent| self.accounts.get_mut(&agent)) {
                account.holds.remove(&task.id);
            }
            if let Some(agent) = new_holder {
                self.accounts.entry(agent).or_default().holds.insert(task.id.clone());
            }
        }
        let reported = |was: Option<&Was>| was.and_then(|was| was.reported_at);
        move_in(&mut self.reported, &task.id, reported(before), reported(after));
        let stalled = |was: Option<&Was>| was.and_then(|was| was.stalled_since);
        move_in(&mut self.stalled, &task.id, stalled(before), stalled(after));
        let ended = |was: Option<&Was>| was.map(|was| was.ended);
        self.ended_tasks -= usize::from(ended(before) == Some(true));
        self.ended_tasks += usize::from(ended(after) == Some(true));
        self.count_family(task, ended(before), ended(after));
    }

    fn add_up(&mut self, task: &TaskState, old: Option<&Share>, new: Option<&Share>) {
        let required_by = self.required_by.get(&task.id).into_iter().flatten();
        let milestones: Vec<Scope> = required_by.cloned().map(Scope::Milestone).collect();
        for scope in scopes_of(task).chain(milestones) {
            if let Scope::Milestone(id) = &scope {
                self.touched.insert(id.clone());
            }
            let total = self.totals.entry(scope).or_default();
            old.into_iter().for_each(|share| total.remove(share));
            new.into_iter().for_each(|share| total.add(share));
        }
    }

    fn count_family(&mut self, task: &TaskState, before: Option<bool>, after: Option<bool>) {
        let family = Family::of(task);
        let Some(members) = self.families.get_mut(&family) else { return };
        let was = (members.open == 0).then_some(members.touched_at);
        members.open -= usize::from(before == Some(false));
        members.open += usize::from(after == Some(false));
        members.touched_at = members.touched_at.max(task.touched_at);
        let now = (members.open == 0).then_some(members.touched_at);
        if let Some(at) = was.filter(|_| was != now) {
            self.ended_families.remove(&(at, family.clone()));
        }
        if let Some(at) = now {
            self.ended_families.insert((at, family));
        }
    }

    /// A milestone requires these tasks from now on, or no longer.
    pub(super) fn require(&mut self, milestone: &MilestoneId, tasks: &[TaskId], required: bool) {
        for id in tasks {
            let by = self.required_by.entry(id.clone()).or_default();
            let news = if required { by.insert(milestone.clone()) } else { by.remove(milestone) };
            if by.is_empty() {
                self.required_by.remove(id);
            }
            if let Some(task) = self.tasks.get(id).filter(|_| news) {
                let share = Share::of(task);
                let total = self.totals.entry(Scope::Milestone(milestone.clone())).or_default();
                if required { total.add(&share) } else { total.remove(&share) }
            }
        }
    }

    /// The tasks that a scope goes over, in the order of their ids; not of the fleet.
    pub(super) fn tasks_of(&self, scope: &Scope) -> Vec<TaskId> {
        match scope {
            Scope::Fleet => self.tasks.keys().cloned().collect(),
            Scope::Milestone(id) => {
                self.milestones.get(id).map(|m| m.required_task_ids.clone()).unwrap_or_default()
            }
            other => self.members.get(other).into_iter().flatten().cloned().collect(),
        }
    }

    /// The account of an agent that did something.
    pub(super) fn account(&mut self, agent: &Name, at: Timestamp) -> &mut Account {
        let account = self.accounts.entry(agent.clone()).or_default();
        account.tally.active_at = account.tally.active_at.max(at);
        account
    }
}

/// Moves a task within a set that is ordered by time.
fn move_in(
    set: &mut BTreeSet<(Timestamp, TaskId)>,
    id: &TaskId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) {
    if from == to {
        return;
    }
    if let Some(at) = from {
        set.remove(&(at, id.clone()));
    }
    if let Some(at) = to {
        set.insert((at, id.clone()));
    }
}
