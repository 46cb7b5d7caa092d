//! The documents of random runs against what their batches mean by definition.
//!
//! The model knows no merging: it takes all operations at once, and asks of each whether a later one had
//! seen it. That is slow, and there is nothing in it to go wrong on the way.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Roughness, run, scaled};
use troupe_crdt::{Change, Document, Operation, Stamp};
use troupe_domain::plan::ConflictKind;
use troupe_domain::{AgentId, Name, VectorClock};

/// One operation, with what its author had seen.
struct Done {
    stamp: Stamp,
    seen: VectorClock,
    operation: Operation,
}

impl Done {
    /// Whether the author of this one knew of another.
    fn saw(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.stamp, &other.stamp);
        if mine.actor == theirs.actor {
            return theirs.lamport < mine.lamport;
        }
        self.seen.get(&theirs.actor) >= theirs.seq
    }

    fn changes(&self, item: &Name) -> Vec<&Change> {
        match &self.operation {
            Operation::AddItem { item: of, changes, .. }
            | Operation::UpdateItem { item: of, changes }
                if of == item =>
            {
                changes.iter().collect()
            }
            Operation::BulkUpdate { updates } => updates
                .iter()
                .filter(|(of, _)| of == item)
                .flat_map(|(_, changes)| changes)
                .collect(),
            _ => Vec::new(),
        }
    }

    fn edits(&self, item: &Name) -> bool {
        match &self.operation {
            Operation::AddItem { item: of, .. }
            | Operation::UpdateItem { item: of, .. }
            | Operation::MoveItem { item: of, .. }
            | Operation::AssignItem { item: of, .. }
            | Operation::UpdateStatus { item: of, .. }
            | Operation::AddNote { item: of, .. } => of == item,
            Operation::BulkUpdate { updates } => updates.iter().any(|(of, _)| of == item),
            _ => false,
        }
    }

    fn deletes(&self, item: &Name) -> bool {
        matches!(&self.operation, Operation::DeleteItem { items } if items.contains(item))
    }
}

fn all_done(peer: &cluster::Peer) -> Vec<Done> {
    let mut seen: BTreeMap<AgentId, VectorClock> = BTreeMap::new();
    let mut done = Vec::new();
    for batch in peer.replica.history().in_order() {
        let batch = batch.batch();
        let seen = seen.entry(batch.agent.clone()).or_default();
        batch.seen.iter().for_each(|(agent, seq)| seen.raise(agent, *seq).unwrap());
        for (index, operation) in batch.operations.iter().enumerate() {
            let (stamp, operation) = (batch.stamp(index), operation.clone());
            done.push(Done { stamp, seen: seen.clone(), operation });
        }
    }
    done
}

/// What counts of a register: the writes that no other write had seen, the greatest last.
fn register<T>(done: &[Done], write: impl Fn(&Done) -> Option<T>) -> Vec<T> {
    let writes: Vec<(&Done, T)> =
        done.iter().filter_map(|done| Some((done, write(done)?))).collect();
    let kept: Vec<bool> =
        writes.iter().map(|(one, _)| !writes.iter().any(|(other, _)| other.saw(one))).collect();
    let mut unseen: Vec<_> =
        writes.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(write, _)| write).collect();
    unseen.sort_by_key(|(done, _)| (done.stamp.lamport, done.stamp.actor.clone()));
    unseen.into_iter().map(|(_, value)| value).collect()
}

