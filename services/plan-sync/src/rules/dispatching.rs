//! Items and their tasks: ready items get tasks, and what happens to a task moves its item.
//!
//! Invariants: an item is linked to a task before the task is made, so that no event of the task comes
//! too early; an item has one task at a time; what a person decided about an item (completed, cancelled,
//! deferred) is not undone by its task.

use troupe_contract::event::TaskEventKind;
use troupe_crdt::edit::{Edit, ItemChange};
use troupe_domain::plan::{ItemId, ObjectId, PlanItem, PlanItemStatus};
use troupe_domain::{AgentId, Fault, TaskId, Timestamp, TraceContext};

use super::editing::Extra;
use super::nouns;
use super::record::{NewLink, Place, Record};
use super::request::{Edited, News, TaskMoved};
use super::state::{Link, PlanState};

/// Items that have tasks, of one shard.
pub const MAX_LINKS: usize = 100_000;
/// How far an item is that its task reported done, until somebody verified it.
const REPORTED_PERCENT: u8 = 90;

/// Reports move an item by so many percent at once: each step is an edit that the plan's history keeps.
const PROGRESS_STEP: u8 = 10;

/// Characters of a task's reason that its item keeps.
const MAX_REASON_CHARS: usize = 1_000;

/// What an event of a task means for its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effect {
    status: PlanItemStatus,
    progress: Option<u8>,
    /// Whether the task is over.
    over: bool,
    /// Whether the reason is kept as a remark.
    remark: bool,
}

fn effect_of(news: News) -> Option<Effect> {
    use PlanItemStatus as S;
    use TaskEventKind as E;
    let effect = |status, over, remark| Effect { status, progress: None, over, remark };
    let event = match news {
        News::Event(event) => event,
        News::Progress(percent) => {
            let step = percent.min(REPORTED_PERCENT) / PROGRESS_STEP * PROGRESS_STEP;
            return Some(Effect { progress: Some(step), ..effect(S::InProgress, false, false) });
        }
    };
    Some(match event {
        E::TaskClaimed | E::TaskStarted => effect(S::InProgress, false, false),
        E::TaskReported => {
            Effect { progress: Some(REPORTED_PERCENT), ..effect(S::InProgress, false, false) }
        }
        E::TaskCompleted => Effect { progress: Some(100), ..effect(S::Completed, true, false) },
        E::TaskFailed | E::TaskDead => effect(S::Blocked, true, true),
        E::TaskCancelled => effect(S::Cancelled, true, true),
        E::TaskRejected | E::TaskRetrying | E::LeaseExpired => effect(S::Pending, false, true),
        E::TaskReleased | E::TaskRevived => effect(S::Pending, false, false),
        E::TaskCreated | E::TaskUnblocked | E::ProgressStalled => return None,
    })
}

/// The beginning of a reason that is long.
fn shortened(why: &str) -> String {
    why.chars().take(MAX_REASON_CHARS).collect()
}

/// Whether somebody said that an item is over, whatever its task does.
fn is_decided(status: PlanItemStatus) -> bool {
    matches!(
        status,
        PlanItemStatus::Completed | PlanItemStatus::Cancelled | PlanItemStatus::Deferred
    )
}

impl PlanState {
    /// Ready items without a task: `ids`, or all of them; and how many are left beyond `limit`.
    pub(super) fn ready(
        &self,
        plan: &ObjectId,
        ids: &[ItemId],
        limit: usize,
    ) -> Result<(Vec<PlanItem>, usize), Fault> {
        let document = &self.plan(plan)?.document;
        let all = nouns::plan_of(document)?;
        let ready = nouns::ready_of(document, &all);
        for id in ids {
            let known = all.items.iter().find(|item| item.id == *id);
            known.ok_or_else(|| Fault::not_found("item", id))?;
            if !ready.contains(id) {
                return Err(Fault::precondition(format!("the item {id} is not ready"))
                    .with("item_id", id.as_str()));
            }
        }
        let is_wanted = |item: &PlanItem| {
            ready.contains(&item.id) && (ids.is_empty() || ids.contains(&item.id))
        };
        let has_task = |item: &PlanItem| {
            item.task_id.as_ref().is_some_and(|task| self.links.contains_key(task))
        };
        let mut items: Vec<PlanItem> =
            all.items.into_iter().filter(|item| is_wanted(item) && !has_task(item)).collect();
        let left = items.len().saturating_sub(limit);
        items.truncate(limit);
        Ok((items, left))
    }

