//! Remembering: what is new, what was said before, and what contradicts what.
//!
//! Invariants: nothing is merged silently and nothing that is believed less takes the place of what is
//! believed more; whoever is written twice under one idempotency key is written once.

use std::sync::Arc;

use troupe_contract::memory::MemoryReceipt;
use troupe_domain::memory::{
    Memory, MemoryId, MemorySource, MemoryStatus, MemoryTier, MemoryType, Namespace, TrustLevel,
};
use troupe_domain::{Code, Fault, Timestamp};
use troupe_recall::Relation;

use super::entry::{Entry, MAX_CONFLICTS, may_contradict, sha256_of};
use super::record::{Created, What};
use super::request::NewMemory;
use super::state::MemoryState;

impl MemoryState {
    /// Remembers something.
    pub(super) fn create(
        &mut self,
        new: NewMemory,
        now: Timestamp,
    ) -> Result<MemoryReceipt, Fault> {
        let NewMemory { mut memory, supersedes, keyed } = new;
        let namespace = memory.namespace.clone();
        if let Some(known) = self.known(&memory, keyed)? {
            return Ok(known);
        }
        let trust = self.trust(&memory)?;
        (memory.trust_level, memory.status) = (trust, MemoryStatus::Active);
        if let Some(earlier) = &supersedes {
            self.may_supersede(&namespace, earlier, &memory)?;
        }
        let is_plain = supersedes.is_none() && memory.provenance.derived_from.is_empty();
        if is_plain && let Some(same) = self.said_before(&memory) {
            let by = memory.provenance.author.clone();
            self.draft(Some(&namespace), now, What::Said { id: same.clone(), by });
            return self.receipt(&namespace, &same, false);
        }
        self.has_room(&namespace, memory.content.as_deref().map_or(0, str::len))?;
        if memory.memory_type == MemoryType::Working {
            let until = now.plus_millis(self.settings.working_ttl_ms);
            memory.expires_at.get_or_insert(until);
            // It is read again soon, or never.
            memory.tier = MemoryTier::Hot;
        }
        let previous = self.space(&namespace).and_then(|s| s.previous(&memory)).cloned();
        let id = memory.id.clone();
        let created = Created { memory, previous, supersedes };
        self.draft(Some(&namespace), now, What::Created(Box::new(created)));
        self.compare(&namespace, &id, now);
        self.receipt(&namespace, &id, true)
    }

    /// The receipt of a write that was carried out before.
    fn known(&self, memory: &Memory, keyed: bool) -> Result<Option<MemoryReceipt>, Fault> {
        let Some(space) = self.space(&memory.namespace) else { return Ok(None) };
        if space.tombstone(&memory.id).is_some() {
            return Err(Fault::precondition(format!("the memory {} was deleted", memory.id)));
        }
        let Some(known) = space.get(&memory.id) else { return Ok(None) };
        let content = memory.content.as_deref().unwrap_or_default();
        let is_same = keyed
            && known.memory.provenance.author == memory.provenance.author
            && (known.memory.revision > 1 || known.sha256 == sha256_of(content));
        if is_same {
            return self.receipt(&memory.namespace, &memory.id, true).map(Some);
        }
        let why = "another memory was created under the same idempotency key";
        Err(Fault::new(Code::AlreadyExists, why).with("id", memory.id.as_str()))
    }

    /// How far a new entry is believed: never more than what it rests on.
    fn trust(&self, memory: &Memory) -> Result<TrustLevel, Fault> {
        let mut trust = match &memory.provenance.source {
            _ if !memory.quarantine.is_empty() => TrustLevel::Quarantined,
            MemorySource::External { .. } => TrustLevel::Untrusted,
            _ => TrustLevel::Trusted,
        };
        for parent in &memory.provenance.derived_from {
            let known = self.space(&memory.namespace).and_then(|space| space.get(parent));
            let known = known.ok_or_else(|| {
                Fault::not_found("memory", parent)
                    .with("field", "derived_from")
                    .with("namespace", memory.namespace.as_str())
            })?;
            if known.memory.status == MemoryStatus::Retracted {
                let why = format!("the memory {parent}, which this one rests on, was taken back");
                return Err(Fault::precondition(why).with("field", "derived_from"));
            }
            trust = trust.min(known.memory.trust_level.max(TrustLevel::Untrusted));
        }
        Ok(trust)
    }

    fn may_supersede(
        &self,
        namespace: &Namespace,
        earlier: &MemoryId,
        memory: &Memory,
    ) -> Result<(), Fault> {
        let known = self.entry(namespace, earlier).map_err(|f| f.with("field", "supersedes"))?;
        if !known.memory.status.is_searched() {
            let status = known.memory.status.as_str();
            let why = format!("the memory {earlier} is {status} and cannot be superseded");
            return Err(Fault::precondition(why).with("field", "supersedes"));
        }
        let is_own = known.memory.provenance.author == memory.provenance.author;
        if memory.trust_level < known.memory.trust_level && !is_own {
            let why = "what is believed less cannot supersede what is believed more";
            return Err(Fault::new(Code::PermissionDenied, why).with("field", "supersedes"));
        }
        Ok(())
    }

