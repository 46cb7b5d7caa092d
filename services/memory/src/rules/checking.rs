//! What a request must be like, before anything is asked of a shard.

use troupe_contract::memory::{
    CreateConsensusRequest, CreateMemoryRequest, CreateRefinementTraceRequest, MemorySearchRequest,
    UpdateMemoryRequest,
};
use troupe_domain::Fault;
use troupe_domain::limits::{
    MAX_CONSENSUS_VOTES, MAX_DERIVED_FROM, MAX_FILTER_NAMES, MAX_ITERATIONS, MAX_MEMORY_BYTES,
    MAX_MEMORY_QUERY_BYTES, MAX_MEMORY_TAG_BYTES, MAX_MEMORY_TAGS, MAX_MEMORY_TTL_MS,
    MAX_SOURCE_URI_BYTES, MAX_TEXT_BYTES, MIN_MEMORY_TTL_MS,
};
use troupe_domain::memory::{Memory, MemoryId, MemorySource, MemoryType};

use super::entry::MAX_CONFLICTS;

/// Something to be remembered.
pub fn check_create(request: &CreateMemoryRequest) -> Result<(), Fault> {
    if matches!(request.memory_type, MemoryType::RefinementTrace | MemoryType::ExpertConsensus) {
        let why = "traces and consensus have endpoints of their own";
        return Err(Fault::invalid("type", why));
    }
    check_content("content", &request.content)?;
    check_importance(request.importance)?;
    check_tags(&request.tags)?;
    check_parents(&request.derived_from)?;
    check_ttl(request.ttl_ms)?;
    match &request.source {
        Some(MemorySource::External { uri }) => {
            if uri.trim().is_empty() {
                return Err(Fault::invalid("source.external.uri", "must not be empty"));
            }
            bounded("source.external.uri", uri, "MAX_SOURCE_URI_BYTES", MAX_SOURCE_URI_BYTES)
        }
        Some(MemorySource::Learned { .. }) => {
            Err(Fault::invalid("source", "only the service itself learns from events"))
        }
        _ => Ok(()),
    }
}

/// What changes of an entry.
pub fn check_update(request: &UpdateMemoryRequest) -> Result<(), Fault> {
    if let Some(content) = &request.content {
        check_content("content", content)?;
    }
    if let Some(tags) = &request.tags {
        check_tags(tags)?;
    }
    check_importance(request.importance)?;
    check_ttl(request.ttl_ms)
}

/// Attempts at a task.
pub fn check_trace(request: &CreateRefinementTraceRequest) -> Result<(), Fault> {
    if request.iterations.len() > MAX_ITERATIONS {
        let fault = Fault::exhausted("MAX_ITERATIONS", MAX_ITERATIONS);
        return Err(fault.with("field", "iterations"));
    }
    for (number, iteration) in request.iterations.iter().enumerate() {
        let field = |name: &str| format!("iterations[{number}].{name}");
        check_text(&field("attempt"), &iteration.attempt)?;
        if let Some(feedback) = &iteration.feedback {
            bounded(&field("feedback"), feedback, "MAX_TEXT_BYTES", MAX_TEXT_BYTES)?;
        }
        if iteration.score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            return Err(Fault::invalid(&field("score"), "must be within 0 and 1"));
        }
    }
    check_text("final_result", &request.final_result)?;
    check_importance(request.importance)?;
    check_tags(&request.tags)?;
    check_parents(&request.derived_from)
}

/// A question that was voted on.
pub fn check_consensus(request: &CreateConsensusRequest) -> Result<(), Fault> {
    check_text("question", &request.question)?;
    if request.votes.is_empty() {
        return Err(Fault::invalid("votes", "must not be empty"));
    }
    if request.votes.len() > MAX_CONSENSUS_VOTES {
        let fault = Fault::exhausted("MAX_CONSENSUS_VOTES", MAX_CONSENSUS_VOTES);
        return Err(fault.with("field", "votes"));
    }
    let mut voters = std::collections::BTreeSet::new();
    for (number, vote) in request.votes.iter().enumerate() {
        if !voters.insert(&vote.voter) {
            let why = format!("{} votes twice", vote.voter);
            return Err(Fault::invalid(&format!("votes[{number}].voter"), why));
        }
        check_text(&format!("votes[{number}].choice"), &vote.choice)?;
        let field = format!("votes[{number}].reason");
        bounded(&field, &vote.reason, "MAX_TEXT_BYTES", MAX_TEXT_BYTES)?;
    }
    check_importance(request.importance)?;
    check_tags(&request.tags)?;
    check_parents(&request.derived_from)
}

