//! What agents achieved, as far as the service heard of it.

use troupe_bus::Call;
use troupe_contract::memory::{MemorySearchRequest, TrackRecordsReply, TrackRecordsRequest};
use troupe_domain::Fault;
use troupe_domain::limits::{MAX_MEMORY_QUERY_BYTES, MAX_PAGE_ROWS};

use super::searching::{meaning, wanted};
use super::{Memories, answer_of, deadline};
use crate::rules::checking::{bounded, check_text};
use crate::rules::history::{AskTracks, MAX_ALIKE};
use crate::rules::request::{MemoryRequest, Searching};

/// `memory.track_records`
pub async fn track_records(
    memories: &Memories,
    call: Call<TrackRecordsRequest>,
) -> Result<TrackRecordsReply, Fault> {
    let until = deadline(&call);
    let TrackRecordsRequest { agents, query } = call.request;
    if agents.is_empty() {
        return Err(Fault::invalid("agents", "must name at least one agent"));
    }
    if agents.len() > MAX_PAGE_ROWS {
        return Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "agents"));
    }
    let namespace = memories.learns_in.clone();
    let alike = match query {
        None => None,
        Some(query) => {
            check_text("query", &query)?;
            bounded("query", &query, "MAX_MEMORY_QUERY_BYTES", MAX_MEMORY_QUERY_BYTES)?;
            let request = MemorySearchRequest {
                query: Some(query),
                namespace: Some(namespace.clone()),
                limit: Some(MAX_ALIKE),
                ..MemorySearchRequest::default()
            };
            let mut searching = Searching { outcomes: true, ..wanted(request, MAX_ALIKE)? };
            if let Some((model, vector)) = meaning(memories, &searching, until).await {
                (searching.model, searching.vector) = (Some(model), Some(vector));
            }
            Some(Box::new(searching))
        }
    };
    let asked = MemoryRequest::Tracks(Box::new(AskTracks { agents, alike }));
    let records = answer_of!(memories.ask(&namespace, asked, until).await?, Tracks)?;
    Ok(TrackRecordsReply { records })
}