    /// What counts and says exactly this, believed at least as far.
    fn said_before(&self, memory: &Memory) -> Option<MemoryId> {
        if memory.memory_type == MemoryType::Working {
            return None;
        }
        let sha256 = sha256_of(memory.content.as_deref()?);
        let same = self.space(&memory.namespace)?.same(memory.memory_type, &sha256)?;
        (same.memory.trust_level >= memory.trust_level).then(|| same.memory.id.clone())
    }

    /// Whether a namespace may grow by one entry with so many bytes.
    pub(super) fn has_room(&self, namespace: &Namespace, bytes: usize) -> Result<(), Fault> {
        let exhausted = |limit: &str, allowed: u64| {
            Fault::exhausted(limit, allowed as usize).with("namespace", namespace.as_str())
        };
        let Some(space) = self.space(namespace) else {
            if self.space_count() >= self.settings.max_namespaces {
                return Err(exhausted("max_namespaces", self.settings.max_namespaces as u64));
            }
            return Ok(());
        };
        let settings = &self.settings;
        let max_entries = space.quota.max_entries.unwrap_or(settings.max_entries_per_namespace);
        if space.len() as u64 >= max_entries {
            return Err(exhausted("max_entries_per_namespace", max_entries));
        }
        let max_bytes = space.quota.max_bytes.unwrap_or(settings.max_bytes_per_namespace);
        if (space.bytes().0 + bytes) as u64 > max_bytes {
            return Err(exhausted("max_bytes_per_namespace", max_bytes));
        }
        let max_resident = settings.max_resident_bytes;
        if self.bytes().1 + bytes > max_resident {
            return Err(exhausted("max_resident_bytes", max_resident as u64));
        }
        Ok(())
    }

    /// Finds what says nearly the same as an entry, or the opposite, and links them.
    pub(super) fn compare(&mut self, namespace: &Namespace, id: &MemoryId, now: Timestamp) {
        let Some(space) = self.space(namespace) else { return };
        let Some(entry) = space.get(id).filter(|entry| entry.counts()).cloned() else { return };
        let (Some(slot), Some(content)) = (space.slot(id), entry.content()) else { return };
        let kind = entry.memory.memory_type;
        if kind == MemoryType::Working {
            return;
        }
        let near = space.index.near(
            content,
            entry.vector.as_ref(),
            &self.settings.near,
            |other| {
                other != slot && space.at(other).is_some_and(|other| is_comparable(&entry, other))
            },
            |other| space.at(other).and_then(|other| other.content()).map(str::to_owned),
        );
        let mut links = Vec::new();
        for near in near {
            let Some(other) = space.at(near.key).map(|other| other.memory.id.clone()) else {
                continue;
            };
            match near.relation {
                Relation::Duplicate if entry.memory.duplicate_of.is_none() => {
                    let linked = |what: &What| matches!(what, What::Linked { .. });
                    if !links.iter().any(linked) {
                        links.push(What::Linked { id: id.clone(), of: other });
                    }
                }
                Relation::Contradiction(_)
                    if may_contradict(kind)
                        && !entry.memory.conflicts_with.contains(&other)
                        && entry.memory.conflicts_with.len() < MAX_CONFLICTS =>
                {
                    links.push(What::Conflicted { id: id.clone(), against: other });
                }
                _ => {}
            }
        }
        for link in links {
            self.draft(Some(namespace), now, link);
        }
    }

    /// What became of a write.
    pub(super) fn receipt(
        &self,
        namespace: &Namespace,
        id: &MemoryId,
        created: bool,
    ) -> Result<MemoryReceipt, Fault> {
        let memory = &self.entry(namespace, id)?.memory;
        Ok(MemoryReceipt {
            id: memory.id.clone(),
            namespace: memory.namespace.clone(),
            revision: memory.revision,
            created,
            status: memory.status,
            trust_level: memory.trust_level,
            duplicate_of: memory.duplicate_of.clone(),
            conflicts_with: memory.conflicts_with.clone(),
            quarantine: memory.quarantine.clone(),
            expires_at: memory.expires_at,
        })
    }
}

/// Whether two entries can say the same or the opposite: of one kind, both count, and the other was
/// there first.
fn is_comparable(entry: &Entry, other: &Arc<Entry>) -> bool {
    let (one, other_memory) = (&entry.memory, &other.memory);
    other.counts()
        && one.memory_type == other_memory.memory_type
        && one.superseded_by.is_none()
        && other_memory.conflicts_with.len() < MAX_CONFLICTS
        && (other_memory.created_at, &other_memory.id) < (one.created_at, &one.id)
        && !one.provenance.derived_from.contains(&other_memory.id)
}
