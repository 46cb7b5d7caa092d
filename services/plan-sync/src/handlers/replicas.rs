//! What replicas ask: to take batches in, for those that they lack, for a snapshot, to compare.

use troupe_bus::Call;
use troupe_contract::plan::{
    ApplyReply, ApplyRequest, Bytes64, DigestReply, DigestRequest, SnapshotReply, SnapshotRequest,
    SyncReply, SyncRequest,
};
use troupe_crdt::SignedBatch;
use troupe_domain::Fault;
use troupe_domain::limits::{MAX_APPLY_BATCHES, MAX_APPLY_BYTES, MAX_SYNC_BYTES};
use troupe_domain::plan::ObjectId;

use super::{Plans, answer_of, deadline};
use crate::rules::request::PlanRequest;

/// `plan.apply`
pub async fn apply(plans: &Plans, call: Call<ApplyRequest>) -> Result<ApplyReply, Fault> {
    let batches = &call.request.batches;
    let object = object_of(batches)?;
    let request = PlanRequest::Apply {
        caller: call.caller.clone(),
        object: object.clone(),
        batches: batches.clone(),
        trace: call.trace.clone(),
    };
    let taken = *answer_of!(plans.ask(&object, request, deadline(&call)).await?, Taken)?;
    Ok(ApplyReply {
        object_id: object,
        results: taken.results,
        refused: taken.refused,
        sequence: taken.sequence,
        vector: taken.vector,
        state_hash: taken.state_hash,
    })
}

/// The object that all batches are of: the first says it, and its shard checks the others.
fn object_of(batches: &[Bytes64]) -> Result<ObjectId, Fault> {
    let Some(first) = batches.first() else {
        return Err(Fault::invalid("batches", "must not be empty"));
    };
    if batches.len() > MAX_APPLY_BATCHES {
        return Err(
            Fault::exhausted("MAX_APPLY_BATCHES", MAX_APPLY_BATCHES).with("field", "batches")
        );
    }
    if batches.iter().map(Bytes64::len).sum::<usize>() > MAX_APPLY_BYTES {
        return Err(Fault::exhausted("MAX_APPLY_BYTES", MAX_APPLY_BYTES).with("field", "batches"));
    }
    let batch =
        SignedBatch::decode(first.as_ref()).map_err(|why| Fault::invalid("batches[0]", why))?;
    Ok(batch.batch().object.clone())
}

/// `plan.sync`
pub async fn sync(plans: &Plans, call: Call<SyncRequest>) -> Result<SyncReply, Fault> {
    if call.request.max_bytes.is_some_and(|bytes| bytes > MAX_SYNC_BYTES) {
        return Err(Fault::exhausted("MAX_SYNC_BYTES", MAX_SYNC_BYTES).with("field", "max_bytes"));
    }
    let object = call.request.object_id.clone();
    let request = PlanRequest::Sync(call.request.clone());
    Ok(*answer_of!(plans.ask(&object, request, deadline(&call)).await?, Sync)?)
}

/// `plan.snapshot`
pub async fn snapshot(plans: &Plans, call: Call<SnapshotRequest>) -> Result<SnapshotReply, Fault> {
    let object = call.request.object_id.clone();
    let request = PlanRequest::Snapshot(call.request.clone());
    Ok(*answer_of!(plans.ask(&object, request, deadline(&call)).await?, Snapshot)?)
}

/// `plan.digest`
pub async fn digest(plans: &Plans, call: Call<DigestRequest>) -> Result<DigestReply, Fault> {
    let object = call.request.object_id.clone();
    let request = PlanRequest::Digest { caller: call.caller.clone(), digest: call.request.clone() };
    Ok(*answer_of!(plans.ask(&object, request, deadline(&call)).await?, Digest)?)
}
