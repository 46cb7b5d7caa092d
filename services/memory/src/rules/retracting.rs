//! Taking back: an entry, and everything that derives from it; and deleting.

use std::collections::BTreeSet;

use troupe_contract::memory::{DeletionReceipt, RetractMemoryReply};
use troupe_domain::memory::{MemoryId, MemoryStatus, Namespace};
use troupe_domain::{AgentId, Code, Fault, Timestamp};

use super::entry::{Entry, salted};
use super::record::{Deleted, What};
use super::state::MemoryState;

/// Entries and readers that one answer or event names.
pub const MAX_NAMED: usize = 64;
/// Readers who are told of one retraction.
const MAX_TOLD_READERS: usize = 1_024;
/// Readers who wait to be told; of more, the later ones find out when they read again.
const MAX_TELLINGS: usize = 65_536;

impl MemoryState {
    /// Takes an entry back, and everything that derives from it.
    pub(super) fn retract(
        &mut self,
        namespace: &Namespace,
        root: &MemoryId,
        reason: String,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<RetractMemoryReply, Fault> {
        let known = self.entry(namespace, root)?;
        if let Some(retraction) = &known.memory.retraction
            && retraction.root == *root
        {
            // It was done before.
            return Ok(self.retracted(namespace, root));
        }
        let space = self.space_of(namespace, root)?;
        let mut readers: BTreeSet<AgentId> = BTreeSet::new();
        let mut ids = Vec::new();
        for id in space.derived(root) {
            let Some(entry) = space.get(&id) else { continue };
            if entry.memory.status == MemoryStatus::Retracted && id != *root {
                continue;
            }
            readers.extend(entry.readers.iter().filter(|reader| *reader != by).cloned());
            let author = &entry.memory.provenance.author;
            if author != by {
                readers.insert(author.clone());
            }
            ids.push(id);
        }
        let room = MAX_TELLINGS.saturating_sub(self.tellings.len()).min(MAX_TOLD_READERS);
        let readers = readers.into_iter().take(room).collect();
        let what = What::Retracted { root: root.clone(), by: by.clone(), reason, ids, readers };
        self.draft(Some(namespace), now, what);
        Ok(self.retracted(namespace, root))
    }

    fn retracted(&self, namespace: &Namespace, root: &MemoryId) -> RetractMemoryReply {
        let mut affected: Vec<MemoryId> = Vec::new();
        let mut readers: BTreeSet<AgentId> = BTreeSet::new();
        if let Some(space) = self.space(namespace) {
            for id in space.derived(root) {
                let Some(entry) = space.get(&id) else { continue };
                if entry.memory.retraction.as_ref().is_some_and(|r| r.root == *root) {
                    readers.extend(entry.readers.iter().cloned());
                    affected.extend((id != *root).then_some(id));
                }
            }
        }
        RetractMemoryReply {
            id: root.clone(),
            namespace: namespace.clone(),
            affected: affected.len() as u64,
            affected_ids: affected.into_iter().take(MAX_NAMED).collect(),
            readers: readers.into_iter().take(MAX_NAMED).collect(),
        }
    }

    /// Deletes an entry: its author may, and who is named as an admin.
    pub(super) fn delete(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        reason: Option<String>,
        by: &AgentId,
        salt: String,
        now: Timestamp,
    ) -> Result<DeletionReceipt, Fault> {
        if let Some(tombstone) = self.space(namespace).and_then(|space| space.tombstone(id)) {
            // It was done before.
            return Ok(tombstone.receipt(id, namespace));
        }
        let entry = self.entry(namespace, id)?;
        if entry.memory.provenance.author != *by && !self.settings.admins.contains(by) {
            let why = "only its author, and those whom the configuration names as admins, delete a memory";
            return Err(Fault::new(Code::PermissionDenied, why));
        }
        let what = entry.deleted(by, reason, salt);
        self.draft(Some(namespace), now, what);
        self.deletion(namespace, id)
    }

    /// The proof of a deletion.
    pub(super) fn deletion(
        &self,
        namespace: &Namespace,
        id: &MemoryId,
    ) -> Result<DeletionReceipt, Fault> {
        let none = || Fault::not_found("deletion", id).with("namespace", namespace.as_str());
        let space = self.space(namespace).ok_or_else(none)?;
        space.tombstone(id).map(|tombstone| tombstone.receipt(id, namespace)).ok_or_else(none)
    }
}

impl Entry {
    /// Its deletion, as the log keeps it.
    pub(super) fn deleted(&self, by: &AgentId, reason: Option<String>, salt: String) -> What {
        What::Deleted(Box::new(Deleted {
            id: self.memory.id.clone(),
            by: by.clone(),
            reason,
            digest: salted(&salt, &self.sha256),
            salt,
            copies: self.copies.clone(),
        }))
    }
}
