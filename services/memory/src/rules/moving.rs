//! What comes in without being asked for one by one: imports, what was learned, what expires.

use std::collections::BTreeMap;

use troupe_contract::memory::{ImportReply, RefusedImport};
use troupe_domain::memory::{AgentOutcome, Memory, MemoryId, MemoryTier, Namespace, TrustLevel};
use troupe_domain::{AgentId, Fault, Timestamp};

use super::record::{Created, Heard, What};
use super::request::NewMemory;
use super::state::MemoryState;

impl MemoryState {
    /// Takes exported entries in. Those that are there, or were deleted here, stay as they are.
    ///
    /// An export is no witness: what it says of trust counts where an admin brings it, and is
    /// untrusted otherwise, unless the importer wrote it.
    pub(super) fn import(
        &mut self,
        namespace: &Namespace,
        memories: Vec<Memory>,
        by: &AgentId,
        now: Timestamp,
    ) -> ImportReply {
        let mut reply = ImportReply { imported: 0, skipped: 0, refused: Vec::new() };
        let is_admin = self.settings.admins.contains(by);
        for memory in memories {
            let id = memory.id.clone();
            let known = self.space(namespace);
            let is_known =
                known.is_some_and(|s| s.get(&id).is_some() || s.tombstone(&id).is_some());
            if is_known {
                reply.skipped += 1;
                continue;
            }
            match self.imported(namespace, memory, by, is_admin, now) {
                Ok(()) => reply.imported += 1,
                Err(fault) => {
                    reply.refused.push(RefusedImport { id, reason: fault.message });
                }
            }
        }
        reply
    }

    fn imported(
        &mut self,
        namespace: &Namespace,
        mut memory: Memory,
        by: &AgentId,
        is_admin: bool,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let content = memory.content.as_deref().unwrap_or_default();
        self.has_room(namespace, content.len())?;
        if memory.expires_at.is_some_and(|at| at <= now) {
            return Err(Fault::precondition("it has expired"));
        }
        memory.namespace = namespace.clone();
        memory.tier = MemoryTier::Warm;
        if !memory.quarantine.is_empty() && !is_admin {
            memory.trust_level = TrustLevel::Quarantined;
        } else if !is_admin && memory.provenance.author != *by {
            memory.trust_level = memory.trust_level.min(TrustLevel::Untrusted);
            memory.verified_by = None;
        } else if !is_admin {
            memory.trust_level = memory.trust_level.min(TrustLevel::Trusted);
            memory.verified_by = None;
        }
        let previous = self.space(namespace).and_then(|space| space.previous(&memory)).cloned();
        let created = Created { memory, previous, supersedes: None };
        self.draft(Some(namespace), now, What::Created(Box::new(created)));
        Ok(())
    }

    /// Remembers what happened, unless that part of the events is known.
    pub(super) fn learn(
        &mut self,
        memories: Vec<NewMemory>,
        outcomes: Vec<AgentOutcome>,
        heard: Heard,
        now: Timestamp,
    ) {
        let is_known = self.heard.is_some_and(|before| {
            before.stream_made_at == heard.stream_made_at && before.sequence >= heard.sequence
        });
        if is_known {
            return;
        }
        for new in memories {
            let id = new.memory.id.clone();
            if let Err(fault) = self.create(new, now) {
                tracing::debug!(%fault, %id, "what happened is not remembered");
            }
        }
        if !outcomes.is_empty() {
            self.draft(None, now, What::Outcomes { outcomes });
        }
        self.draft(None, now, What::Heard(heard));
    }

    /// Entries delete themselves.
    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) {
        let mut due: BTreeMap<Namespace, Vec<MemoryId>> = BTreeMap::new();
        for _ in 0..limit {
            if self.expiries.first().is_none_or(|(at, ..)| *at > now) {
                break;
            }
            let Some((_, namespace, id)) = self.expiries.pop_first() else { break };
            due.entry(namespace).or_default().push(id);
        }
        for (namespace, ids) in due {
            self.draft(Some(&namespace), now, What::Expired { ids });
        }
    }
}
