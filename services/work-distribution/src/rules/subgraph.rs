//! What follows for other tasks when one ends, is called off or comes back.
//!
//! Every consequence can be found again from the state alone, so that a crash between a cause and
//! its consequences loses nothing: [`ShardState::reconcile`] draws them anew.

use std::collections::{BTreeSet, VecDeque};

use troupe_domain::fault::Fault;
use troupe_domain::name::Name;
use troupe_domain::task::change::Change;
use troupe_domain::task::{Dependency, OnFailure, Outcome, Reason, ReasonKind};
use troupe_domain::{Json, Task, TaskId, TaskStatus, Timestamp};

use super::record::LetterContent;
use super::state::ShardState;

impl ShardState {
    /// Tells the dependents of `id`, which has ended, and theirs.
    pub(super) fn settle_dependents(&mut self, id: &TaskId, now: Timestamp) {
        let mut ended = VecDeque::from([id.clone()]);
        while let Some(id) = ended.pop_front() {
            let Some(outcome) = self.tasks.get(&id).and_then(|t| t.status.outcome()) else {
                continue;
            };
            let dependents = self.dependents.get(&id).cloned().unwrap_or_default();
            for dependent in dependents {
                if self.settle(&dependent, &id, Some(outcome), None, now) {
                    ended.push_back(dependent);
                }
            }
        }
    }

    /// Records how `dependency` ended for `dependent`; tells whether `dependent` ended by it.
    fn settle(
        &mut self,
        dependent: &TaskId,
        dependency: &TaskId,
        outcome: Option<Outcome>,
        result: Option<Json>,
        now: Timestamp,
    ) -> bool {
        let Some(task) = self.tasks.get(dependent) else { return false };
        let known = task.dependencies.iter().find(|edge| edge.task_id == *dependency);
        let Some(edge) = known else { return false };
        // A task that has ended learns it too: it may be revived, and must then know what it waits
        // for. What is completed is not revived.
        if edge.outcome == outcome || task.status == TaskStatus::Completed {
            return false;
        }
        let change = match outcome {
            Some(outcome) => Change::Settled { on: dependency.clone(), outcome, result },
            None => Change::Unsettled { on: dependency.clone() },
        };
        self.change(dependent, change, now);
        let follows = self.tasks.get(dependent).and_then(|task| task.follow_dependencies(now));
        let Some(change) = follows else { return false };
        let ends = matches!(change, Change::Cancelled(_));
        self.change(dependent, change, now);
        ends
    }

    /// Calls off `id`, its parts, and what depends on any of them as the edges' policies say. Gives
    /// the ids of this shard that were called off, the first first.
    pub fn cancel(
        &mut self,
        id: &TaskId,
        by: &Name,
        why: &str,
        now: Timestamp,
    ) -> Result<Vec<TaskId>, Fault> {
        let task = self.tasks.get(id).ok_or_else(|| self.absent(id))?;
        let Some(change) = task.cancel(by, why, now)? else { return Ok(vec![id.clone()]) };
        let before = self.drafts.records.len();
        self.change(id, change, now);
        let mut parts = VecDeque::from([id.clone()]);
        let mut seen = BTreeSet::from([id.clone()]);
        while let Some(whole) = parts.pop_front() {
            self.settle_dependents(&whole, now);
            let children =
                self.tasks.get(&whole).map(|t| t.subtask_ids.clone()).unwrap_or_default();
            for child in children.into_iter().filter(|child| seen.insert(child.clone())) {
                let why = part_of(id);
                let decided = self.tasks.get(&child).and_then(|t| t.cancel(by, &why, now).ok());
                if let Some(Some(change)) = decided {
                    self.change(&child, change, now);
                }
                parts.push_back(child);
            }
        }
        Ok(self.changed_since(before, |change| matches!(change, Change::Cancelled(_))))
    }

    /// Brings back `id` and what fell with it. Gives the ids, the first first.
    pub fn revive(
        &mut self,
        id: &TaskId,
        by: &Name,
        why: &str,
        now: Timestamp,
    ) -> Result<Vec<TaskId>, Fault> {
        let task = self.tasks.get(id).ok_or_else(|| self.absent(id))?;
        let Some(change) = task.revive(by, why, now)? else { return Ok(Vec::new()) };
        if let Some(fatal) = self.fatal_dependency(task) {
            return Err(Fault::precondition(format!(
                "its dependency {fatal} did not succeed: revive that one, and this one follows"
            ))
            .with("dependency", fatal.as_str()));
        }
        let before = self.drafts.records.len();
        self.refresh_edges(id, now);
        self.change(id, change, now);
        self.revive_dependents(id, now);
        Ok(self.changed_since(before, |change| matches!(change, Change::Revived(_))))
    }

    /// How a dependency ended, as it is known here and now.
    fn known_outcome(&self, edge: &Dependency) -> Option<Outcome> {
        self.tasks.get(&edge.task_id).map_or(edge.outcome, |on| on.status.outcome())
    }

    /// The dependency that would end `task` again as soon as it is revived.
    fn fatal_dependency(&self, task: &Task) -> Option<TaskId> {
        let fatal = |edge: &&Dependency| {
            edge.on_failure == OnFailure::Cancel
                && self.known_outcome(edge) == Some(Outcome::DidNotSucceed)
        };
        task.dependencies.iter().find(fatal).map(|edge| edge.task_id.clone())
    }

