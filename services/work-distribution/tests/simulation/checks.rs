//! The checkers: from the log, the events and what clients were told, never from a shard's own counts.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use troupe_bus::model::PublishedEvent;
use troupe_domain::task::ReasonKind;
use troupe_domain::task::change::Change;
use troupe_domain::{AgentId, Code, TaskId, TaskStatus};

use super::history::{Answer, Asked, Deed, Op, Sight};
use super::shadow::{Life, Shadow, Version};

/// No claim was given to two, and every acknowledged one is in the log.
pub(crate) fn claims(ops: &[Op], shadow: &Shadow) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut holders: BTreeMap<(TaskId, u64), AgentId> = BTreeMap::new();
    for op in ops {
        let (Asked::Claim { agent }, Answer::Done { sights, .. }) = (&op.asked, &op.answer) else {
            continue;
        };
        for sight in sights {
            let key = (sight.id.clone(), sight.epoch);
            let first = holders.entry(key).or_insert_with(|| agent.clone());
            if first != agent {
                wrong.push(format!("{} epoch {}: {first} and {agent}", sight.id, sight.epoch));
            }
            let claimed = |change: &Change| {
                matches!(change, Change::Claimed { by, epoch, .. }
                    if by == agent && *epoch == sight.epoch)
            };
            if !happened(shadow, &sight.id, op.answered.1, |v| {
                v.change.as_ref().is_some_and(claimed)
            }) {
                wrong.push(format!("a claim was acknowledged and is not stored: {op:?}"));
            }
        }
    }
    wrong
}

fn happened(shadow: &Shadow, id: &TaskId, by: Instant, wanted: impl Fn(&Version) -> bool) -> bool {
    let versions = shadow.lives.get(id).map(|life| life.versions.as_slice()).unwrap_or_default();
    versions.iter().any(|version| version.at <= by && wanted(version))
}

/// Every write that was acknowledged is in the log, by its own holder and epoch, in time.
pub(crate) fn writes(ops: &[Op], shadow: &Shadow) -> Vec<String> {
    let mut wrong = Vec::new();
    for op in ops {
        let Answer::Done { ids, .. } = &op.answer else { continue };
        let stored = |id: &TaskId, wanted: &dyn Fn(&Version) -> bool| {
            happened(shadow, id, op.answered.1, wanted)
        };
        let change = |id: &TaskId, wanted: &dyn Fn(&Change) -> bool| {
            stored(id, &|version| version.change.as_ref().is_some_and(wanted))
        };
        let kept = match &op.asked {
            Asked::Create { ids } => ids.iter().all(|id| stored(id, &|v| v.change.is_none())),
            Asked::Hold { deed, id, agent, epoch } => {
                deed_is_stored(*deed, id, agent, *epoch, op, shadow)
            }
            Asked::Cancel { .. } => {
                ids.iter().all(|id| change(id, &|c| matches!(c, Change::Cancelled(_))))
            }
            Asked::Revive { .. } => {
                ids.iter().all(|id| change(id, &|c| matches!(c, Change::Revived(_))))
            }
            Asked::Verify { id, by, accept, epoch } => change(id, &|c| match c {
                Change::Verified { by: verifier, .. } => *accept && verifier == by,
                Change::Rejected(reason) | Change::Died(reason) => {
                    !*accept && reason.by.as_ref() == Some(by) && reason.epoch == Some(*epoch)
                }
                _ => false,
            }),
            Asked::Claim { .. } | Asked::See { .. } => true,
        };
        if !kept {
            wrong.push(format!("it was acknowledged and is not stored: {op:?}"));
        }
    }
    wrong
}

fn deed_is_stored(
    deed: Deed,
    id: &TaskId,
    agent: &AgentId,
    epoch: u64,
    op: &Op,
    shadow: &Shadow,
) -> bool {
    let Some(life) = shadow.lives.get(id) else { return false };
    let mut holder = None;
    life.versions.iter().any(|version| {
        if version.holder.is_some() {
            holder.clone_from(&version.holder);
        }
        let mine =
            version.at <= op.answered.1 && version.epoch == epoch && holder.as_ref() == Some(agent);
        let failed = |reason: &troupe_domain::task::Reason| reason.kind == ReasonKind::Failed;
        mine && version.change.as_ref().is_some_and(|change| match (deed, change) {
            (Deed::Start, Change::Started)
            | (Deed::Extend, Change::Extended { .. })
            | (Deed::Complete, Change::Completed { .. } | Change::Reported { .. })
            | (Deed::Release, Change::Released(_)) => true,
            (
                Deed::Fail,
                Change::Retrying { reason, .. } | Change::Failed(reason) | Change::Died(reason),
            ) => failed(reason),
            _ => false,
        })
    })
}

/// A holder is refused as stale only if there was a moment, while it waited, at which it held nothing.
pub(crate) fn refusals(ops: &[Op], shadow: &Shadow) -> Vec<String> {
    let mut wrong = Vec::new();
    for op in ops {
        let Asked::Hold { id, agent, epoch, .. } = &op.asked else { continue };
        if !matches!(op.answer, Answer::Refused(Code::StaleEpoch)) {
            continue;
        }
        let Some(life) = shadow.lives.get(id) else { continue };
        let justified = life.versions.iter().enumerate().any(|(index, version)| {
            let ended = life.versions.get(index + 1).map(|next| next.at);
            let overlaps = version.at <= op.answered.1 && ended.is_none_or(|at| at >= op.called.1);
            let holds = version.epoch == *epoch && version.holder.as_ref() == Some(agent);
            overlaps && !holds
        });
        if !justified {
            wrong.push(format!("a holder was refused: {op:?}"));
        }
    }
    wrong
}

