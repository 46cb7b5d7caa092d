//! Searching: the index finds by words and meaning, the entries say what passes and what it counts.
//!
//! Invariant: filters hold for every result; they are applied while the index is read, never after a
//! page was cut.

use troupe_contract::memory::{MemoryScore, MemorySearchRequest};
use troupe_domain::Timestamp;
use troupe_domain::memory::{MemoryDetails, MemoryType, TrustLevel};
use troupe_recall::Query;

use super::decay::prior;
use super::entry::Entry;
use super::history::is_outcome;
use super::request::{Hit, MemoryAnswer, Searching};
use super::state::{MemoryState, Settings};

impl MemoryState {
    /// Searches.
    pub(super) fn search(&self, searching: &Searching, now: Timestamp) -> MemoryAnswer {
        let Some(space) = self.space(&searching.namespace) else {
            return MemoryAnswer::Results {
                hits: Vec::new(),
                more: false,
                hybrid: searching.vector.is_some(),
                unindexed: 0,
            };
        };
        // Vectors of two models have nothing to do with each other.
        let same_model = self.model.is_none() || searching.model == self.model;
        let vector = searching.vector.as_ref().filter(|_| same_model);
        let text = searching.request.query.as_deref().unwrap_or_default();
        let (limit, offset) = (searching.limit, searching.offset);
        let found = space.index.search(&Query { text, vector, limit, offset }, |slot: u32| {
            let entry = space.at(slot)?;
            passes(entry, searching, now, &self.settings)
                .then(|| prior(&entry.memory, now, &self.settings))
        });
        let hits = found.hits.into_iter().filter_map(|hit| {
            let parts = searching.request.explain.then(|| MemoryScore {
                lexical: hit.parts.lexical.into(),
                semantic: vector.map(|_| hit.parts.semantic.into()),
                neighbour: hit.parts.neighbour.into(),
                prior: hit.parts.prior.into(),
            });
            let found = self.found(space.at(hit.key)?, now);
            Some(Hit { found, score: hit.score.into(), parts })
        });
        MemoryAnswer::Results {
            hits: hits.collect(),
            more: found.more,
            hybrid: vector.is_some(),
            unindexed: if text.is_empty() { 0 } else { space.unindexed_count() },
        }
    }
}

/// Whether an entry passes every filter.
fn passes(entry: &Entry, searching: &Searching, now: Timestamp, settings: &Settings) -> bool {
    let (memory, request) = (&entry.memory, &searching.request);
    request.memory_type.is_none_or(|kind| kind == memory.memory_type)
        && request.min_importance.is_none_or(|least| memory.importance >= least)
        && request.since.is_none_or(|since| memory.created_at >= since)
        && request.until.is_none_or(|until| memory.created_at < until)
        && request.tags.iter().all(|tag| memory.tags.contains(tag))
        && from_there(entry, request)
        && may_be_seen(entry, request, now, settings)
        && searching
            .not_task
            .as_ref()
            .is_none_or(|task| memory.provenance.task_id.as_ref() != Some(task))
        && memory.expires_at.is_none_or(|at| at > now)
        && is_agreed(entry, searching)
        && (!searching.outcomes || is_outcome(entry))
}

/// Whether it was written by whom and where it is asked for.
fn from_there(entry: &Entry, request: &MemorySearchRequest) -> bool {
    let from = &entry.memory.provenance;
    request.agent_id.as_ref().is_none_or(|agent| *agent == from.author)
        && request.task_id.as_ref().is_none_or(|task| Some(task) == from.task_id.as_ref())
        && request.session_id.as_ref().is_none_or(|one| Some(one) == from.session_id.as_ref())
}

/// Whether status and trust are such as is asked for, or as is usual.
fn may_be_seen(
    entry: &Entry,
    request: &MemorySearchRequest,
    now: Timestamp,
    settings: &Settings,
) -> bool {
    let trust = entry.memory.trust_level;
    let trusted = if request.trust_levels.is_empty() {
        trust != TrustLevel::Quarantined
    } else {
        request.trust_levels.contains(&trust)
    };
    let counts = if request.statuses.is_empty() {
        entry.memory.status.is_searched()
    } else {
        request.statuses.contains(&entry.status(now, settings))
    };
    trusted && counts
}

/// Whether it is a question that was voted on as is asked for, where that is asked for.
fn is_agreed(entry: &Entry, searching: &Searching) -> bool {
    let Some((task_type, least)) = &searching.consensus else { return true };
    entry.memory.memory_type == MemoryType::ExpertConsensus
        && match &entry.memory.details {
            Some(MemoryDetails::ExpertConsensus(consensus)) => {
                consensus.agreement >= *least
                    && task_type
                        .as_ref()
                        .is_none_or(|kind| Some(kind) == consensus.task_type.as_ref())
            }
            _ => false,
        }
}
