//! Creating and changing milestones.
//!
//! Invariants: what a milestone requires is in the order of ids, and each once; milestones above each
//! other never form a circle, because a parent exists before its part and never changes.

use std::collections::BTreeSet;

use troupe_contract::event::MilestoneEventKind;
use troupe_contract::progress::{MilestoneSpec, MilestoneUpdateRequest};
use troupe_domain::limits::{
    MAX_MILESTONE_CHILDREN, MAX_MILESTONE_DEPTH, MAX_MILESTONE_TAGS, MAX_MILESTONE_TASKS,
    MAX_NAME_CHARS, MAX_TEXT_BYTES, MAX_TITLE_CHARS,
};
use troupe_domain::progress::{Milestone, MilestoneId, MilestoneStatus};
use troupe_domain::task::spec::check_text;
use troupe_domain::{Code, Fault, Name, TaskId, Timestamp};

use super::record::What;
use super::request::ProgressReply;
use super::state::ProgressState;

fn check_name(name: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(Fault::invalid("name", "must not be empty"));
    }
    if name.chars().count() > MAX_TITLE_CHARS {
        return Err(Fault::exhausted("MAX_TITLE_CHARS", MAX_TITLE_CHARS).with("field", "name"));
    }
    check_text("name", name, MAX_TEXT_BYTES)
}

fn check_tags(tags: &[String]) -> Result<(), Fault> {
    if tags.len() > MAX_MILESTONE_TAGS {
        let fault = Fault::exhausted("MAX_MILESTONE_TAGS", MAX_MILESTONE_TAGS);
        return Err(fault.with("field", "tags"));
    }
    for tag in tags {
        check_text("tags", tag, MAX_NAME_CHARS * 4)?;
        if tag.trim().is_empty() {
            return Err(Fault::invalid("tags", "must not be empty"));
        }
    }
    Ok(())
}

fn check_count(field: &str, count: usize) -> Result<(), Fault> {
    if count > MAX_MILESTONE_TASKS {
        let fault = Fault::exhausted("MAX_MILESTONE_TASKS", MAX_MILESTONE_TASKS);
        return Err(fault.with("field", field));
    }
    Ok(())
}

/// Checks what does not depend on any state.
pub fn check_spec(spec: &MilestoneSpec) -> Result<(), Fault> {
    check_name(&spec.name)?;
    check_text("description", &spec.description, MAX_TEXT_BYTES)?;
    check_tags(&spec.tags)?;
    check_count("required_task_ids", spec.required_task_ids.len())
}

/// Checks what does not depend on any state.
pub fn check_update(update: &MilestoneUpdateRequest) -> Result<(), Fault> {
    update.name.as_deref().map_or(Ok(()), check_name)?;
    check_text("description", update.description.as_deref().unwrap_or_default(), MAX_TEXT_BYTES)?;
    check_tags(update.tags.as_deref().unwrap_or_default())?;
    check_count("add_task_ids", update.add_task_ids.len())?;
    if update.no_target_date && update.target_date.is_some() {
        return Err(Fault::invalid("no_target_date", "contradicts target_date"));
    }
    match update.status {
        None | Some(MilestoneStatus::Deferred | MilestoneStatus::Pending) => Ok(()),
        Some(_) => Err(Fault::invalid(
            "status",
            "can be set to deferred and pending; the rest happens by itself",
        )),
    }
}