/// What is searched for.
pub fn check_search(request: &MemorySearchRequest) -> Result<(), Fault> {
    if let Some(query) = &request.query {
        bounded("query", query, "MAX_MEMORY_QUERY_BYTES", MAX_MEMORY_QUERY_BYTES)?;
    }
    check_tags(&request.tags)?;
    if request.min_importance.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
        return Err(Fault::invalid("min_importance", "must be within 0 and 1"));
    }
    for (field, count) in
        [("statuses", request.statuses.len()), ("trust_levels", request.trust_levels.len())]
    {
        if count > MAX_FILTER_NAMES {
            let fault = Fault::exhausted("MAX_FILTER_NAMES", MAX_FILTER_NAMES);
            return Err(fault.with("field", field));
        }
    }
    Ok(())
}

/// An exported entry.
pub fn check_imported(memory: &Memory) -> Result<(), Fault> {
    check_content("content", memory.content.as_deref().unwrap_or_default())?;
    check_importance(Some(memory.importance))?;
    check_tags(&memory.tags)?;
    check_parents(&memory.provenance.derived_from)?;
    if memory.conflicts_with.len() > MAX_CONFLICTS {
        let fault = Fault::exhausted("MAX_CONFLICTS", MAX_CONFLICTS);
        return Err(fault.with("field", "conflicts_with"));
    }
    let size = serde_json::to_vec(memory).map_or(0, |line| line.len());
    if size > MAX_IMPORTED_BYTES {
        return Err(Fault::exhausted("MAX_IMPORTED_BYTES", MAX_IMPORTED_BYTES));
    }
    Ok(())
}

/// Bytes of one exported entry, with everything that it says of itself.
const MAX_IMPORTED_BYTES: usize = 384 * 1024;

/// A text that must say something.
pub fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::invalid(field, "must not be empty"));
    }
    bounded(field, text, "MAX_TEXT_BYTES", MAX_TEXT_BYTES)
}

fn check_content(field: &str, content: &str) -> Result<(), Fault> {
    if content.trim().is_empty() {
        return Err(Fault::invalid(field, "must not be empty"));
    }
    bounded(field, content, "MAX_MEMORY_BYTES", MAX_MEMORY_BYTES)
}

/// A text within its bound.
pub fn bounded(field: &str, text: &str, limit: &str, allowed: usize) -> Result<(), Fault> {
    if text.len() > allowed {
        return Err(Fault::exhausted(limit, allowed).with("field", field));
    }
    Ok(())
}

fn check_importance(importance: Option<f64>) -> Result<(), Fault> {
    if importance.is_some_and(|importance| !(0.0..=1.0).contains(&importance)) {
        return Err(Fault::invalid("importance", "must be within 0 and 1"));
    }
    Ok(())
}

fn check_tags(tags: &[String]) -> Result<(), Fault> {
    if tags.len() > MAX_MEMORY_TAGS {
        return Err(Fault::exhausted("MAX_MEMORY_TAGS", MAX_MEMORY_TAGS).with("field", "tags"));
    }
    for tag in tags {
        if tag.trim().is_empty() {
            return Err(Fault::invalid("tags", "a tag must not be empty"));
        }
        bounded("tags", tag, "MAX_MEMORY_TAG_BYTES", MAX_MEMORY_TAG_BYTES)?;
    }
    Ok(())
}

fn check_parents(parents: &[MemoryId]) -> Result<(), Fault> {
    if parents.len() > MAX_DERIVED_FROM {
        let fault = Fault::exhausted("MAX_DERIVED_FROM", MAX_DERIVED_FROM);
        return Err(fault.with("field", "derived_from"));
    }
    Ok(())
}

fn check_ttl(ttl_ms: Option<u64>) -> Result<(), Fault> {
    if ttl_ms.is_some_and(|ttl| !(MIN_MEMORY_TTL_MS..=MAX_MEMORY_TTL_MS).contains(&ttl)) {
        let why = format!("must be within {MIN_MEMORY_TTL_MS} and {MAX_MEMORY_TTL_MS}");
        return Err(Fault::invalid("ttl_ms", why));
    }
    Ok(())
}
