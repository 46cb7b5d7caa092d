//! Handlers: parse, one call, reply.

pub mod dispatching;
pub mod editing;
pub mod reading;
pub mod replicas;
pub mod versions;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::log::StreamLog;
use troupe_bus::port::World;
use troupe_bus::serve::Server;
use troupe_bus::{Bus, Call};
use troupe_contract::plan;
use troupe_domain::plan::ObjectId;
use troupe_domain::{Code, Fault, Name};
use troupe_shard::place::shard_of;

use crate::rules::request::{PlanAnswer, PlanRequest};
use crate::rules::state::PlanState;
use crate::store::archive::Archive;

/// Where the shards are.
pub type Router = troupe_shard::Router<PlanState>;
/// A shard that this process owns.
pub type Shard = troupe_shard::Shard<PlanState>;

/// What every handler needs.
pub struct Plans {
    /// The bus.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
    /// Where former versions are.
    pub archive: Option<Archive>,
    /// The event stream, whose newest place a dispatch must know.
    pub events: StreamLog,
    /// Time and chance.
    pub world: Arc<dyn World>,
}

impl std::fmt::Debug for Plans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plans").finish_non_exhaustive()
    }
}

/// What is kept of the caller's time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(100);

impl Plans {
    /// Asks the shard of `object`.
    pub(crate) async fn ask(
        &self,
        object: &ObjectId,
        request: PlanRequest,
        deadline: Instant,
    ) -> Result<PlanAnswer, Fault> {
        self.router.call(shard_of(object.as_str(), self.router.shards()), request, deadline).await
    }

    fn new_id(&self) -> Result<Name, Fault> {
        Name::parse(&self.world.ulid().to_string())
            .map_err(|why| Fault::new(Code::Internal, why.to_string()))
    }
}

/// Until when an answer is worth giving.
fn deadline<R>(call: &Call<R>) -> Instant {
    let now = Instant::now();
    call.deadline.checked_sub(MARGIN).filter(|at| *at > now).unwrap_or(call.deadline)
}

/// Serves every endpoint of the service.
pub async fn serve(
    server: &mut Server,
    plans: &Arc<Plans>,
) -> Result<(), troupe_bus::connect::ConnectError> {
    macro_rules! serve {
        ($($endpoint:ident => $handler:path;)+) => {$(
            let shared = plans.clone();
            server.endpoint::<plan::$endpoint, _, _>(move |call| {
                let plans = shared.clone();
                async move { $handler(&plans, call).await }
            }).await?;
        )+};
    }
    serve! {
        CreatePlan => editing::create;
        UpdatePlan => editing::update;
        DeletePlan => editing::delete;
        AddItem => editing::add_item;
        UpdateItem => editing::update_item;
        DeleteItem => editing::delete_item;
        MoveItem => editing::move_item;
        ReorderItems => editing::reorder_items;
        AssignItem => editing::assign_item;
        UpdateStatus => editing::update_status;
        AddNote => editing::add_note;
        BulkUpdate => editing::bulk_update;
        Resolve => editing::resolve;
        ObjectUpdate => editing::update_object;
        Apply => replicas::apply;
        Sync => replicas::sync;
        Snapshot => replicas::snapshot;
        Digest => replicas::digest;
        GetPlan => versions::get;
        History => versions::history;
        ListPlans => reading::list;
        Conflicts => reading::conflicts;
        Forks => reading::forks;
        ObjectGet => reading::object;
        PlanStats => reading::stats;
        Dispatch => dispatching::dispatch;
    }
    server.batches::<plan::PlanBatch>().await
}

/// The answer of a shard, if it is of the kind that was asked for.
macro_rules! answer_of {
    ($answer:expr, $kind:ident) => {
        match $answer {
            crate::rules::request::PlanAnswer::$kind(answer) => Ok(answer),
            other => Err(other.unexpected()),
        }
    };
}
pub(crate) use answer_of;

/// A page's size: 100 where none is named.
fn page_rows(limit: Option<usize>) -> Result<usize, Fault> {
    use troupe_domain::limits::MAX_PAGE_ROWS;
    match limit.unwrap_or(100) {
        rows if rows > MAX_PAGE_ROWS => {
            Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "limit"))
        }
        0 => Err(Fault::invalid("limit", "must be more than 0")),
        rows => Ok(rows),
    }
}
