//! Snapshots: everything that does not follow from something else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_domain::{AgentId, Timestamp};

use super::entry::Entry;
use super::history::Track;
use super::record::{Heard, Telling};
use super::space::Quota;
use super::state::MemoryState;
use super::tombstone::Tombstone;

/// One line of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotLine {
    /// What is of the whole shard.
    Shard {
        /// The digest of the model that made the vectors.
        model: Option<String>,
        /// Readers that were or are to be told.
        told: u64,
        /// How far the events were learned from.
        heard: Option<Heard>,
    },
    /// What an agent achieved. One a line: a line must fit into a message.
    Track {
        /// Who.
        agent: AgentId,
        /// What.
        track: Track,
    },
    /// A namespace.
    Space {
        /// Its name.
        namespace: Namespace,
        /// What it may hold.
        quota: Quota,
        /// When it was last written to.
        updated_at: Option<Timestamp>,
    },
    /// An entry.
    Entry(Arc<Entry>),
    /// The proof of a deletion.
    Tombstone {
        /// Where.
        namespace: Namespace,
        /// Of which entry.
        id: MemoryId,
        /// The proof.
        tombstone: Tombstone,
    },
    /// A reader who is to be told.
    Telling(Telling),
}

impl MemoryState {
    /// The lines of a snapshot; what is large is shared and not copied.
    pub(super) fn snapshot_lines(&self) -> Vec<SnapshotLine> {
        let shard =
            SnapshotLine::Shard { model: self.model.clone(), told: self.told, heard: self.heard };
        let mut lines = vec![shard];
        lines.extend(
            self.tracks
                .iter()
                .map(|(agent, track)| SnapshotLine::Track { agent: agent.clone(), track: *track }),
        );
        for (namespace, space) in &self.spaces {
            lines.push(SnapshotLine::Space {
                namespace: namespace.clone(),
                quota: space.quota,
                updated_at: space.updated_at,
            });
            lines.extend(space.entries().cloned().map(SnapshotLine::Entry));
            lines.extend(space.tombstones().iter().map(|(id, tombstone)| {
                SnapshotLine::Tombstone {
                    namespace: namespace.clone(),
                    id: id.clone(),
                    tombstone: tombstone.clone(),
                }
            }));
        }
        lines.extend(self.tellings.values().cloned().map(SnapshotLine::Telling));
        lines
    }

    /// Takes one line.
    pub(super) fn restore_line(&mut self, line: SnapshotLine) {
        match line {
            SnapshotLine::Shard { model, told, heard } => {
                (self.model, self.told, self.heard) = (model, told, heard);
            }
            SnapshotLine::Track { agent, track } => self.tracks.put(agent, track),
            SnapshotLine::Space { namespace, quota, updated_at } => {
                let space = self.spaces.entry(namespace).or_default();
                (space.quota, space.updated_at) = (quota, updated_at);
            }
            SnapshotLine::Entry(entry) => {
                let (namespace, id) = (entry.memory.namespace.clone(), entry.memory.id.clone());
                if let Some(expires_at) = entry.memory.expires_at {
                    self.expiries.insert((expires_at, namespace.clone(), id));
                }
                self.spaces.entry(namespace).or_default().put(entry);
            }
            SnapshotLine::Tombstone { namespace, id, tombstone } => {
                self.spaces.entry(namespace).or_default().bury(id, tombstone);
            }
            SnapshotLine::Telling(telling) => {
                self.tellings.insert(telling.number, telling);
            }
        }
    }
}