    /// Tells a task that is about to be revived how the dependencies of this shard stand: it may have
    /// been away from memory while they went on.
    fn refresh_edges(&mut self, id: &TaskId, now: Timestamp) {
        let edges = self.tasks.get(id).map(|t| t.dependencies.clone()).unwrap_or_default();
        for edge in edges {
            let on = edge.task_id.clone();
            match self.known_outcome(&edge) {
                outcome if outcome == edge.outcome => {}
                Some(outcome) => {
                    self.change(id, Change::Settled { on, outcome, result: None }, now);
                }
                None => self.change(id, Change::Unsettled { on }, now),
            }
        }
    }

    /// Brings back what fell with `id`, which was revived, and what fell with that.
    fn revive_dependents(&mut self, id: &TaskId, now: Timestamp) {
        let mut revived = VecDeque::from([id.clone()]);
        while let Some(cause) = revived.pop_front() {
            for dependent in self.dependents.get(&cause).cloned().unwrap_or_default() {
                if self.unsettle(&dependent, &cause, now) {
                    revived.push_back(dependent);
                }
            }
        }
    }

    /// `cause` came back: `dependent` waits for it again; tells whether `dependent` came back too.
    fn unsettle(&mut self, dependent: &TaskId, cause: &TaskId, now: Timestamp) -> bool {
        let Some(task) = self.tasks.get(dependent) else { return false };
        let fell = task.fell_with(cause);
        let told = task.dependencies.iter().any(|e| e.task_id == *cause && e.outcome.is_some());
        if !told || task.status == TaskStatus::Completed {
            return false;
        }
        self.change(dependent, Change::Unsettled { on: cause.clone() }, now);
        if fell {
            let reason = Reason {
                at: now,
                kind: ReasonKind::Revived,
                message: format!("the dependency {cause} was revived"),
                by: None,
                epoch: None,
                task_id: Some(cause.clone()),
            };
            self.refresh_edges(dependent, now);
            self.change(dependent, Change::Revived(reason), now);
            // Another dependency may have failed in the meantime.
            let follows = self.tasks.get(dependent).and_then(|task| task.follow_dependencies(now));
            if let Some(change) = follows {
                let ends = matches!(change, Change::Cancelled(_));
                self.change(dependent, change, now);
                return !ends;
            }
        }
        fell
    }

    /// A letter of another shard. An error means: not yet, send it again.
    pub fn receive(&mut self, content: LetterContent, now: Timestamp) -> Result<(), Fault> {
        match content {
            LetterContent::Dependency { dependent, dependency, outcome, result } => {
                if !self.tasks.contains_key(&dependent) {
                    return Err(Fault::not_found("task", dependent));
                }
                if outcome.is_none() {
                    if self.unsettle(&dependent, &dependency, now) {
                        self.revive_dependents(&dependent, now);
                    }
                } else if self.settle(&dependent, &dependency, outcome, result, now) {
                    self.settle_dependents(&dependent, now);
                }
                Ok(())
            }
            LetterContent::Part { parent, child } => {
                let whole =
                    self.tasks.get(&parent).ok_or_else(|| Fault::not_found("task", &parent))?;
                if !whole.subtask_ids.contains(&child) {
                    self.change(&parent, Change::SubtaskAdded { id: child }, now);
                }
                Ok(())
            }
            LetterContent::CallOff { part, whole, by } => {
                // What has ended, or has even left memory, needs no calling off.
                let ended = self.tasks.get(&part).is_none_or(|part| part.status.is_terminal());
                if !ended {
                    self.cancel(&part, &by, &part_of(&whole), now)?;
                }
                Ok(())
            }
        }
    }

    /// Draws every consequence that is missing; after a crash in the middle of drawing them.
    pub fn reconcile(&mut self, now: Timestamp) {
        let blocked: Vec<TaskId> = self
            .tasks
            .values()
            .filter(|task| task.status == TaskStatus::Blocked)
            .map(|task| task.id.clone())
            .collect();
        for id in blocked {
            let Some(task) = self.tasks.get(&id).cloned() else { continue };
            let mut ended = false;
            for edge in task.dependencies.iter().filter(|edge| edge.outcome.is_none()) {
                let outcome = self.tasks.get(&edge.task_id).and_then(|d| d.status.outcome());
                if outcome.is_some() {
                    ended |= self.settle(&id, &edge.task_id, outcome, None, now);
                }
            }
            let follows = self.tasks.get(&id).and_then(|task| task.follow_dependencies(now));
            if let Some(change) = follows {
                ended |= matches!(change, Change::Cancelled(_));
                self.change(&id, change, now);
            }
            if ended {
                self.settle_dependents(&id, now);
            }
        }
    }

    fn changed_since(&self, from: usize, wanted: impl Fn(&Change) -> bool) -> Vec<TaskId> {
        self.drafts.records[from..]
            .iter()
            .filter_map(|record| match record {
                super::record::Record::Changed { id, change, .. } if wanted(change) => {
                    Some(id.clone())
                }
                _ => None,
            })
            .collect()
    }
}

fn part_of(whole: &TaskId) -> String {
    format!("a part of {whole}, which was called off")
}