    /// Links items to tasks that are about to be made. Items that are no longer ready, or got a task in
    /// between, are passed over: the receipt names those that were linked.
    pub(super) fn link(
        &mut self,
        caller: &AgentId,
        plan: &ObjectId,
        links: Vec<NewLink>,
        place: Place,
        trace: Option<TraceContext>,
        now: Timestamp,
    ) -> Result<Edited, Fault> {
        if self.links.len() + links.len() > MAX_LINKS {
            return Err(Fault::exhausted("MAX_LINKS", MAX_LINKS));
        }
        let (ready, _) = self.ready(plan, &[], usize::MAX)?;
        let links: Vec<_> = links
            .into_iter()
            .filter(|link| ready.iter().any(|ready| ready.id == link.item))
            .collect();
        let edits: Vec<Edit> = links
            .iter()
            .map(|link| Edit::UpdateItem {
                item: link.item.clone(),
                change: ItemChange {
                    task_id: Some(Some(link.task.clone())),
                    ..ItemChange::default()
                },
                rests_on: None,
            })
            .collect();
        if self.followed.is_none() && !links.is_empty() {
            self.draft(Record::Followed(place));
        }
        let item_ids = links.iter().map(|link| link.item.clone()).collect();
        let extra = Extra { item_ids, links, trace, ..Extra::default() };
        self.write(plan, Some(caller.clone()), &edits, extra, now)
    }

    /// A task is there.
    pub(super) fn confirm(&mut self, task: &TaskId) {
        if self.links.get(task).is_some_and(|link| !link.confirmed) {
            self.draft(Record::Confirmed { task: task.clone() });
        }
    }

    /// Tasks that are not known to be there, since before `before`.
    pub fn unconfirmed(&self, before: Timestamp, limit: usize) -> Vec<(TaskId, Link, PlanItem)> {
        let late = self.links.iter().filter(|(_, link)| !link.confirmed && link.at < before);
        late.take(limit)
            .filter_map(|(task, link)| {
                let item = self.objects.get(&link.plan)?.document.item(&link.item)?;
                Some((task.clone(), link.clone(), item))
            })
            .collect()
    }

    /// So far nothing more is known of tasks.
    pub(super) fn followed_to(&mut self, place: Place) {
        if self.followed.is_some_and(|known| known != place) {
            self.draft(Record::Followed(place));
        }
    }

    /// Things happened to tasks. What is told once more moves nothing.
    pub(super) fn tasks_moved(&mut self, moves: &[TaskMoved], place: Place, now: Timestamp) {
        let known = self.followed.filter(|known| known.stream_made_at == place.stream_made_at);
        if known.is_some_and(|known| place.sequence <= known.sequence) {
            return;
        }
        for moved in moves {
            let link = self.links.get(&moved.task).cloned();
            let (Some(link), Some(effect)) = (link, effect_of(moved.news)) else { continue };
            if let Err(fault) = self.move_item_of(&link, moved, effect, now) {
                // A plan that is full stays as it is; its task goes on.
                tracing::warn!(%fault, task = %moved.task, "an item was not moved");
            }
            if effect.over {
                self.draft(Record::Unlinked { task: moved.task.clone() });
            }
        }
        if self.followed.is_some() {
            self.draft(Record::Followed(place));
        }
    }

    fn move_item_of(
        &mut self,
        link: &Link,
        moved: &TaskMoved,
        effect: Effect,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let Some(object) = self.objects.get(&link.plan) else { return Ok(()) };
        let item = object.document.item(&link.item);
        // It was deleted, or got another task: this one moves nothing.
        let Some(item) = item.filter(|item| item.task_id.as_ref() == Some(&moved.task)) else {
            return Ok(());
        };
        let reason = moved.reason.as_ref().filter(|why| !why.is_empty());
        let note = reason
            .filter(|_| effect.remark)
            .map(|why| format!("task {}: {}", moved.task, shortened(why)));
        let mut edits = Vec::new();
        let progress = effect.progress.filter(|progress| item.progress < *progress);
        if matches!(moved.news, News::Progress(_))
            && (item.status != PlanItemStatus::InProgress || progress.is_none())
        {
            // A report is not news of an item that nobody works on, or that is as far already.
            return Ok(());
        }
        if is_decided(item.status) {
            edits.extend(note.map(|text| Edit::AddNote { item: item.id.clone(), text }));
        } else {
            let (id, status) = (item.id.clone(), effect.status);
            edits.push(Edit::UpdateStatus { item: id.clone(), status, progress, reason: note });
            if let Some(minutes) = moved.minutes.filter(|minutes| *minutes > 0) {
                let change = ItemChange { add_minutes: Some(minutes), ..ItemChange::default() };
                edits.push(Edit::UpdateItem { item: id, change, rests_on: None });
            }
        }
        let by = moved.by.clone();
        let extra = Extra {
            item_ids: vec![item.id],
            followed: Some(moved.task.clone()),
            trace: moved.trace.clone(),
            ..Extra::default()
        };
        self.write(&link.plan, by, &edits, extra, now).map(|_| ())
    }
}
