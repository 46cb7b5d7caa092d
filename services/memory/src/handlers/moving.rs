//! Export and import.

use troupe_bus::Call;
use troupe_contract::memory::{
    ExportMemoriesRequest, ExportPage, ImportMemoriesRequest, ImportReply, ListMemoriesRequest,
    RefusedImport,
};
use troupe_domain::limits::{MAX_MOVED_BYTES, MAX_MOVED_MEMORIES};
use troupe_domain::memory::{ExpertConsensus, Memory, MemoryDetails};
use troupe_domain::{Code, Fault};

use super::reading::page;
use super::writing::rules_met;
use super::{Memories, answer_of, deadline, page_rows};
use crate::rules::checking::check_imported;
use crate::rules::request::MemoryRequest;

/// `memory.export`
pub async fn export(
    memories: &Memories,
    call: Call<ExportMemoriesRequest>,
) -> Result<ExportPage, Fault> {
    let until = deadline(&call);
    let most = ("MAX_MOVED_MEMORIES", MAX_MOVED_MEMORIES);
    let limit = page_rows(call.request.limit, MAX_MOVED_MEMORIES, most)?;
    let ExportMemoriesRequest { namespace, after, .. } = call.request;
    let namespace = namespace.unwrap_or_default();
    let list = ListMemoriesRequest {
        namespace: Some(namespace.clone()),
        after,
        ..ListMemoriesRequest::default()
    };
    let request =
        MemoryRequest::List { request: Box::new(list), limit, max_bytes: MAX_MOVED_BYTES };
    let (mut entries, next_after) = page(memories.ask(&namespace, request, until).await?)?;
    // An export that leaves something out would be taken for all there is.
    if let Some(why) = memories.fill(&namespace, &mut entries).await.into_iter().next() {
        return Err(Fault::new(Code::Unavailable, why));
    }
    let memories = entries.into_iter().map(|found| found.memory).collect();
    Ok(ExportPage { memories, next_after })
}

/// Agreement is what the votes say, whatever an export says of them.
fn recount(entry: &mut Memory) {
    entry.details = match entry.details.take() {
        Some(MemoryDetails::ExpertConsensus(consensus)) => {
            let ExpertConsensus { question, task_type, votes, .. } = consensus;
            let counted = ExpertConsensus::of(question, task_type, votes);
            counted.map(MemoryDetails::ExpertConsensus)
        }
        details => details,
    };
}

/// `memory.import`
pub async fn import(
    memories: &Memories,
    call: Call<ImportMemoriesRequest>,
) -> Result<ImportReply, Fault> {
    let until = deadline(&call);
    let ImportMemoriesRequest { memories: entries, namespace } = call.request;
    if entries.len() > MAX_MOVED_MEMORIES {
        let fault = Fault::exhausted("MAX_MOVED_MEMORIES", MAX_MOVED_MEMORIES);
        return Err(fault.with("field", "memories"));
    }
    let Some(first) = entries.first() else {
        return Ok(ImportReply { imported: 0, skipped: 0, refused: Vec::new() });
    };
    let into = namespace.clone().unwrap_or_else(|| first.namespace.clone());
    if namespace.is_none() && entries.iter().any(|entry| entry.namespace != into) {
        let why = "all entries of one request go to one namespace";
        return Err(Fault::invalid("memories", why));
    }
    let mut refused = Vec::new();
    let mut good: Vec<Memory> = Vec::with_capacity(entries.len());
    for mut entry in entries {
        recount(&mut entry);
        match check_imported(&entry) {
            Ok(()) => {
                let content = entry.content.as_deref().unwrap_or_default();
                entry.quarantine = rules_met(content);
                good.push(entry);
            }
            Err(fault) => refused.push(RefusedImport { id: entry.id, reason: fault.message }),
        }
    }
    let by = call.caller;
    let request = MemoryRequest::Import { namespace: into.clone(), memories: good, by };
    let mut reply = answer_of!(memories.ask(&into, request, until).await?, Imported)?;
    refused.append(&mut reply.refused);
    Ok(ImportReply { refused, ..reply })
}
