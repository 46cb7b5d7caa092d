//! Handlers: parse, one call, reply.

pub mod deciding;
pub mod following;
pub mod reading;
pub mod receiving;
pub mod sending;
pub mod talking;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use troupe_bus::Call;
use troupe_bus::port::World;
use troupe_bus::serve::Server;
use troupe_contract::ingress::shard_of_agent;
use troupe_contract::routing;
use troupe_domain::{Code, Fault, MessageId, Name};

use crate::intents::Intents;
use crate::replica::waiters::Waiters;
use crate::rules::request::{RoutingReply, RoutingRequest};
use crate::rules::state::RoutingState;

/// Where the shards are.
pub type Router = troupe_shard::Router<RoutingState>;
/// A shard that this process owns.
pub type Shard = troupe_shard::Shard<RoutingState>;

/// What every handler needs.
pub struct Routing {
    /// Where the shards are.
    pub router: Arc<Router>,
    /// Who waits for messages here.
    pub waiters: Arc<Waiters>,
    /// Who can act on what.
    pub intents: Arc<Intents>,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// True when this replica drains: polls end, so that their agents ask another one.
    pub draining: watch::Receiver<bool>,
}

impl std::fmt::Debug for Routing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routing").finish_non_exhaustive()
    }
}

/// What is kept of the caller's time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(100);

impl Routing {
    /// The shard of an agent's mailbox, or of a session.
    fn home_of(&self, id: &Name) -> u16 {
        shard_of_agent(id, self.router.shards())
    }

    /// Asks the shard of an agent or a session.
    async fn ask(
        &self,
        id: &Name,
        request: RoutingRequest,
        deadline: Instant,
    ) -> Result<RoutingReply, Fault> {
        self.router.call(self.home_of(id), request, deadline).await
    }

    /// The id of what a caller sends without naming one: it follows from the idempotency key of the
    /// command, so that a repetition is recognised.
    fn id_for(&self, command_id: Option<&str>) -> Result<MessageId, Fault> {
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

/// Serves every endpoint of the service.
pub async fn serve(
    server: &mut Server,
    routing: &Arc<Routing>,
) -> Result<(), troupe_bus::connect::ConnectError> {
    macro_rules! serve {
        ($($endpoint:ident => $handler:path;)+) => {$(
            let shared = routing.clone();
            server.endpoint::<routing::$endpoint, _, _>(move |call| {
                let routing = shared.clone();
                async move { $handler(&routing, call).await }
            }).await?;
        )+};
    }
    serve! {
        Send => sending::send;
        Inbox => receiving::inbox;
        Ack => receiving::ack;
        DeadLetters => receiving::dead_letters;
        Subscribe => following::subscribe;
        Unsubscribe => following::unsubscribe;
        Subscriptions => following::subscriptions;
        Resolve => deciding::resolve;
        RoutePut => deciding::route_put;
        RouteDelete => deciding::route_delete;
        RouteList => deciding::route_list;
        Fit => deciding::fit;
        Feedback => deciding::feedback;
        SessionOpen => talking::open;
        SessionJoin => talking::join;
        SessionLeave => talking::leave;
        SessionSay => talking::say;
        SessionClose => talking::close;
        SessionGet => reading::session_get;
        SessionList => reading::session_list;
        SessionTranscript => reading::session_transcript;
        RoutingStats => reading::stats;
        Pending => reading::pending;
    }
    Ok(())
}

/// Refuses a list that is longer than `max`, which `limit` names.
fn check_len<T>(field: &str, list: &[T], limit: &str, max: usize) -> Result<(), Fault> {
    if list.len() > max {
        return Err(Fault::exhausted(limit, max).with("field", field));
    }
    Ok(())
}

/// The answer of a shard, if it is of the kind that was asked for.
macro_rules! answer_of {
    ($reply:expr, $kind:ident) => {
        match $reply {
            crate::rules::request::RoutingReply::$kind(answer) => Ok(answer),
            other => Err(other.unexpected()),
        }
    };
}
pub(crate) use answer_of;
