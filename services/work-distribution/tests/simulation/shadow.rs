//! What the log says, folded once more and apart from the service: which change may follow which.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use troupe_bus::model::Stored;
use troupe_contract::{Service, subject};
use troupe_domain::task::change::Change;
use troupe_domain::task::{OnFailure, Outcome, Reason, ReasonKind};
use troupe_domain::{AgentId, Task, TaskId, TaskStatus};
use troupe_shard::Batch;
use troupe_work_distribution::rules::record::Record;

/// A task as it was after one change.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) at: Instant,
    pub(crate) status: TaskStatus,
    pub(crate) epoch: u64,
    pub(crate) holder: Option<AgentId>,
    /// The event that must tell of it: the place of its batch, its number in it, and its name.
    pub(crate) event: Option<(u64, usize, &'static str)>,
    /// What the change was; `None` for the creation.
    pub(crate) change: Option<Change>,
}

/// The life of one task by the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    pub(crate) versions: Vec<Version>,
    pub(crate) edges: BTreeMap<TaskId, (OnFailure, Option<Outcome>)>,
    /// Who held it last; a report is still its holder's.
    last_holder: Option<AgentId>,
}

/// Every task of every shard, and what is wrong with the log.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    pub(crate) lives: BTreeMap<TaskId, Life>,
    pub(crate) wrong: Vec<String>,
}

/// The name of the event that a change must have.
fn event_of(change: &Change) -> Option<&'static str> {
    Some(match change {
        Change::Claimed { .. } => "task_claimed",
        Change::Started => "task_started",
        Change::Stalled => "progress_stalled",
        Change::Reported { .. } => "task_reported",
        Change::Completed { .. } | Change::Verified { .. } => "task_completed",
        Change::Rejected(_) => "task_rejected",
        Change::Retrying { .. } => "task_retrying",
        Change::Failed(_) => "task_failed",
        Change::Died(_) => "task_dead",
        Change::Released(_) => "task_released",
        Change::LeaseExpired(_) => "lease_expired",
        Change::Cancelled(_) => "task_cancelled",
        Change::Unblocked => "task_unblocked",
        Change::Revived(_) => "task_revived",
        _ => return None,
    })
}

impl Life {
    pub(crate) fn now(&self) -> Option<&Version> {
        self.versions.last()
    }

    fn waits(&self) -> bool {
        self.edges.values().any(|(policy, outcome)| match outcome {
            None => true,
            Some(Outcome::Succeeded) => false,
            Some(Outcome::DidNotSucceed) => *policy != OnFailure::Continue,
        })
    }

    fn waiting(&self) -> TaskStatus {
        if self.waits() { TaskStatus::Blocked } else { TaskStatus::Available }
    }

    /// What a change makes of the newest version; why it must not be, if it must not.
    fn follow(&mut self, change: &Change) -> Result<(TaskStatus, u64, Option<AgentId>), String> {
        use TaskStatus as S;
        let now = self.now().ok_or("it does not exist")?.clone();
        let (status, epoch, holder) = (now.status, now.epoch, now.holder.clone());
        let must = |holds: bool, why: &str| if holds { Ok(()) } else { Err(why.to_owned()) };
        let owned = |reason: &Reason| {
            must(status.is_held(), "nobody holds it")?;
            must(reason.epoch == Some(epoch), "the epoch is stale")?;
            must(reason.by == holder, "somebody else holds it")
        };
        let tagged = |result: &Option<troupe_domain::Json>| {
            let Some(result) = result else { return Ok(()) };
            let holder = holder.as_ref().map_or("nobody", AgentId::as_str);
            let expected = super::agents::tag(holder, epoch);
            must(result.get() == expected.get(), "the result is of a stale epoch")
        };
        let next = match change {
            Change::Claimed { by, epoch: new, .. } => {
                must(status == S::Available, "it cannot be claimed")?;
                must(*new == epoch + 1, "the epoch does not grow by one")?;
                self.last_holder = Some(by.clone());
                (S::Claimed, *new, Some(by.clone()))
            }
            Change::Started => {
                must(status == S::Claimed, "it is not claimed")?;
                (S::InProgress, epoch, holder)
            }
            Change::Extended { .. } | Change::Stalled => {
                must(status.is_held(), "nobody holds it")?;
                (status, epoch, holder)
            }
            Change::Reported { result, .. } | Change::Completed { result, .. } => {
                must(status.is_held(), "nobody holds it")?;
                tagged(result)?;
                let reported = matches!(change, Change::Reported { .. });
                (if reported { S::Reported } else { S::Completed }, epoch, None)
            }
            Change::Verified { by, .. } => {
                must(status == S::Reported, "it is not reported")?;
                must(self.last_holder.as_ref() != Some(by), "its holder verified it")?;
                (S::Completed, epoch, None)
            }
            Change::Rejected(reason) => {
                must(status == S::Reported && reason.epoch == Some(epoch), "it is not reported")?;
                (S::Available, epoch, None)
            }
            Change::Retrying { reason, .. }
            | Change::Released(reason)
            | Change::LeaseExpired(reason) => {
                owned(reason)?;
                (S::Available, epoch, None)
            }
            Change::Failed(reason) => {
                owned(reason)?;
                (S::Failed, epoch, None)
            }
            Change::Died(reason) => {
                let rejected = status == S::Reported && reason.kind == ReasonKind::Exhausted;
                if !rejected {
                    owned(reason)?;
                }
                (S::Dead, epoch, None)
            }
            Change::Cancelled(_) => {
                must(!status.is_terminal(), "it has ended already")?;
                (S::Cancelled, epoch, None)
            }
            Change::Settled { on, outcome, .. } => {
                self.edges.entry(on.clone()).or_default().1 = Some(*outcome);
                (status, epoch, holder)
            }
            Change::Unsettled { on } => {
                self.edges.entry(on.clone()).or_default().1 = None;
                (status, epoch, holder)
            }
            Change::Unblocked => {
                must(status == S::Blocked, "it is not blocked")?;
                must(!self.waits(), "a dependency has not ended well")?;
                (S::Available, epoch, None)
            }
            Change::Revived(_) => {
                must(
                    matches!(status, S::Failed | S::Dead | S::Cancelled),
                    "it has not failed, died or been called off",
                )?;
                (self.waiting(), epoch, None)
            }
            Change::SubtaskAdded { .. } => (status, epoch, holder),
        };
        Ok(next)
    }
}

