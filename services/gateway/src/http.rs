//! The door for HTTP: who may come in, how many, and whose session it is.
//!
//! Invariants: whoever is let in is named by the token alone, and its name goes with the request; a
//! session is there for whoever opened it and for nobody else; sockets and requests, streams included,
//! are bounded in number, and each request in size.

mod bounded;
mod listening;
mod serving;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::ServerHandler;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::sync::Semaphore;
use troupe_runtime::CancellationToken;

use crate::config::McpConfig;
use crate::identity::{Identity, Refused};
use bounded::Held;
pub(crate) use listening::Bounded;
pub(crate) use serving::serve;
use sessions::SESSION_HEADER;
pub(crate) use sessions::Sessions;

/// Where MCP is spoken.
pub(crate) const PATH: &str = "/mcp";
/// Codes of JSON-RPC that servers may choose: for whoever is not let in.
const NOT_LET_IN: i32 = -32_001;
const TOO_MANY: i32 = -32_002;

/// The door.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) identity: Identity,
    pub(crate) sessions: Arc<Sessions>,
    room: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(identity: Identity, config: &McpConfig) -> Self {
        Self {
            identity,
            sessions: Arc::new(Sessions::new(config)),
            room: Arc::new(Semaphore::new(config.max_requests)),
        }
    }
}

/// Everything that is served over HTTP. `handler` makes what answers, for a session or a request.
pub(crate) fn router<H: ServerHandler>(
    door: Arc<Door>,
    config: &McpConfig,
    stop: CancellationToken,
    handler: impl Fn() -> H + Send + Sync + 'static,
) -> Router {
    let hosts = ["localhost", "127.0.0.1", "::1", "[::1]"].map(str::to_owned).into_iter();
    let transport = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts.chain(listed(&config.allowed_hosts)))
        .with_allowed_origins(origins(config))
        .with_max_request_body_bytes(config.max_body_bytes)
        .with_cancellation_token(stop);
    let service =
        StreamableHttpService::new(move || Ok(handler()), door.sessions.clone(), transport);
    Router::new()
        .route_service(PATH, service)
        .layer(axum::middleware::from_fn_with_state(door, let_in))
}

/// What is named in a list with commas.
fn listed(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Pages of this machine always may call what listens on this machine: without a token they learn
/// nothing where tokens are asked for.
fn origins(config: &McpConfig) -> Vec<String> {
    let local = ["localhost", "127.0.0.1", "[::1]"]
        .into_iter()
        .flat_map(|host| ["http", "https"].map(|scheme| format!("{scheme}://{host}:*")));
    local.chain(listed(&config.allowed_origins)).collect()
}

async fn let_in(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let Ok(place) = door.room.clone().try_acquire_owned() else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY, "too many requests at once");
    };
    let authorization = request.headers().get(header::AUTHORIZATION);
    let caller = match door.identity.caller(authorization.and_then(|it| it.to_str().ok())) {
        Ok(caller) => caller,
        Err(why) => return not_let_in(why),
    };
    let agent = caller.agent.clone();
    let session = session_of(request.headers());
    if let Some(session) = &session
        && !door.sessions.belongs_to(session, &agent)
    {
        // The same as of a session that never was.
        return (StatusCode::NOT_FOUND, "Not Found: Session not found").into_response();
    }
    let ends = request.method() == Method::DELETE;
    request.extensions_mut().insert(caller);
    // A session that begins with this request is this caller's before anybody else knows of it.
    let response = door.sessions.opened_by(agent, next.run(request)).await;
    if let (true, true, Some(session)) = (ends, response.status().is_success(), &session) {
        door.sessions.forget(session);
    }
    let (parts, body) = response.into_parts();
    // A stream keeps its place for as long as it is open.
    Response::from_parts(parts, Body::new(Held::new(body, place)))
}

fn session_of(headers: &axum::http::HeaderMap) -> Option<String> {
    headers.get(SESSION_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn not_let_in(why: Refused) -> Response {
    let mut response = refusal(StatusCode::UNAUTHORIZED, NOT_LET_IN, &why.to_string());
    let challenge = HeaderValue::from_static("Bearer realm=\"troupe\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn refusal(status: StatusCode, code: i32, why: &str) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": why}});
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body.to_string()).into_response()
}
