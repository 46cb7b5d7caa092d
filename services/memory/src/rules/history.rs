//! What agents achieved: counted from what happened, once for each event.
//!
//! Invariant: the counts are stored with how far the events were heard, so that they are right after a
//! takeover, whatever became of the entries that were made of the same events.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use troupe_contract::memory::{Alike, TrackRecord};
use troupe_domain::memory::{AgentOutcome, MemoryDetails, TrustLevel};
use troupe_domain::{AgentId, Timestamp};

use super::entry::Entry;
use super::request::{MemoryAnswer, Searching};
use super::state::MemoryState;

/// Agents whose achievements are kept; those heard of longest ago go first.
const MAX_TRACKED_AGENTS: usize = 65_536;
/// Agents that go at once when there are too many.
const FORGOTTEN_AT_ONCE: usize = 1_024;
/// Entries that are looked at to tell what somebody achieved at things that are alike.
pub const MAX_ALIKE: usize = 64;
/// What is less alike than this, where 1 is the most alike, says nothing.
const MIN_ALIKE: f64 = 0.5;

/// What one agent achieved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// How often it went well.
    pub succeeded: u64,
    /// How often it did not.
    pub failed: u64,
    /// When something was last heard.
    pub last_at: Timestamp,
}

/// What all agents achieved.
#[derive(Debug, Default)]
pub struct Tracks(BTreeMap<AgentId, Track>);

impl Tracks {
    /// One agent's.
    pub fn get(&self, agent: &AgentId) -> Track {
        self.0.get(agent).copied().unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&AgentId, &Track)> {
        self.0.iter()
    }

    /// From a snapshot.
    pub(super) fn put(&mut self, agent: AgentId, track: Track) {
        self.0.insert(agent, track);
    }

    /// Counts what happened.
    pub(super) fn count(&mut self, outcomes: &[AgentOutcome], at: Timestamp) {
        for outcome in outcomes {
            let track = self.0.entry(outcome.agent_id.clone()).or_default();
            *(if outcome.success { &mut track.succeeded } else { &mut track.failed }) += 1;
            track.last_at = at;
        }
        if self.0.len() > MAX_TRACKED_AGENTS {
            let mut by_age: Vec<(Timestamp, AgentId)> =
                self.0.iter().map(|(agent, track)| (track.last_at, agent.clone())).collect();
            by_age.sort_unstable();
            for (_, agent) in by_age.into_iter().take(FORGOTTEN_AT_ONCE) {
                self.0.remove(&agent);
            }
        }
    }
}

/// What is asked of the records of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskTracks {
    /// Whose.
    pub agents: Vec<AgentId>,
    /// What is to be done, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike: Option<Box<Searching>>,
}

impl MemoryState {
    /// What agents achieved.
    pub(super) fn track_records(&self, asked: &AskTracks, now: Timestamp) -> Vec<TrackRecord> {
        let alike = asked.alike.as_ref().map(|searching| self.alike(searching, now));
        let record = |agent: &AgentId| {
            let track = self.tracks.get(agent);
            TrackRecord {
                agent_id: agent.clone(),
                succeeded: track.succeeded,
                failed: track.failed,
                last_at: (track.succeeded + track.failed > 0).then_some(track.last_at),
                alike: alike.as_ref().and_then(|alike| alike.get(agent).copied()),
            }
        };
        asked.agents.iter().map(record).collect()
    }

    fn alike(&self, searching: &Searching, now: Timestamp) -> HashMap<AgentId, Alike> {
        let MemoryAnswer::Results { hits, .. } = self.search(searching, now) else {
            return HashMap::new();
        };
        let best = hits.first().map_or(0.0, |hit| hit.score);
        let mut found: HashMap<AgentId, Alike> = HashMap::new();
        for hit in hits {
            let Some(MemoryDetails::Outcome(outcome)) = hit.found.memory.details else { continue };
            let weight = if best > 0.0 { hit.score / best } else { 0.0 };
            if weight >= MIN_ALIKE {
                let alike = found.entry(outcome.agent_id).or_default();
                *(if outcome.success { &mut alike.succeeded } else { &mut alike.failed }) += weight;
            }
        }
        found
    }
}

/// Whether an entry tells how something turned out, as the service itself heard it.
pub(super) fn is_outcome(entry: &Entry) -> bool {
    let memory = &entry.memory;
    matches!(memory.details, Some(MemoryDetails::Outcome(_)))
        && memory.provenance.author.as_str() == crate::NAME
        && memory.trust_level >= TrustLevel::Trusted
}
