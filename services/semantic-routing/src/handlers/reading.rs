//! Reading: sessions and their transcripts, counts of what waits, statistics.

use std::collections::BTreeMap;

use troupe_bus::Call;
use troupe_contract::registry::Empty;
use troupe_contract::routing::{
    PendingReply, PendingRequest, RoutingStatistics, SessionFilter, SessionPage, SessionRef,
    SessionReply, TranscriptPage, TranscriptRequest,
};
use troupe_domain::limits::{MAX_FILTER_NAMES, MAX_PAGE_ROWS};
use troupe_domain::{AgentId, Fault};

use super::{Routing, answer_of, check_len, deadline};
use crate::rules::reads::{join_pages, join_statistics};
use crate::rules::request::{RoutingReply, RoutingRequest};

/// `routing.session_get`
pub async fn session_get(routing: &Routing, call: Call<SessionRef>) -> Result<SessionReply, Fault> {
    let until = deadline(&call);
    let id = call.request.session_id;
    let request = RoutingRequest::SessionGet { id: id.clone(), who: call.caller };
    let session = answer_of!(routing.ask(&id, request, until).await?, Session)?;
    Ok(SessionReply { session: *session })
}

/// `routing.session_list`
pub async fn session_list(
    routing: &Routing,
    call: Call<SessionFilter>,
) -> Result<SessionPage, Fault> {
    let until = deadline(&call);
    let filter = call.request;
    check_len("statuses", &filter.statuses, "MAX_FILTER_NAMES", MAX_FILTER_NAMES)?;
    check_len("types", &filter.types, "MAX_FILTER_NAMES", MAX_FILTER_NAMES)?;
    let limit = filter.limit;
    let request = RoutingRequest::SessionList { filter, who: call.caller };
    let replies = routing.router.call_all(request, until).await?;
    let pages: Result<Vec<SessionPage>, Fault> =
        replies.into_iter().map(|reply| answer_of!(reply, Sessions)).collect();
    join_pages(pages?, limit)
}

/// `routing.session_transcript`
pub async fn session_transcript(
    routing: &Routing,
    call: Call<TranscriptRequest>,
) -> Result<TranscriptPage, Fault> {
    let until = deadline(&call);
    let id = call.request.session_id.clone();
    let request = RoutingRequest::SessionTranscript { request: call.request, who: call.caller };
    answer_of!(routing.ask(&id, request, until).await?, Transcript)
}

/// `routing.stats`
pub async fn stats(routing: &Routing, call: Call<Empty>) -> Result<RoutingStatistics, Fault> {
    let until = deadline(&call);
    let replies = routing.router.call_all(RoutingRequest::Stats, until).await?;
    let shards: Result<Vec<RoutingStatistics>, Fault> =
        replies.into_iter().map(|reply| answer_of!(reply, Stats).map(|stats| *stats)).collect();
    let routing = routing.intents.statistics();
    Ok(RoutingStatistics { routing, ..join_statistics(shards?) })
}

/// `routing.pending`
pub async fn pending(routing: &Routing, call: Call<PendingRequest>) -> Result<PendingReply, Fault> {
    let until = deadline(&call);
    let agents = call.request.agent_ids;
    check_len("agent_ids", &agents, "MAX_PAGE_ROWS", MAX_PAGE_ROWS)?;
    let mut by_shard: BTreeMap<u16, Vec<AgentId>> = BTreeMap::new();
    for agent in &agents {
        by_shard.entry(routing.home_of(agent)).or_default().push(agent.clone());
    }
    let asked = by_shard.into_iter().map(|(shard, agents)| async move {
        let request = RoutingRequest::Pending { agents: agents.clone() };
        let reply: RoutingReply = routing.router.call(shard, request, until).await?;
        Ok::<_, Fault>(agents.into_iter().zip(answer_of!(reply, Pending)?))
    });
    let counted = futures::future::try_join_all(asked).await?;
    let counts: BTreeMap<AgentId, u64> = counted.into_iter().flatten().collect();
    let pending = agents.iter().map(|agent| counts.get(agent).copied().unwrap_or(0)).collect();
    Ok(PendingReply { pending })
}
