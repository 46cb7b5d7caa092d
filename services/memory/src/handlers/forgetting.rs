//! Taking back and deleting.

use troupe_bus::Call;
use troupe_contract::memory::{
    DeleteMemoryRequest, DeletionReceipt, MemoryRef, RetractMemoryReply, RetractMemoryRequest,
};
use troupe_domain::Fault;
use troupe_domain::limits::MAX_TEXT_BYTES;

use super::{Memories, answer_of, deadline};
use crate::rules::checking::{bounded, check_text};
use crate::rules::request::MemoryRequest;

/// `memory.retract`
pub async fn retract(
    memories: &Memories,
    call: Call<RetractMemoryRequest>,
) -> Result<RetractMemoryReply, Fault> {
    let until = deadline(&call);
    let RetractMemoryRequest { id, namespace, reason } = call.request;
    check_text("reason", &reason)?;
    let namespace = memories.locate(namespace, &id, until).await?;
    let by = call.caller;
    let request = MemoryRequest::Retract { namespace: namespace.clone(), id, reason, by };
    answer_of!(memories.ask(&namespace, request, until).await?, Retracted).map(|reply| *reply)
}

/// `memory.delete`
pub async fn delete(
    memories: &Memories,
    call: Call<DeleteMemoryRequest>,
) -> Result<DeletionReceipt, Fault> {
    let until = deadline(&call);
    let DeleteMemoryRequest { id, namespace, reason } = call.request;
    if let Some(reason) = &reason {
        bounded("reason", reason, "MAX_TEXT_BYTES", MAX_TEXT_BYTES)?;
    }
    let namespace = memories.locate(namespace, &id, until).await?;
    let salt = format!("{:032x}", memories.world.random());
    let by = call.caller;
    let request = MemoryRequest::Delete { namespace: namespace.clone(), id, reason, by, salt };
    answer_of!(memories.ask(&namespace, request, until).await?, Deletion).map(|receipt| *receipt)
}

/// `memory.deletion_get`
pub async fn deletion(
    memories: &Memories,
    call: Call<MemoryRef>,
) -> Result<DeletionReceipt, Fault> {
    let until = deadline(&call);
    let MemoryRef { id, namespace } = call.request;
    let namespace = memories.locate(namespace, &id, until).await?;
    let request = MemoryRequest::Deletion { namespace: namespace.clone(), id };
    answer_of!(memories.ask(&namespace, request, until).await?, Deletion).map(|receipt| *receipt)
}
