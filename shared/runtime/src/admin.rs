//! The admin server: `/livez`, `/readyz`, `/metrics` and `/version`, for orchestrators and people.
//!
//! Invariant: it is the first thing up and the last thing down, so that every phase can be seen.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::RwLock;
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{CONTENT_TYPE, Metrics},
    readiness::Readiness,
    tasks::Supervisor,
};

/// The admin server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (admin.listen): {reason}")]
pub struct BindError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// Why it cannot.
    pub reason: std::io::Error,
}

/// A service of this process, as `/version` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Such as `troupe-registry`.
    pub service: String,
    /// Its version.
    pub version: String,
}

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Sources {
    /// For `/livez`.
    pub supervisor: Supervisor,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/version`.
    pub versions: Arc<RwLock<Vec<Version>>>,
}

/// A running admin server.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl AdminServer {
    /// Listens on `address`; port 0 takes a free port.
    pub async fn start(address: SocketAddr, sources: Sources) -> Result<Self, BindError> {
        let refused = |reason| BindError { address, reason };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/version", get(version))
            .with_state(sources);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            tokio::select! {
                // Idle connections of scrapers are cut rather than waited for.
                () = stopped => {}
                ended = async { axum::serve(listener, router).await } => {
                    tracing::error!(?ended, "the admin server has ended");
                }
            }
        });
        tracing::info!(address = %bound, "admin server listens");
        Ok(Self { address: bound, stop, serving })
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It holds nothing that its end could fail to write.
        let _ = (&mut self.serving).await;
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn livez(State(sources): State<Sources>) -> Response {
    match sources.supervisor.failure() {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(failure) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{failure}\n")).into_response()
        }
    }
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let report = sources.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &report)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match sources.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")).into_response(),
    }
}

async fn version(State(sources): State<Sources>) -> Response {
    let versions = sources.versions.read().clone();
    json(StatusCode::OK, &versions)
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")).into_response(),
    }
}