fn set<'a>(
    done: &'a [Done],
    item: &Name,
    added: impl Fn(&'a Change) -> Option<String>,
    removed: impl Fn(&'a Change) -> Option<String>,
) -> Vec<String> {
    let mut members = BTreeSet::new();
    for add in done {
        for member in add.changes(item).into_iter().filter_map(&added) {
            let gone = done.iter().any(|other| {
                other.saw(add)
                    && other.changes(item).into_iter().filter_map(&removed).any(|m| m == member)
            });
            if !gone {
                members.insert(member);
            }
        }
    }
    members.into_iter().collect()
}

fn check(document: &Document, done: &[Done], seed: u64) {
    let items: BTreeSet<Name> = done
        .iter()
        .filter_map(|done| match &done.operation {
            Operation::AddItem { item, .. } => Some(item.clone()),
            _ => None,
        })
        .collect();
    assert!(!items.is_empty());
    for id in items {
        let is_there = done.iter().any(|edit| {
            edit.edits(&id) && !done.iter().any(|other| other.deletes(&id) && other.saw(edit))
        });
        let item = document.item(&id);
        assert_eq!(item.is_some(), is_there, "seed {seed}: {id}");
        let Some(item) = item else { continue };
        let last = |pick: fn(&Change) -> bool| {
            let id = id.clone();
            register(done, move |d| d.changes(&id).into_iter().rfind(|c| pick(c)).cloned())
        };
        let titles = last(|c| matches!(c, Change::Title(_)));
        let title = Change::Title(item.title.as_str().into());
        assert_eq!(titles.last(), Some(&title), "seed {seed}: {id}");
        let text = last(|c| matches!(c, Change::Description(_)));
        let text = text.last().cloned().unwrap_or(Change::Description("".into()));
        assert_eq!(text, Change::Description(item.description.as_str().into()));
        let estimate = last(|c| matches!(c, Change::EstimatedMinutes(_)));
        let estimate = estimate.last().cloned().unwrap_or(Change::EstimatedMinutes(None));
        assert_eq!(estimate, Change::EstimatedMinutes(item.estimated_minutes));

        let status = register(done, |d| match &d.operation {
            Operation::UpdateStatus { item, status } if *item == id => Some(*status),
            _ => None,
        });
        let status = status.last().copied().unwrap_or_default();
        assert_eq!(item.status, status, "seed {seed}: {id}");
        let who = register(done, |d| match &d.operation {
            Operation::AssignItem { item, to } if *item == id => Some(to.clone()),
            _ => None,
        });
        assert_eq!(item.assigned_to, who.last().cloned().flatten(), "seed {seed}: {id}");

        let tags = set(
            done,
            &id,
            |c| match c {
                Change::AddTag(tag) => Some(tag.to_string()),
                _ => None,
            },
            |c| match c {
                Change::RemoveTag(tag) => Some(tag.to_string()),
                _ => None,
            },
        );
        assert_eq!(item.tags, tags, "seed {seed}: {id}");
        let waits = set(
            done,
            &id,
            |c| match c {
                Change::AddDependency(on) => Some(on.to_string()),
                _ => None,
            },
            |c| match c {
                Change::RemoveDependency(on) => Some(on.to_string()),
                _ => None,
            },
        );
        let dependencies: Vec<_> = item.dependencies.iter().map(ToString::to_string).collect();
        assert_eq!(dependencies, waits, "seed {seed}: {id}");

        let notes = done
            .iter()
            .filter(|d| matches!(&d.operation, Operation::AddNote { item, .. } if *item == id));
        assert_eq!(item.notes.len(), notes.count(), "seed {seed}: {id}");
        let mut shares: BTreeMap<&AgentId, (u64, u64)> = BTreeMap::new();
        for done in done {
            for change in done.changes(&id) {
                if let Change::ActualMinutes { up, .. } = change {
                    let share = shares.entry(&done.stamp.actor).or_default();
                    *share = (*share).max((done.stamp.lamport, *up));
                }
            }
        }
        let minutes = (!shares.is_empty()).then(|| shares.values().map(|(_, up)| up).sum());
        assert_eq!(item.actual_minutes, minutes, "seed {seed}: {id}");

        // Concurrent titles are told exactly where they differ.
        let conflicts = document.conflicts_of(&id, 1);
        let told = conflicts.iter().any(|conflict| {
            conflict.kind == ConflictKind::WriteWrite && conflict.field.as_deref() == Some("title")
        });
        assert_eq!(told, titles.iter().any(|other| *other != title), "seed {seed}: {id}");
    }
}

#[test]
fn documents_are_what_their_batches_mean() {
    let rough = Roughness { replicas: 4, steps: 80, drop: 0.4, duplicate: 0.1, offline: 0.2 };
    for seed in 500_000..500_000 + scaled(120, 3_000) {
        let peers = run(seed, rough);
        check(peers[0].replica.document(), &all_done(&peers[0]), seed);
    }
}
