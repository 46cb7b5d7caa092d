//! Counts, namespaces, quotas.

use troupe_bus::Call;
use troupe_contract::memory::{MemoryStatistics, NamespaceList, NamespaceReply, PutQuotaRequest};
use troupe_contract::registry::Empty;
use troupe_domain::Fault;
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_embedding::Status;

use super::{Memories, answer_of, deadline};
use crate::rules::request::MemoryRequest;

/// `memory.stats`
pub async fn stats(memories: &Memories, call: Call<Empty>) -> Result<MemoryStatistics, Fault> {
    let answers = memories.router.call_all(MemoryRequest::Stats, deadline(&call)).await?;
    let mut all = MemoryStatistics::default();
    for answer in answers {
        add(&mut all, *answer_of!(answer, Stats)?);
    }
    let status = memories.embedder.as_ref().map(troupe_embedding::Embedder::status);
    let ready = status.as_ref().is_some_and(|status| status.model().is_some());
    all.search.push_str(if ready { "hybrid" } else { "lexical" });
    all.model_error = match status {
        Some(Status::Ready(_)) => None,
        Some(status) => Some(status.to_string()),
        None => Some("no model is configured".to_owned()),
    };
    all.hot = memories.hot.as_ref().is_some_and(|hot| hot.is_healthy());
    all.hot_error = match &memories.hot {
        Some(hot) if hot.is_healthy() => None,
        Some(_) => Some("Redis does not answer".to_owned()),
        None => Some("no Redis is configured".to_owned()),
    };
    all.cold_error = match &memories.segments {
        Some(_) => memories.cold_health.error(),
        None => Some("no object storage is configured".to_owned()),
    };
    all.cold = all.cold_error.is_none();
    Ok(all)
}

fn add(all: &mut MemoryStatistics, one: MemoryStatistics) {
    all.entries += one.entries;
    all.content_bytes += one.content_bytes;
    all.resident_bytes += one.resident_bytes;
    all.index_bytes += one.index_bytes;
    all.namespaces += one.namespaces;
    all.without_vector += one.without_vector;
    all.segments += one.segments;
    all.damaged += one.damaged;
    all.unindexed += one.unindexed;
    all.pending_deletions += one.pending_deletions;
    all.heard_through = all.heard_through.max(one.heard_through);
    for (to, from) in [
        (&mut all.by_tier, one.by_tier),
        (&mut all.by_type, one.by_type),
        (&mut all.by_status, one.by_status),
        (&mut all.by_trust, one.by_trust),
    ] {
        for (name, count) in from {
            *to.entry(name).or_default() += count;
        }
    }
}

/// `memory.namespaces`
pub async fn namespaces(memories: &Memories, call: Call<Empty>) -> Result<NamespaceList, Fault> {
    let answers = memories.router.call_all(MemoryRequest::Namespaces, deadline(&call)).await?;
    let mut all = Vec::new();
    for answer in answers {
        all.extend(answer_of!(answer, Namespaces)?);
    }
    all.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    let total = all.len() as u64;
    all.truncate(MAX_PAGE_ROWS);
    Ok(NamespaceList { namespaces: all, total })
}

/// `memory.quota_put`
pub async fn put_quota(
    memories: &Memories,
    call: Call<PutQuotaRequest>,
) -> Result<NamespaceReply, Fault> {
    let until = deadline(&call);
    let PutQuotaRequest { namespace, max_entries, max_bytes } = call.request;
    let by = call.caller;
    let request = MemoryRequest::Quota { namespace: namespace.clone(), max_entries, max_bytes, by };
    let answer = memories.ask(&namespace, request, until).await?;
    let info = answer_of!(answer, Namespaces)?.into_iter().next();
    info.map(|namespace| NamespaceReply { namespace })
        .ok_or_else(|| Fault::not_found("namespace", &namespace))
}
