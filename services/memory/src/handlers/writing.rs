//! Writing: what is new, and what changes.

use troupe_bus::Call;
use troupe_contract::memory::{
    CreateConsensusRequest, CreateMemoryRequest, CreateRefinementTraceRequest, MemoryReceipt,
    UpdateMemoryRequest, VerifyMemoryRequest,
};
use troupe_domain::memory::{
    ExpertConsensus, Memory, MemoryDetails, MemorySource, MemoryStatus, MemoryTier, MemoryType,
    Provenance, RefinementTrace, TrustLevel,
};
use troupe_domain::{Fault, Timestamp};

use super::{Memories, answer_of, deadline};
use crate::rules::checking::{bounded, check_consensus, check_create, check_trace, check_update};
use crate::rules::quarantine::examine;
use crate::rules::request::{MemoryRequest, NewMemory};
use crate::rules::text;

/// How much something matters where nobody says.
const IMPORTANCE: f64 = 0.5;
const TRACE_IMPORTANCE: f64 = 0.6;
const CONSENSUS_IMPORTANCE: f64 = 0.7;

/// An entry of which nothing is decided yet.
pub(crate) fn blank(content: String, kind: MemoryType, from: Provenance, at: Timestamp) -> Memory {
    Memory {
        // Whoever makes it gives it its own.
        id: from.author.clone(),
        namespace: troupe_domain::memory::Namespace::default(),
        quarantine: rules_met(&content),
        content: Some(content),
        memory_type: kind,
        importance: IMPORTANCE,
        tags: Vec::new(),
        created_at: at,
        updated_at: at,
        revision: 1,
        access_count: 0,
        last_accessed: None,
        tier: MemoryTier::Warm,
        status: MemoryStatus::Active,
        trust_level: TrustLevel::Trusted,
        provenance: from,
        expires_at: None,
        duplicates: 0,
        duplicate_of: None,
        conflicts_with: Vec::new(),
        superseded_by: None,
        retraction: None,
        verified_by: None,
        details: None,
    }
}

/// The rules of quarantine that a text meets, each once.
pub(crate) fn rules_met(text: &str) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for found in examine(text) {
        if !rules.iter().any(|rule| rule == found.rule) {
            rules.push(found.rule.to_owned());
        }
    }
    rules
}

/// `memory.create`
pub async fn create(
    memories: &Memories,
    call: Call<CreateMemoryRequest>,
) -> Result<MemoryReceipt, Fault> {
    check_create(&call.request)?;
    let until = deadline(&call);
    let (now, caller, trace) = (memories.world.now(), call.caller.clone(), call.trace.clone());
    let request = call.request;
    let namespace = request.namespace.unwrap_or_default();
    let (id, keyed) = memories.id_for(&namespace, &caller, call.command_id.as_deref())?;
    let from = Provenance {
        author: caller,
        task_id: request.task_id,
        epoch: request.epoch,
        session_id: request.session_id,
        trace,
        derived_from: request.derived_from,
        source: request.source.unwrap_or_default(),
    };
    let memory = Memory {
        id,
        namespace,
        importance: request.importance.unwrap_or(IMPORTANCE),
        tags: request.tags,
        expires_at: request.ttl_ms.map(|ttl| now.plus_millis(ttl)),
        ..blank(request.content, request.memory_type, from, now)
    };
    let new = NewMemory { memory, supersedes: request.supersedes, keyed };
    remember(memories, new, until).await
}

/// `memory.create_refinement_trace`
pub async fn create_trace(
    memories: &Memories,
    call: Call<CreateRefinementTraceRequest>,
) -> Result<MemoryReceipt, Fault> {
    check_trace(&call.request)?;
    let until = deadline(&call);
    let request = call.request;
    let namespace = request.namespace.unwrap_or_default();
    let (id, keyed) = memories.id_for(&namespace, &call.caller, call.command_id.as_deref())?;
    let from = Provenance {
        author: call.caller,
        task_id: Some(request.task_id.clone()),
        epoch: request.epoch,
        session_id: None,
        trace: call.trace,
        derived_from: request.derived_from,
        source: MemorySource::default(),
    };
    let trace = RefinementTrace {
        task_id: request.task_id,
        iterations: request.iterations,
        final_result: request.final_result,
        success: request.success,
        duration_ms: request.duration_ms,
    };
    let content = text::of_trace(&trace);
    let memory = Memory {
        id,
        namespace,
        importance: request.importance.unwrap_or(TRACE_IMPORTANCE),
        tags: request.tags,
        details: Some(MemoryDetails::RefinementTrace(trace)),
        ..blank(content, MemoryType::RefinementTrace, from, memories.world.now())
    };
    remember(memories, NewMemory { memory, supersedes: None, keyed }, until).await
}