impl Shadow {
    /// Folds the log of one shard, in the order of its sequences.
    pub(crate) fn read(&mut self, shard: u16, stored: &[Stored]) {
        let subject = subject::shard_log(Service::Work, shard);
        for message in stored.iter().filter(|message| message.entry.subject == subject) {
            match serde_json::from_slice::<Batch<Record>>(&message.entry.body) {
                Ok(batch) => self.take(message, &batch.records),
                Err(why) => self.wrong.push(format!("{}: {why}", message.entry.sequence)),
            }
        }
    }

    fn take(&mut self, message: &Stored, records: &[Record]) {
        let (sequence, at) = (message.entry.sequence, message.at);
        let mut told = 0;
        let mut next = |name: Option<&'static str>| {
            let place = name.map(|name| (sequence, told, name));
            told += usize::from(name.is_some());
            place
        };
        for record in records {
            match record {
                Record::Created { tasks, .. } => {
                    for task in tasks {
                        let event = next(Some("task_created"));
                        self.create(task, at, event);
                    }
                }
                Record::Changed { id, change, .. } => {
                    let event = next(event_of(change));
                    self.change(id, change, at, event);
                }
                Record::Evicted { ids, .. } => self.evict(ids),
                Record::Restored { task } => self.restore(task),
                _ => {}
            }
        }
    }

    fn evict(&mut self, ids: &[TaskId]) {
        for id in ids {
            let now = self.lives.get(id).and_then(Life::now);
            if !now.is_some_and(|now| now.status.is_terminal()) {
                self.wrong.push(format!("{id} was let go of: {now:?}"));
            }
        }
    }

    /// What comes back from the archive is as it ended; of its dependencies it may know more or less.
    fn restore(&mut self, task: &Task) {
        let life = self.lives.entry(task.id.clone()).or_default();
        let same = |now: &Version| now.status == task.status && now.epoch == task.epoch;
        if !life.now().is_some_and(same) {
            self.wrong.push(format!("{} came back as another: {:?}", task.id, life.now()));
        }
        let edges = task.dependencies.iter();
        life.edges = edges.map(|e| (e.task_id.clone(), (e.on_failure, e.outcome))).collect();
    }

    fn create(&mut self, task: &Task, at: Instant, event: Option<(u64, usize, &'static str)>) {
        let life = self.lives.entry(task.id.clone()).or_default();
        if !life.versions.is_empty() {
            self.wrong.push(format!("{} was created twice", task.id));
        }
        let edges = task.dependencies.iter();
        life.edges = edges.map(|e| (e.task_id.clone(), (e.on_failure, e.outcome))).collect();
        let (status, epoch) = (task.status, task.epoch);
        life.versions.push(Version { at, status, epoch, holder: None, event, change: None });
    }

    fn change(
        &mut self,
        id: &TaskId,
        change: &Change,
        at: Instant,
        event: Option<(u64, usize, &'static str)>,
    ) {
        let life = self.lives.entry(id.clone()).or_default();
        match life.follow(change) {
            Ok((status, epoch, holder)) => {
                let change = Some(change.clone());
                life.versions.push(Version { at, status, epoch, holder, event, change });
            }
            Err(why) => self.wrong.push(format!("{id}: {change:?}: {why}: {:?}", life.now())),
        }
    }

    /// Tasks that are open although nothing that could still happen would end them.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let terminal = |id: &TaskId| {
            self.lives.get(id).and_then(Life::now).is_some_and(|now| now.status.is_terminal())
        };
        // Blocked on purpose: on a dependency that did not succeed, or on what is itself blocked so.
        let mut excused: BTreeSet<&TaskId> = BTreeSet::new();
        loop {
            let before = excused.len();
            for (id, life) in &self.lives {
                let blocked = life.now().is_some_and(|now| now.status == TaskStatus::Blocked);
                let reason = life.edges.iter().any(|(on, (policy, outcome))| {
                    let failed = *outcome == Some(Outcome::DidNotSucceed);
                    (failed && *policy == OnFailure::Block && terminal(on)) || excused.contains(on)
                });
                if blocked && reason {
                    excused.insert(id);
                }
            }
            if excused.len() == before {
                break;
            }
        }
        let open = self.lives.iter().filter(|(id, _)| !terminal(id) && !excused.contains(id));
        open.map(|(id, life)| format!("{id} is stuck: {:?} {:?}", life.now(), life.edges)).collect()
    }
}
