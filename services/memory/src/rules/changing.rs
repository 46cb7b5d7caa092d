//! Changing what is there: corrections by the author, verdicts by others, quotas.

use troupe_contract::memory::{MemoryReceipt, NamespaceInfo, UpdateMemoryRequest};
use troupe_domain::memory::{MemoryId, MemorySource, MemoryStatus, Namespace, TrustLevel};
use troupe_domain::{AgentId, Code, Fault, Timestamp};

use super::entry::sha256_of;
use super::record::{Updated, What};
use super::state::MemoryState;

impl MemoryState {
    /// Changes an entry, if its author asks and it is as the author has read it.
    pub(super) fn update(
        &mut self,
        namespace: &Namespace,
        update: UpdateMemoryRequest,
        quarantine: Vec<String>,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<MemoryReceipt, Fault> {
        let entry = self.entry(namespace, &update.id)?;
        if entry.memory.provenance.author != *by {
            let why = "only its author changes a memory; supersede it with one of your own";
            return Err(Fault::new(Code::PermissionDenied, why));
        }
        if entry.memory.revision != update.revision {
            let why = format!("the memory is at revision {}", entry.memory.revision);
            return Err(Fault::new(Code::Conflict, why).with("revision", entry.memory.revision));
        }
        if entry.memory.status == MemoryStatus::Retracted {
            return Err(Fault::precondition("the memory was taken back"));
        }
        let content = update.content.filter(|content| sha256_of(content) != entry.sha256);
        let trust_level = match (&content, &entry.memory.provenance.source) {
            (None, _) => entry.memory.trust_level,
            (Some(_), _) if !quarantine.is_empty() => TrustLevel::Quarantined,
            (Some(_), MemorySource::External { .. }) => TrustLevel::Untrusted,
            // What was verified was another content.
            (Some(_), _) => self.trust_of_parents(namespace, &update.id),
        };
        let more = content.as_deref().map_or(0, str::len);
        let (bytes, known) = (entry.content_bytes, entry.resident_bytes());
        if more > bytes {
            self.may_grow(namespace, more - bytes)?;
        } else if known == 0 && more > 0 {
            self.may_grow(namespace, 0)?;
        }
        let is_rewritten = content.is_some();
        let updated = Updated {
            id: update.id.clone(),
            by: by.clone(),
            quarantine: if is_rewritten { quarantine } else { Vec::new() },
            content,
            trust_level,
            importance: update.importance,
            tags: update.tags,
            expires_at: update.ttl_ms.map(|ttl| now.plus_millis(ttl)),
        };
        self.draft(Some(namespace), now, What::Updated(Box::new(updated)));
        if is_rewritten {
            self.compare(namespace, &update.id, now);
        }
        self.receipt(namespace, &update.id, false)
    }

    fn trust_of_parents(&self, namespace: &Namespace, id: &MemoryId) -> TrustLevel {
        let Some(space) = self.space(namespace) else { return TrustLevel::Trusted };
        let parents = space.get(id).map(|entry| &entry.memory.provenance.derived_from);
        let known = parents.into_iter().flatten().filter_map(|parent| space.get(parent));
        let trusts = known.map(|parent| parent.memory.trust_level.max(TrustLevel::Untrusted));
        trusts.min().unwrap_or(TrustLevel::Trusted).min(TrustLevel::Trusted)
    }

    /// Whether a namespace may hold so many bytes more.
    fn may_grow(&self, namespace: &Namespace, bytes: usize) -> Result<(), Fault> {
        match self.has_room(namespace, bytes) {
            Err(fault) if fault.details["limit"] == "max_entries_per_namespace" => Ok(()),
            result => result,
        }
    }

    /// Somebody other than its author says how far an entry is to be believed.
    pub(super) fn verify(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        trust_level: TrustLevel,
        reason: Option<String>,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<MemoryReceipt, Fault> {
        let entry = self.entry(namespace, id)?;
        if entry.memory.provenance.author == *by {
            let why = "the author of a memory cannot verify it";
            return Err(Fault::new(Code::PermissionDenied, why));
        }
        if entry.memory.status == MemoryStatus::Retracted {
            return Err(Fault::precondition("the memory was taken back"));
        }
        let verified = What::Verified { id: id.clone(), by: by.clone(), trust_level, reason };
        self.draft(Some(namespace), now, verified);
        self.receipt(namespace, id, false)
    }

    /// Says how much a namespace may hold.
    pub(super) fn put_quota(
        &mut self,
        namespace: &Namespace,
        max_entries: Option<u64>,
        max_bytes: Option<u64>,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<NamespaceInfo, Fault> {
        if !self.settings.admins.contains(by) {
            let why = "only those whom the configuration names as admins set quotas";
            return Err(Fault::new(Code::PermissionDenied, why));
        }
        if self.space(namespace).is_none() && self.space_count() >= self.settings.max_namespaces {
            return Err(Fault::exhausted("max_namespaces", self.settings.max_namespaces));
        }
        self.draft(Some(namespace), now, What::Quota { max_entries, max_bytes });
        let none = || Fault::not_found("namespace", namespace);
        self.namespaces().into_iter().find(|info| info.namespace == *namespace).ok_or_else(none)
    }
}