/// `memory.create_consensus`
pub async fn create_consensus(
    memories: &Memories,
    call: Call<CreateConsensusRequest>,
) -> Result<MemoryReceipt, Fault> {
    check_consensus(&call.request)?;
    let until = deadline(&call);
    let request = call.request;
    let namespace = request.namespace.unwrap_or_default();
    let (id, keyed) = memories.id_for(&namespace, &call.caller, call.command_id.as_deref())?;
    let from = Provenance {
        author: call.caller,
        task_id: request.task_id,
        epoch: None,
        session_id: None,
        trace: call.trace,
        derived_from: request.derived_from,
        source: MemorySource::default(),
    };
    let consensus = ExpertConsensus::of(request.question, request.task_type, request.votes)
        .ok_or_else(|| Fault::invalid("votes", "must not be empty"))?;
    let content = text::of_consensus(&consensus);
    let memory = Memory {
        id,
        namespace,
        importance: request.importance.unwrap_or(CONSENSUS_IMPORTANCE),
        tags: request.tags,
        details: Some(MemoryDetails::ExpertConsensus(consensus)),
        ..blank(content, MemoryType::ExpertConsensus, from, memories.world.now())
    };
    remember(memories, NewMemory { memory, supersedes: None, keyed }, until).await
}

async fn remember(
    memories: &Memories,
    new: NewMemory,
    until: tokio::time::Instant,
) -> Result<MemoryReceipt, Fault> {
    use troupe_domain::limits::MAX_MEMORY_BYTES;
    let content = new.memory.content.as_deref().unwrap_or_default();
    bounded("content", content, "MAX_MEMORY_BYTES", MAX_MEMORY_BYTES)?;
    let namespace = new.memory.namespace.clone();
    let request = MemoryRequest::Create(Box::new(new));
    answer_of!(memories.ask(&namespace, request, until).await?, Receipt).map(|receipt| *receipt)
}

/// `memory.update`
pub async fn update(
    memories: &Memories,
    call: Call<UpdateMemoryRequest>,
) -> Result<MemoryReceipt, Fault> {
    check_update(&call.request)?;
    let until = deadline(&call);
    let update = call.request;
    let namespace = memories.locate(update.namespace.clone(), &update.id, until).await?;
    let quarantine = update.content.as_deref().map(rules_met).unwrap_or_default();
    let request = MemoryRequest::Update {
        namespace: namespace.clone(),
        update: Box::new(update),
        quarantine,
        by: call.caller,
    };
    answer_of!(memories.ask(&namespace, request, until).await?, Receipt).map(|receipt| *receipt)
}

/// `memory.verify`
pub async fn verify(
    memories: &Memories,
    call: Call<VerifyMemoryRequest>,
) -> Result<MemoryReceipt, Fault> {
    let until = deadline(&call);
    let VerifyMemoryRequest { id, namespace, trust_level, reason } = call.request;
    if let Some(reason) = &reason {
        use troupe_domain::limits::MAX_TEXT_BYTES;
        bounded("reason", reason, "MAX_TEXT_BYTES", MAX_TEXT_BYTES)?;
    }
    let namespace = memories.locate(namespace, &id, until).await?;
    let request = MemoryRequest::Verify {
        namespace: namespace.clone(),
        id,
        trust_level: trust_level.unwrap_or(TrustLevel::Verified),
        reason,
        by: call.caller,
    };
    answer_of!(memories.ask(&namespace, request, until).await?, Receipt).map(|receipt| *receipt)
}
