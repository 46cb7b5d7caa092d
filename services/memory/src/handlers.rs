//! Handlers: parse, one call, reply.

pub mod contents;
pub mod counting;
pub mod forgetting;
pub mod history;
pub mod moving;
pub mod reading;
pub mod searching;
pub mod writing;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::port::World;
use troupe_bus::serve::Server;
use troupe_bus::{Bus, Call};
use troupe_contract::memory as contract;
use troupe_domain::memory::{MemoryId, Namespace};
use troupe_domain::{AgentId, Code, Fault, Name};
use troupe_embedding::Embedder;
use troupe_segments::Segments;
use troupe_shard::place::shard_of;

use crate::rules::entry::sha256_of;
use crate::rules::request::{MemoryAnswer, MemoryRequest};
use crate::rules::state::MemoryState;
use crate::store::hot::Hot;

/// Where the shards are.
pub type Router = troupe_shard::Router<MemoryState>;
/// A shard that this process owns.
pub type Shard = troupe_shard::Shard<MemoryState>;

/// What every handler needs.
pub struct Memories {
    /// The bus.
    pub bus: Bus,
    /// Where the shards are.
    pub router: Arc<Router>,
    /// What makes vectors; it may be absent, and then it is searched by words.
    pub embedder: Option<Embedder>,
    /// The hot tier.
    pub hot: Option<Arc<Hot>>,
    /// The cold tier.
    pub segments: Option<Segments>,
    /// How it is with the cold tier.
    pub cold_health: Arc<crate::store::cold::Health>,
    /// Where what happens in the fleet is remembered.
    pub learns_in: Namespace,
    /// Time and chance.
    pub world: Arc<dyn World>,
}

impl std::fmt::Debug for Memories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memories").finish_non_exhaustive()
    }
}

/// What is kept of the caller's time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(100);
/// Digits of the digest that an idempotency key becomes.
const KEY_DIGITS: usize = 40;

impl Memories {
    /// The shard of a namespace.
    pub(crate) fn shard_of(&self, namespace: &Namespace) -> u16 {
        shard_of(namespace.as_str(), self.router.shards())
    }

    /// Asks the shard of `namespace`.
    pub(crate) async fn ask(
        &self,
        namespace: &Namespace,
        request: MemoryRequest,
        deadline: Instant,
    ) -> Result<MemoryAnswer, Fault> {
        self.router.call(self.shard_of(namespace), request, deadline).await
    }

    /// The namespace that is named, or the one that the entry is in.
    async fn locate(
        &self,
        namespace: Option<Namespace>,
        id: &MemoryId,
        deadline: Instant,
    ) -> Result<Namespace, Fault> {
        if let Some(namespace) = namespace {
            return Ok(namespace);
        }
        let find = MemoryRequest::Find { id: id.clone() };
        let by_default = Namespace::default();
        if let MemoryAnswer::Where(Some(found)) =
            self.ask(&by_default, find.clone(), deadline).await?
        {
            return Ok(found);
        }
        let answers = self.router.call_all(find, deadline).await?;
        let found = answers.into_iter().find_map(|answer| match answer {
            MemoryAnswer::Where(found) => found,
            _ => None,
        });
        found.ok_or_else(|| Fault::not_found("memory", id))
    }

    /// The id of something new, and whether it follows from the idempotency key of the command: then a
    /// repetition has the same.
    fn id_for(
        &self,
        namespace: &Namespace,
        caller: &AgentId,
        command_id: Option<&str>,
    ) -> Result<(MemoryId, bool), Fault> {
        let text = match command_id {
            Some(key) => {
                let digest = sha256_of(&format!("{namespace} {caller} {key}"));
                format!("key-{}", &digest[..KEY_DIGITS])
            }
            None => self.world.ulid().to_string(),
        };
        let id = Name::parse(&text).map_err(|why| Fault::new(Code::Internal, why.to_string()))?;
        Ok((id, command_id.is_some()))
    }
}

/// Until when an answer is worth giving.
fn deadline<R>(call: &Call<R>) -> Instant {
    let now = Instant::now();
    call.deadline.checked_sub(MARGIN).filter(|at| *at > now).unwrap_or(call.deadline)
}

/// A page's size: `usual` where none is named.
fn page_rows(limit: Option<usize>, usual: usize, most: (&str, usize)) -> Result<usize, Fault> {
    match limit.unwrap_or(usual) {
        rows if rows > most.1 => Err(Fault::exhausted(most.0, most.1).with("field", "limit")),
        0 => Err(Fault::invalid("limit", "must be more than 0")),
        rows => Ok(rows),
    }
}

/// The answer of a shard, if it is of the kind that was asked for.
macro_rules! answer_of {
    ($answer:expr, $kind:ident) => {
        match $answer {
            crate::rules::request::MemoryAnswer::$kind(answer) => Ok(answer),
            other => Err(other.unexpected()),
        }
    };
}
pub(crate) use answer_of;

/// Serves every endpoint of the service.
pub async fn serve(
    server: &mut Server,
    memories: &Arc<Memories>,
) -> Result<(), troupe_bus::connect::ConnectError> {
    macro_rules! serve {
        ($($endpoint:ident => $handler:path;)+) => {$(
            let shared = memories.clone();
            server.endpoint::<contract::$endpoint, _, _>(move |call| {
                let memories = shared.clone();
                async move { $handler(&memories, call).await }
            }).await?;
        )+};
    }
    serve! {
        CreateMemory => writing::create;
        CreateRefinementTrace => writing::create_trace;
        CreateConsensus => writing::create_consensus;
        UpdateMemory => writing::update;
        VerifyMemory => writing::verify;
        GetMemory => reading::get;
        ListMemories => reading::list;
        MemoryConflicts => reading::conflicts;
        SearchMemory => searching::search;
        SearchExpertConsensus => searching::search_consensus;
        SuggestMemories => searching::suggest;
        TrackRecords => history::track_records;
        RetractMemory => forgetting::retract;
        DeleteMemory => forgetting::delete;
        GetDeletion => forgetting::deletion;
        ExportMemories => moving::export;
        ImportMemories => moving::import;
        ListNamespaces => counting::namespaces;
        PutQuota => counting::put_quota;
        MemoryStats => counting::stats;
    }
    server.batches::<contract::MemoryBatch>().await
}
