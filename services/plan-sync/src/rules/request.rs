//! What a shard can be asked, by a handler in the same process or by a peer.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use troupe_contract::event::TaskEventKind;
use troupe_contract::plan::{
    AddItemRequest, AddNoteRequest, AssignItemRequest, BulkUpdateRequest, Bytes64, Choice,
    ConflictPage, ConflictsRequest, CreatePlanRequest, DigestReply, DigestRequest, Fork,
    GetPlanRequest, ItemRef, ListPlansRequest, MergeResult, MoveItemRequest, ObjectReply,
    ObjectUpdateRequest, PlanHistoryPage, PlanHistoryRequest, PlanPage, PlanReceipt, PlanReply,
    PlanStatistics, ReorderItemsRequest, SnapshotReply, SnapshotRequest, SyncReply, SyncRequest,
    UpdateItemRequest, UpdateItemStatusRequest, UpdatePlanRequest,
};
use troupe_domain::plan::{Conflict, ItemId, ObjectId, PlanItem};
use troupe_domain::{AgentId, Fault, Name, TaskId, Timestamp, TraceContext, VectorClock};

use super::object::Version;
use super::record::{NewLink, Place, RequestKey};

/// An edit that the service's own replica makes for a caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the endpoints of the same names say it
pub enum Operation {
    CreatePlan(CreatePlanRequest),
    UpdatePlan(UpdatePlanRequest),
    DeletePlan(ObjectId),
    AddItem(AddItemRequest),
    UpdateItem(UpdateItemRequest),
    DeleteItem(ItemRef),
    MoveItem(MoveItemRequest),
    ReorderItems(ReorderItemsRequest),
    AssignItem(AssignItemRequest),
    UpdateStatus(UpdateItemStatusRequest),
    AddNote(AddNoteRequest),
    BulkUpdate(BulkUpdateRequest),
    Resolve { object: ObjectId, conflict: Name, choice: Choice },
    UpdateObject(ObjectUpdateRequest),
}

/// What a shard is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the endpoints of the same names say it
pub enum PlanRequest {
    Edit {
        caller: AgentId,
        operation: Box<Operation>,
        key: Option<RequestKey>,
        trace: Option<TraceContext>,
    },
    Apply {
        caller: AgentId,
        object: ObjectId,
        batches: Vec<Bytes64>,
        trace: Option<TraceContext>,
    },
    Get(GetPlanRequest),
    List(ListPlansRequest),
    Sync(SyncRequest),
    Snapshot(SnapshotRequest),
    Digest {
        caller: AgentId,
        digest: DigestRequest,
    },
    Conflicts(ConflictsRequest),
    History(PlanHistoryRequest),
    Forks(ObjectId),
    GetObject(ObjectId),
    Stats,
    /// What a former version is made of.
    Version {
        object: ObjectId,
        at: At,
    },
    /// Ready items that have no task yet.
    Ready {
        plan: ObjectId,
        item_ids: Vec<ItemId>,
        limit: usize,
    },
    /// Items get tasks; the events of these tasks come after `place`.
    Link {
        caller: AgentId,
        plan: ObjectId,
        links: Vec<NewLink>,
        place: Place,
        trace: Option<TraceContext>,
    },
    /// Items that say the same, all of them.
    Alike {
        plan: ObjectId,
        found: Vec<Conflict>,
    },
    /// A task is there.
    Confirm {
        task: TaskId,
    },
    /// Things happened to tasks, up to `place` in the stream of events.
    TasksMoved {
        moves: Vec<TaskMoved>,
        place: Place,
    },
    /// Nothing more is known of tasks up to here.
    Followed(Place),
    /// Snapshot and history of an object are in the archive, and `snapshot` is what it is there.
    Archived {
        object: ObjectId,
        first: u64,
        through: u64,
        snapshot: Bytes64,
    },
}

/// Which former version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the fields of `GetPlanRequest` say it
pub enum At {
    Now,
    Sequence(u64),
    Vector(VectorClock),
    Time(Timestamp),
}

/// Something that happened to a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskMoved {
    /// Which.
    pub task: TaskId,
    /// What.
    pub news: News,
    /// Who did it.
    pub by: Option<AgentId>,
    /// Why.
    pub reason: Option<String>,
    /// How long it was at work, where it is over.
    pub minutes: Option<u64>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

/// What is new of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// Something happened to it.
    Event(TaskEventKind),
    /// Its holder reported how far it is, 0 to 100.
    Progress(u8),
}

/// What an edit came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edited {
    /// The answer.
    pub receipt: PlanReceipt,
    /// The value of an object that is no plan.
    pub value: Option<Value>,
}

/// What came of batches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Taken {
    /// In the order given, up to the first that was refused.
    pub results: Vec<MergeResult>,
    /// Why the next one was refused.
    pub refused: Option<Fault>,
    /// Afterwards.
    pub sequence: u64,
    /// Afterwards.
    pub vector: VectorClock,
    /// Afterwards.
    pub state_hash: String,
}

/// What a shard answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the requests of the same names say it
pub enum PlanAnswer {
    Edited(Box<Edited>),
    Taken(Box<Taken>),
    Plan(Box<PlanReply>),
    Page(PlanPage),
    Sync(Box<SyncReply>),
    Snapshot(Box<SnapshotReply>),
    Digest(Box<DigestReply>),
    Conflicts(ConflictPage),
    History(PlanHistoryPage),
    Forks(Vec<Fork>),
    Object(Box<ObjectReply>),
    Stats(Box<PlanStatistics>),
    Version(Box<Version>),
    Ready { items: Vec<PlanItem>, left: usize },
    Done,
}

impl PlanAnswer {
    /// The answer of another kind than was asked for: a defect.
    pub fn unexpected(&self) -> Fault {
        Fault::new(troupe_domain::Code::Internal, format!("unexpected answer of a shard: {self:?}"))
    }
}