impl ProgressState {
    /// Creates a milestone. Tasks that nobody has heard of are given back first.
    pub(super) fn create_milestone(
        &mut self,
        id: MilestoneId,
        spec: MilestoneSpec,
        by: &Name,
        now: Timestamp,
    ) -> Result<ProgressReply, Fault> {
        check_spec(&spec)?;
        let required: BTreeSet<TaskId> = spec.required_task_ids.into_iter().collect();
        let milestone = Milestone {
            id: id.clone(),
            name: spec.name,
            description: spec.description,
            status: MilestoneStatus::Pending,
            target_date: spec.target_date,
            completed_date: None,
            required_task_ids: required.into_iter().collect(),
            progress: 0.0,
            parent_milestone_id: spec.parent_milestone_id,
            child_milestone_ids: Vec::new(),
            owner: spec.owner.or_else(|| Some(by.clone())),
            tags: spec.tags,
            created_at: now,
            updated_at: now,
        };
        if let Some(before) = self.milestones.get(&id) {
            let same = before.name == milestone.name
                && before.required_task_ids == milestone.required_task_ids
                && before.parent_milestone_id == milestone.parent_milestone_id;
            return if same {
                self.shown_milestone(&id).map(ProgressReply::Milestone)
            } else {
                let taken = format!("another milestone has the id {id}");
                Err(Fault::new(Code::AlreadyExists, taken).with("id", id.as_str()))
            };
        }
        if self.milestones.len() >= self.settings.max_milestones {
            return Err(Fault::exhausted("max_milestones", self.settings.max_milestones));
        }
        self.check_parent(milestone.parent_milestone_id.as_ref())?;
        if let Some(missing) = self.missing_of(&milestone.required_task_ids) {
            return Ok(ProgressReply::Missing(missing));
        }
        let event = MilestoneEventKind::MilestoneCreated;
        self.draft(What::Milestone { milestone: Box::new(milestone), by: by.clone(), event });
        self.settle(now);
        self.shown_milestone(&id).map(ProgressReply::Milestone)
    }

    fn check_parent(&self, parent: Option<&MilestoneId>) -> Result<(), Fault> {
        let mut above = parent;
        for _ in 0..MAX_MILESTONE_DEPTH {
            let Some(id) = above else { return Ok(()) };
            let milestone = self.milestones.get(id).ok_or_else(|| {
                Fault::not_found("milestone", id).with("field", "parent_milestone_id")
            })?;
            let parts = milestone.child_milestone_ids.len();
            if Some(id) == parent && parts >= MAX_MILESTONE_CHILDREN {
                return Err(Fault::exhausted("MAX_MILESTONE_CHILDREN", MAX_MILESTONE_CHILDREN));
            }
            above = milestone.parent_milestone_id.as_ref();
        }
        Err(Fault::exhausted("MAX_MILESTONE_DEPTH", MAX_MILESTONE_DEPTH))
    }

    fn missing_of(&self, tasks: &[TaskId]) -> Option<Vec<TaskId>> {
        let missing: Vec<TaskId> =
            tasks.iter().filter(|id| !self.tasks.contains_key(*id)).cloned().collect();
        (!missing.is_empty()).then_some(missing)
    }

    /// Changes a milestone.
    pub(super) fn update_milestone(
        &mut self,
        update: MilestoneUpdateRequest,
        by: &Name,
        now: Timestamp,
    ) -> Result<ProgressReply, Fault> {
        check_update(&update)?;
        let id = update.milestone_id.clone();
        let before = self.milestones.get(&id).ok_or_else(|| Fault::not_found("milestone", &id))?;
        if let Some(missing) = self.missing_of(&update.add_task_ids) {
            return Ok(ProgressReply::Missing(missing));
        }
        let mut after = Milestone::clone(before);
        let mut required: BTreeSet<TaskId> = after.required_task_ids.iter().cloned().collect();
        update.remove_task_ids.iter().for_each(|task| {
            required.remove(task);
        });
        let more = update.add_task_ids.iter().filter(|task| !required.contains(*task)).count() > 0;
        required.extend(update.add_task_ids);
        check_count("add_task_ids", required.len())?;
        after.required_task_ids = required.into_iter().collect();
        after.name = update.name.unwrap_or(after.name);
        after.description = update.description.unwrap_or(after.description);
        after.owner = update.owner.or(after.owner);
        after.tags = update.tags.unwrap_or(after.tags);
        if update.no_target_date {
            after.target_date = None;
        }
        after.target_date = update.target_date.or(after.target_date);
        after.updated_at = now;
        let again = match after.status {
            MilestoneStatus::Missed => after.target_date != before.target_date,
            MilestoneStatus::Achieved => more,
            _ => false,
        };
        if again {
            after.status = MilestoneStatus::Pending;
            after.completed_date = None;
        }
        after.status = update.status.unwrap_or(after.status);
        let event = MilestoneEventKind::MilestoneChanged;
        self.draft(What::Milestone { milestone: Box::new(after), by: by.clone(), event });
        self.settle(now);
        self.shown_milestone(&id).map(ProgressReply::Milestone)
    }
}
