//! Handlers: parse, one call, reply.

pub mod claiming;
pub mod creating;
pub mod ending;
pub mod reading;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use troupe_bus::port::{Log, World};
use troupe_bus::serve::Server;
use troupe_bus::{Bus, Call};
use troupe_contract::work;
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{Fault, TaskId};
use troupe_shard::place::shard_of;

use crate::replica::fleet::Fleet;
use crate::replica::waiters::Waiters;
use crate::shard::{Router, ShardReply, ShardRequest};

/// What every handler needs.
pub struct Work {
    /// The bus.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
    /// What is known of the agents.
    pub fleet: Arc<Fleet>,
    /// Who waits for work here.
    pub waiters: Arc<Waiters>,
    /// The event stream, which holds the archive of tasks too.
    pub archive: Arc<dyn Log>,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// The lease of a task that names none.
    pub default_lease_ms: u64,
    /// True when this replica drains: polls end, so that their agents ask another one.
    pub draining: watch::Receiver<bool>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// What is kept of the caller's time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(100);

impl Work {
    fn shard_of(&self, id: &TaskId) -> u16 {
        shard_of(id.as_str(), self.router.shards())
    }

    /// Asks the shard of `id`.
    async fn ask(
        &self,
        id: &TaskId,
        request: ShardRequest,
        deadline: Instant,
    ) -> Result<ShardReply, Fault> {
        self.router.call(self.shard_of(id), request, deadline).await
    }

    /// Asks the shard of `id` to write, and gives the receipt.
    async fn receipt(
        &self,
        id: &TaskId,
        request: ShardRequest,
        deadline: Instant,
    ) -> Result<work::TaskReceipt, Fault> {
        match self.ask(id, request, deadline).await? {
            ShardReply::Receipt(receipt) => Ok(receipt),
            other => Err(other.unexpected()),
        }
    }
}

/// Until when an answer is worth giving.
fn deadline<R>(call: &Call<R>) -> Instant {
    let now = Instant::now();
    call.deadline.checked_sub(MARGIN).filter(|at| *at > now).unwrap_or(call.deadline)
}

/// A page's size: 100 where none is named.
fn page_rows(limit: Option<usize>) -> Result<usize, Fault> {
    match limit.unwrap_or(100) {
        rows if rows > MAX_PAGE_ROWS => {
            Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "limit"))
        }
        rows => Ok(rows),
    }
}

/// Serves every endpoint of the service.
pub async fn serve(
    server: &mut Server,
    work: &Arc<Work>,
) -> Result<(), troupe_bus::connect::ConnectError> {
    macro_rules! serve {
        ($($endpoint:ident => $handler:path;)+) => {$(
            let shared = work.clone();
            server.endpoint::<work::$endpoint, _, _>(move |call| {
                let work = shared.clone();
                async move { $handler(&work, call).await }
            }).await?;
        )+};
    }
    serve! {
        Create => creating::create;
        CreateGraph => creating::create_graph;
        Next => claiming::next;
        Claim => claiming::claim;
        Start => claiming::start;
        Extend => claiming::extend;
        Complete => ending::complete;
        Fail => ending::fail;
        Release => ending::release;
        Cancel => ending::cancel;
        Verify => ending::verify;
        Revive => ending::revive;
        GetTask => reading::get;
        ListTasks => reading::list;
        Available => reading::available;
        Recommend => reading::recommend;
        WorkStats => reading::stats;
    }
    server.batches::<work::WorkBatch>().await
}
