//! Reading: one entry, pages, conflicts.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::Call;
use troupe_contract::memory::{
    GetMemoryReply, ListMemoriesRequest, MemoryConflictPage, MemoryConflictsRequest, MemoryPage,
    MemoryRef,
};
use troupe_domain::limits::{MAX_FILTER_NAMES, MAX_PAGE_ROWS};
use troupe_domain::memory::{MemoryId, MemoryTier, Namespace};
use troupe_domain::{AgentId, Code, Fault};

use super::{Memories, answer_of, deadline, page_rows};
use crate::rules::request::{Found, MemoryAnswer, MemoryRequest};

/// How long the owner may take before a hot copy will do.
const OWNER_WITHIN: Duration = Duration::from_millis(400);
/// Bytes of contents in one page.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// `memory.get`
///
/// The owner answers. While nobody owns the namespace a hot copy does, and says that it is one.
pub async fn get(memories: &Memories, call: Call<MemoryRef>) -> Result<GetMemoryReply, Fault> {
    let until = deadline(&call);
    let MemoryRef { id, namespace } = call.request;
    let asked = owned(memories, namespace.clone(), &id, &call.caller, until);
    tokio::pin!(asked);
    let Some(hot) = &memories.hot else { return asked.await };
    let in_time = tokio::time::timeout(OWNER_WITHIN, &mut asked).await;
    match in_time {
        Ok(Err(fault)) if fault.code == Code::Unavailable => {
            hot.get(namespace.as_ref(), &id).await.map(copy).ok_or(fault)
        }
        Ok(answered) => answered,
        Err(_) => match hot.get(namespace.as_ref(), &id).await {
            Some(found) => Ok(copy(found)),
            None => asked.await,
        },
    }
}

fn copy(found: Found) -> GetMemoryReply {
    GetMemoryReply { memory: found.memory, source: MemoryTier::Hot, complete: false }
}

async fn owned(
    memories: &Memories,
    namespace: Option<Namespace>,
    id: &MemoryId,
    reader: &AgentId,
    until: Instant,
) -> Result<GetMemoryReply, Fault> {
    let get = |namespace: Option<Namespace>| MemoryRequest::Get {
        namespace,
        id: id.clone(),
        reader: Some(reader.clone()),
    };
    let first = namespace.clone().unwrap_or_default();
    let answer = match memories.ask(&first, get(namespace.clone()), until).await {
        Err(fault) if fault.code == Code::NotFound && namespace.is_none() => {
            let found = memories.locate(None, id, until).await?;
            memories.ask(&found, get(Some(found.clone())), until).await?
        }
        answer => answer?,
    };
    let mut found = [*answer_of!(answer, Entry)?];
    let source = found[0].memory.tier;
    let namespace = found[0].memory.namespace.clone();
    let missing = memories.fill(&namespace, &mut found).await;
    let [Found { memory, .. }] = found;
    Ok(GetMemoryReply { memory, source, complete: missing.is_empty() })
}

/// `memory.list`
pub async fn list(
    memories: &Memories,
    call: Call<ListMemoriesRequest>,
) -> Result<MemoryPage, Fault> {
    let until = deadline(&call);
    let limit = page_rows(call.request.limit, 100, ("MAX_PAGE_ROWS", MAX_PAGE_ROWS))?;
    for (field, count) in [
        ("types", call.request.types.len()),
        ("statuses", call.request.statuses.len()),
        ("trust_levels", call.request.trust_levels.len()),
        ("tags", call.request.tags.len()),
    ] {
        if count > MAX_FILTER_NAMES {
            let fault = Fault::exhausted("MAX_FILTER_NAMES", MAX_FILTER_NAMES);
            return Err(fault.with("field", field));
        }
    }
    let namespace = call.request.namespace.clone().unwrap_or_default();
    let request = Box::new(call.request);
    let request = MemoryRequest::List { request, limit, max_bytes: MAX_PAGE_BYTES };
    let (entries, next_after) = page(memories.ask(&namespace, request, until).await?)?;
    let memories = entries.into_iter().map(|found| found.memory).collect();
    Ok(MemoryPage { memories, next_after })
}

pub(super) fn page(answer: MemoryAnswer) -> Result<(Vec<Found>, Option<MemoryId>), Fault> {
    match answer {
        MemoryAnswer::Page { entries, next_after } => Ok((entries, next_after)),
        other => Err(other.unexpected()),
    }
}

/// `memory.conflicts`
pub async fn conflicts(
    memories: &Memories,
    call: Call<MemoryConflictsRequest>,
) -> Result<MemoryConflictPage, Fault> {
    let until = deadline(&call);
    let most = ("MAX_MEMORY_RESULTS", troupe_domain::limits::MAX_MEMORY_RESULTS);
    let limit = page_rows(call.request.limit, 100, most)?;
    let namespace = call.request.namespace.clone().unwrap_or_default();
    let request = MemoryRequest::Conflicts { request: call.request, limit };
    answer_of!(memories.ask(&namespace, request, until).await?, Conflicts)
}
