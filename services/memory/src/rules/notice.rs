//! Notices: the events of memory, as they are derived from what happened. None carries content.

use troupe_contract::event::{MEMORY, MemoryEvent, MemoryEventKind};
use troupe_domain::memory::{MemoryId, MemoryStatus, Retraction};
use troupe_domain::{AgentId, Timestamp};
use troupe_shard::Notice;

use super::entry::Entry;
use super::retracting::MAX_NAMED;

fn event(entry: &Entry, event: MemoryEventKind, at: Timestamp) -> MemoryEvent {
    let memory = &entry.memory;
    MemoryEvent {
        event,
        memory_id: memory.id.clone(),
        namespace: memory.namespace.clone(),
        memory_type: memory.memory_type,
        status: memory.status,
        trust_level: memory.trust_level,
        tier: memory.tier,
        revision: memory.revision,
        at,
        by: None,
        reason: None,
        others: Vec::new(),
        readers: Vec::new(),
    }
}

fn notice(event: &MemoryEvent, entry: &Entry) -> Notice {
    Notice {
        entity: MEMORY,
        id: event.memory_id.clone(),
        event: event.event.token(),
        at: event.at,
        trace: entry.memory.provenance.trace.clone(),
        // A tree of plain fields always serialises.
        body: serde_json::to_vec(event).unwrap_or_default().into(),
        told: None,
    }
}

/// Something was remembered.
pub fn created(entry: &Entry, at: Timestamp) -> Notice {
    let by = Some(entry.memory.provenance.author.clone());
    notice(&MemoryEvent { by, ..event(entry, MemoryEventKind::MemoryCreated, at) }, entry)
}

/// An entry was changed.
pub fn updated(entry: &Entry, by: &AgentId, at: Timestamp) -> Notice {
    let by = Some(by.clone());
    notice(&MemoryEvent { by, ..event(entry, MemoryEventKind::MemoryUpdated, at) }, entry)
}

/// A later entry says it better.
pub fn superseded(entry: &Entry, by: &AgentId, at: Timestamp) -> Notice {
    let told = MemoryEvent {
        by: Some(by.clone()),
        reason: Some("superseded".to_owned()),
        others: entry.memory.superseded_by.iter().cloned().collect(),
        ..event(entry, MemoryEventKind::MemoryUpdated, at)
    };
    notice(&told, entry)
}

/// Its text tries to instruct its reader.
pub fn quarantined(entry: &Entry, at: Timestamp) -> Notice {
    let told = MemoryEvent {
        by: Some(entry.memory.provenance.author.clone()),
        reason: Some(entry.memory.quarantine.join(", ")),
        ..event(entry, MemoryEventKind::MemoryQuarantined, at)
    };
    notice(&told, entry)
}

/// It says the opposite of others.
pub fn conflicted(entry: &Entry, at: Timestamp) -> Notice {
    let others = entry.memory.conflicts_with.clone();
    notice(&MemoryEvent { others, ..event(entry, MemoryEventKind::MemoryConflicted, at) }, entry)
}

/// Somebody said how far it is to be believed.
pub fn verified(entry: &Entry, by: &AgentId, reason: Option<&str>, at: Timestamp) -> Notice {
    let told = MemoryEvent {
        by: Some(by.clone()),
        reason: reason.map(str::to_owned),
        ..event(entry, MemoryEventKind::MemoryVerified, at)
    };
    notice(&told, entry)
}

/// It was taken back, with others.
pub fn retracted(
    entry: &Entry,
    retraction: &Retraction,
    others: &[MemoryId],
    readers: &[AgentId],
) -> Notice {
    let told = MemoryEvent {
        by: Some(retraction.by.clone()),
        reason: Some(retraction.reason.clone()),
        others: others.iter().take(MAX_NAMED).cloned().collect(),
        readers: readers.iter().take(MAX_NAMED).cloned().collect(),
        ..event(entry, MemoryEventKind::MemoryRetracted, retraction.at)
    };
    notice(&told, entry)
}

/// Its content moved to another tier.
pub fn moved(entry: &Entry, at: Timestamp) -> Notice {
    notice(&event(entry, MemoryEventKind::MemoryMoved, at), entry)
}

/// Its copy in the cold tier was damaged, and its content was found elsewhere.
pub fn recovered(entry: &Entry, at: Timestamp) -> Notice {
    let reason = Some("recovered".to_owned());
    notice(&MemoryEvent { reason, ..event(entry, MemoryEventKind::MemoryMoved, at) }, entry)
}

/// Its copy in the cold tier is damaged.
pub fn damaged(entry: &Entry, reason: &str, at: Timestamp) -> Notice {
    let reason = Some(reason.to_owned());
    notice(&MemoryEvent { reason, ..event(entry, MemoryEventKind::MemoryDamaged, at) }, entry)
}

/// It was deleted.
pub fn deleted(entry: &Entry, by: &AgentId, reason: Option<&str>, at: Timestamp) -> Notice {
    let told = MemoryEvent {
        by: Some(by.clone()),
        reason: reason.map(str::to_owned),
        status: MemoryStatus::Deleted,
        ..event(entry, MemoryEventKind::MemoryDeleted, at)
    };
    notice(&told, entry)
}

/// It deleted itself.
pub fn expired(entry: &Entry, at: Timestamp) -> Notice {
    let told = MemoryEvent {
        reason: Some("expired".to_owned()),
        status: MemoryStatus::Deleted,
        ..event(entry, MemoryEventKind::MemoryDeleted, at)
    };
    notice(&told, entry)
}