/// The first and the last version that a sight can be.
fn versions_of(sight: &Sight, life: &Life, by: Instant) -> Option<(usize, usize)> {
    let fits = |version: &Version| {
        version.at <= by
            && version.status == sight.status
            && version.epoch == sight.epoch
            && sight.holder.as_ref().is_none_or(|holder| version.holder.as_ref() == Some(holder))
    };
    let first = life.versions.iter().position(fits)?;
    let last = life.versions.iter().rposition(fits)?;
    Some((first, last))
}

/// Nobody sees what is not stored, and nobody sees an older state than somebody was told before.
pub(crate) fn reads(ops: &[Op], shadow: &Shadow) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut of_task: BTreeMap<&TaskId, Vec<(&Op, usize, usize)>> = BTreeMap::new();
    for op in ops {
        let gone = match (&op.asked, &op.answer) {
            (Asked::See { id: Some(id) }, Answer::Refused(Code::NotFound)) => Some(id),
            _ => None,
        };
        if let Some(id) = gone {
            let life = shadow.lives.get(id);
            // What has ended may leave memory; what does not exist yet cannot be found.
            let last = life.and_then(|l| l.versions.iter().rposition(|v| v.status.is_terminal()));
            if let Some(last) = last {
                of_task.entry(id).or_default().push((op, 0, last));
            } else if ops.iter().any(|other| {
                matches!(&other.asked, Asked::Create { ids } if ids.contains(id))
                    && matches!(other.answer, Answer::Done { .. })
                    && other.answered.0 < op.called.0
            }) {
                wrong.push(format!("an acknowledged task is not found: {op:?}"));
            }
        }
        let Answer::Done { sights, .. } = &op.answer else { continue };
        for sight in sights {
            let life = shadow.lives.get(&sight.id);
            match life.and_then(|life| versions_of(sight, life, op.answered.1)) {
                Some((first, last)) => {
                    let id = &sight.id;
                    of_task.entry(id).or_default().push((op, first, last));
                }
                None => wrong.push(format!("what is not stored was seen: {sight:?} in {op:?}")),
            }
        }
    }
    for (id, sights) in &of_task {
        for (later, _, last) in sights {
            let before = sights.iter().filter(|(op, ..)| op.answered.0 < later.called.0);
            if let Some((earlier, first, _)) = before.max_by_key(|(_, first, _)| *first)
                && last < first
            {
                wrong.push(format!("{id} went back: {earlier:?}\n  then {later:?}"));
            }
        }
    }
    wrong
}

/// Every change has its event, under the id that its place gives it, in order, and there are no others.
pub(crate) fn events(
    published: &[PublishedEvent],
    shadow: &Shadow,
    shard_of: impl Fn(&TaskId) -> u16,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: BTreeMap<&str, (usize, &PublishedEvent)> = BTreeMap::new();
    for (place, event) in published.iter().enumerate() {
        let (_, known) = first.entry(&event.event.id).or_insert((place, event));
        if known.event.subject != event.event.subject || known.event.body != event.event.body {
            wrong.push(format!("two events are called {}", event.event.id));
        }
    }
    let mut expected = BTreeSet::new();
    for (id, life) in &shadow.lives {
        let mut before = None;
        for version in &life.versions {
            let Some((sequence, index, name)) = version.event else { continue };
            let event_id = format!("work-{}-{sequence}-{index}", shard_of(id));
            let Some((place, event)) = first.get(event_id.as_str()) else {
                wrong.push(format!("{id}: {name} has no event {event_id}"));
                continue;
            };
            let subject = format!("troupe.v1.event.task.{name}");
            if event.event.subject != subject || event.event.entity_id != id.as_str() {
                wrong.push(format!("{event_id} is {} and not {subject}", event.event.subject));
            }
            if event.at < version.at {
                wrong.push(format!("{event_id} was told before it was stored"));
            }
            if before.is_some_and(|before| before > *place) {
                wrong.push(format!("{event_id} came before what happened earlier"));
            }
            before = Some(*place);
            expected.insert(event_id);
        }
    }
    for id in first.keys().filter(|id| !expected.contains(**id)) {
        wrong.push(format!("{id} tells of what is not stored"));
    }
    wrong
}

/// What was acknowledged as completed stays so, and nothing ends twice without being revived.
pub(crate) fn endings(shadow: &Shadow) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, life) in &shadow.lives {
        let mut ended: Option<TaskStatus> = None;
        for version in &life.versions {
            match (ended, &version.change) {
                (Some(TaskStatus::Completed), _) if version.status != TaskStatus::Completed => {
                    wrong.push(format!("{id} was completed and went on: {version:?}"));
                }
                (Some(_), Some(Change::Revived(_))) => ended = None,
                (Some(end), _) if version.status != end => {
                    wrong.push(format!("{id} ended twice: {version:?}"));
                }
                _ => {}
            }
            if version.status.is_terminal() {
                ended = Some(version.status);
            }
        }
    }
    wrong
}
