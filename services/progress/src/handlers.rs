//! Handlers: parse, one call, reply.

pub mod looking_ahead;
pub mod milestones;
pub mod reading;
pub mod reporting;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::port::World;
use troupe_bus::serve::Server;
use troupe_bus::{Bus, Call};
use troupe_contract::progress as contract;
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{Code, Fault, Name};

use crate::rules::request::{ProgressReply, ProgressRequest};
use crate::rules::state::{ProgressState, SHARD};

/// Where the state is.
pub type Router = troupe_shard::Router<ProgressState>;
/// The state, if this process owns it.
pub type Shard = troupe_shard::Shard<ProgressState>;

/// What every handler needs.
pub struct Progress {
    /// The bus.
    pub bus: Bus,
    /// Where the state is.
    pub router: Arc<Router>,
    /// Time and chance.
    pub world: Arc<dyn World>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// What is kept of the caller's time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(100);

impl Progress {
    async fn ask(
        &self,
        request: ProgressRequest,
        deadline: Instant,
    ) -> Result<ProgressReply, Fault> {
        self.router.call(SHARD, request, deadline).await
    }

    /// The id of what a caller sends without naming one: it follows from the idempotency key of the
    /// command, so that a repetition is recognised.
    fn id_for(&self, command_id: Option<&str>) -> Result<Name, Fault> {
        let text = match command_id {
            Some(key) => match Name::parse(key) {
                Ok(id) => return Ok(id),
                Err(_) => format!("key-{}", digest(key)),
            },
            None => self.world.ulid().to_string(),
        };
        Name::parse(&text).map_err(|why| Fault::new(Code::Internal, why.to_string()))
    }
}

/// 128 bits of SHA-256, hexadecimal.
fn digest(text: &str) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest[..16].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Until when an answer is worth giving.
fn deadline<R>(call: &Call<R>) -> Instant {
    let now = Instant::now();
    call.deadline.checked_sub(MARGIN).filter(|at| *at > now).unwrap_or(call.deadline)
}

/// A page's size: `usual` where none is named.
fn page_rows(limit: Option<usize>, usual: usize) -> Result<usize, Fault> {
    match limit.unwrap_or(usual) {
        rows if rows > MAX_PAGE_ROWS => {
            Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "limit"))
        }
        rows => Ok(rows),
    }
}

/// The answer, if it is of the kind that was asked for.
macro_rules! answer_of {
    ($reply:expr, $kind:ident) => {
        match $reply {
            crate::rules::request::ProgressReply::$kind(answer) => Ok(answer),
            other => Err(other.unexpected()),
        }
    };
}
pub(crate) use answer_of;

/// Serves every endpoint of the service.
pub async fn serve(
    server: &mut Server,
    progress: &Arc<Progress>,
) -> Result<(), troupe_bus::connect::ConnectError> {
    macro_rules! serve {
        ($($endpoint:ident => $handler:path;)+) => {$(
            let shared = progress.clone();
            server.endpoint::<contract::$endpoint, _, _>(move |call| {
                let progress = shared.clone();
                async move { $handler(&progress, call).await }
            }).await?;
        )+};
    }
    serve! {
        Report => reporting::report;
        Latest => reading::latest;
        History => reading::history;
        Summary => reading::summary;
        AgentSummary => reading::agent_summary;
        Stalled => reading::stalled;
        ProgressStats => reading::stats;
        MilestoneCreate => milestones::create;
        MilestoneUpdate => milestones::update;
        MilestoneGet => milestones::get;
        MilestoneList => milestones::list;
        Bottlenecks => looking_ahead::bottlenecks;
        Estimate => looking_ahead::estimate;
    }
    server.batches::<contract::ProgressBatch>().await
}
