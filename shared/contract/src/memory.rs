//! The endpoints of memory.

mod forgetting;
mod history;
mod learning;
mod moving;
mod reading;
mod searching;
mod writing;

pub use forgetting::*;
pub use history::*;
pub use learning::*;
pub use moving::*;
pub use reading::*;
pub use searching::*;
pub use writing::*;

use crate::Service;
use crate::batch::{BatchReply, BatchRequest};
use crate::endpoint::endpoints;
use crate::registry::Empty;

endpoints! { Service::Memory;
    /// Remembers something, and answers when it is durable.
    CreateMemory = "create" (CreateMemoryRequest) -> MemoryReceipt, Everyone, batched = true;
    /// Reads one entry, wherever its content is.
    GetMemory = "get" (MemoryRef) -> GetMemoryReply, Everyone, batched = true;
    /// Finds entries by words and meaning, the best first, page by page.
    SearchMemory = "search" (MemorySearchRequest) -> MemorySearchReply, Everyone;
    /// Lists entries of a namespace by id, page by page.
    ListMemories = "list" (ListMemoriesRequest) -> MemoryPage, Everyone;
    /// Changes an entry that the caller wrote, if it is as the caller has read it.
    UpdateMemory = "update" (UpdateMemoryRequest) -> MemoryReceipt, Everyone, batched = true;
    /// Takes an entry back, and everything that derives from it.
    RetractMemory = "retract" (RetractMemoryRequest) -> RetractMemoryReply, Everyone;
    /// Says how far an entry is to be believed; its author may not.
    VerifyMemory = "verify" (VerifyMemoryRequest) -> MemoryReceipt, Everyone;
    /// Deletes an entry from every tier.
    DeleteMemory = "delete" (DeleteMemoryRequest) -> DeletionReceipt, Everyone;
    /// Reads the proof of a deletion: what is done in each tier, and when.
    GetDeletion = "deletion_get" (MemoryRef) -> DeletionReceipt, Everyone;
    /// Lists entries that say the opposite of each other, page by page.
    MemoryConflicts = "conflicts" (MemoryConflictsRequest) -> MemoryConflictPage, Everyone;
    /// Remembers attempts at a task, and what came of them.
    CreateRefinementTrace = "create_refinement_trace" (CreateRefinementTraceRequest) -> MemoryReceipt, Everyone;
    /// Remembers a question, who voted what, and why.
    CreateConsensus = "create_consensus" (CreateConsensusRequest) -> MemoryReceipt, Everyone;
    /// Finds questions that were voted on, by words, kind of task and agreement.
    SearchExpertConsensus = "search_expert_consensus" (SearchConsensusRequest) -> MemorySearchReply, Everyone;
    /// Finds what helped before with what holds somebody up now.
    SuggestMemories = "suggest" (SuggestRequest) -> MemorySearchReply, Everyone;
    /// Tells what agents achieved so far, at all and at things like what is to be done.
    TrackRecords = "track_records" (TrackRecordsRequest) -> TrackRecordsReply, Everyone;
    /// Gives all entries of a namespace, page by page.
    ExportMemories = "export" (ExportMemoriesRequest) -> ExportPage, Everyone;
    /// Takes exported entries in; those that are there stay.
    ImportMemories = "import" (ImportMemoriesRequest) -> ImportReply, Everyone;
    /// Lists the namespaces, with what they hold and may hold.
    ListNamespaces = "namespaces" (Empty) -> NamespaceList, Everyone;
    /// Says how much a namespace may hold.
    PutQuota = "quota_put" (PutQuotaRequest) -> NamespaceReply, Everyone;
    /// Counts entries by tier, type, status and trust, and says what works.
    MemoryStats = "stats" (Empty) -> MemoryStatistics, Everyone;
    /// Carries several calls of one caller, each with its own outcome.
    MemoryBatch = "batch" (BatchRequest) -> BatchReply, Everyone;
}
