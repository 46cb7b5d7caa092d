//! Searching: the meaning of the query is made here, the shard finds, the cold tier gives contents.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use troupe_bus::Call;
use troupe_contract::Service;
use troupe_contract::memory::{
    MemoryHit, MemorySearchReply, MemorySearchRequest, SearchConsensusRequest, SuggestRequest,
};
use troupe_domain::limits::{MAX_MEMORY_DEPTH, MAX_MEMORY_QUERY_BYTES, MAX_MEMORY_RESULTS};
use troupe_domain::memory::MemoryType;
use troupe_domain::{Code, Fault};
use troupe_recall::Vector;

use super::{Memories, deadline, page_rows};
use crate::rules::checking::{bounded, check_search, check_text};
use crate::rules::request::{Found, MemoryAnswer, MemoryRequest, Searching};

/// How long the meaning of a query may take; then it is searched by words.
const EMBED_WITHIN: Duration = Duration::from_secs(2);
/// Results where nobody says how many.
const USUAL_RESULTS: usize = 10;
const USUAL_SUGGESTIONS: usize = 5;

/// `memory.search`
pub async fn search(
    memories: &Memories,
    call: Call<MemorySearchRequest>,
) -> Result<MemorySearchReply, Fault> {
    check_search(&call.request)?;
    let until = deadline(&call);
    let reader = Some(call.caller);
    let searching = Searching { reader, ..wanted(call.request, USUAL_RESULTS)? };
    find(memories, searching, until).await
}

/// `memory.search_expert_consensus`
pub async fn search_consensus(
    memories: &Memories,
    call: Call<SearchConsensusRequest>,
) -> Result<MemorySearchReply, Fault> {
    let until = deadline(&call);
    let SearchConsensusRequest { query, task_type, min_agreement, namespace, limit, cursor } =
        call.request;
    let least = min_agreement.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&least) {
        return Err(Fault::invalid("min_agreement", "must be within 0 and 1"));
    }
    let request = MemorySearchRequest {
        query,
        namespace,
        memory_type: Some(MemoryType::ExpertConsensus),
        limit,
        cursor,
        ..MemorySearchRequest::default()
    };
    check_search(&request)?;
    let consensus = Some((task_type, least));
    let reader = Some(call.caller);
    let searching = Searching { consensus, reader, ..wanted(request, USUAL_RESULTS)? };
    find(memories, searching, until).await
}

/// `memory.suggest`
pub async fn suggest(
    memories: &Memories,
    call: Call<SuggestRequest>,
) -> Result<MemorySearchReply, Fault> {
    let until = deadline(&call);
    let SuggestRequest { query, task_id, namespace, reader, limit } = call.request;
    let is_service = || Service::ALL.iter().any(|one| one.full_name() == call.caller.as_str());
    if reader.as_ref().is_some_and(|reader| *reader != call.caller) && !is_service() {
        let why = "only a service of the fleet asks for others";
        return Err(Fault::new(Code::PermissionDenied, why).with("field", "reader"));
    }
    check_text("query", &query)?;
    bounded("query", &query, "MAX_MEMORY_QUERY_BYTES", MAX_MEMORY_QUERY_BYTES)?;
    let request = MemorySearchRequest {
        query: Some(query),
        namespace,
        limit,
        ..MemorySearchRequest::default()
    };
    let (reader, not_task) = (reader.or(Some(call.caller)), task_id);
    let searching = Searching { reader, not_task, ..wanted(request, USUAL_SUGGESTIONS)? };
    find(memories, searching, until).await
}

/// What is searched for, with its page.
pub(super) fn wanted(request: MemorySearchRequest, usual: usize) -> Result<Searching, Fault> {
    let limit = page_rows(request.limit, usual, ("MAX_MEMORY_RESULTS", MAX_MEMORY_RESULTS))?;
    let offset = match &request.cursor {
        Some(cursor) => cursor
            .strip_prefix('o')
            .and_then(|offset| offset.parse::<usize>().ok())
            .ok_or_else(|| Fault::invalid("cursor", "is not one that a search gave"))?,
        None => 0,
    };
    if offset + limit > MAX_MEMORY_DEPTH {
        let fault = Fault::exhausted("MAX_MEMORY_DEPTH", MAX_MEMORY_DEPTH);
        return Err(fault.with("field", "cursor"));
    }
    Ok(Searching {
        namespace: request.namespace.clone().unwrap_or_default(),
        request,
        vector: None,
        model: None,
        consensus: None,
        reader: None,
        not_task: None,
        outcomes: false,
        offset,
        limit,
    })
}

async fn find(
    memories: &Memories,
    mut searching: Searching,
    until: Instant,
) -> Result<MemorySearchReply, Fault> {
    if let Some((model, vector)) = meaning(memories, &searching, until).await {
        (searching.model, searching.vector) = (Some(model), Some(vector));
    }
    let (namespace, end) = (searching.namespace.clone(), searching.offset + searching.limit);
    let answer =
        memories.ask(&namespace, MemoryRequest::Search(Box::new(searching)), until).await?;
    let MemoryAnswer::Results { hits, more, hybrid, unindexed } = answer else {
        return Err(answer.unexpected());
    };
    let (mut found, scores): (Vec<Found>, Vec<_>) =
        hits.into_iter().map(|hit| (hit.found, (hit.score, hit.parts))).unzip();
    let mut missing = memories.fill(&namespace, &mut found).await;
    if unindexed > 0 {
        missing.push(format!("the words of {unindexed} entries of the cold tier are being read"));
    }
    let results = found.into_iter().zip(scores).map(|(found, (score, explain))| MemoryHit {
        memory: found.memory,
        score,
        explain,
    });
    Ok(MemorySearchReply {
        results: results.collect(),
        next_cursor: (more && end < MAX_MEMORY_DEPTH).then(|| format!("o{end}")),
        mode: if hybrid { "hybrid" } else { "lexical" }.to_owned(),
        complete: missing.is_empty(),
        missing,
    })
}

/// What the query means, if there is a model and it answers in time.
pub(super) async fn meaning(
    memories: &Memories,
    searching: &Searching,
    until: Instant,
) -> Option<(String, Vector)> {
    let query = searching.request.query.as_deref().filter(|query| !query.trim().is_empty())?;
    let embedder = memories.embedder.as_ref()?;
    let model = embedder.status().model()?.id.clone();
    let within = (Instant::now() + EMBED_WITHIN).min(until);
    match timeout_at(within, embedder.embed(query)).await {
        Ok(Ok(embedding)) => Vector::quantise(embedding.as_slice()).map(|vector| (model, vector)),
        Ok(Err(fault)) => {
            tracing::debug!(%fault, "it is searched by words");
            None
        }
        Err(_) => None,
    }
}
