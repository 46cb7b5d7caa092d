//! Serving HTTP on sockets.
//!
//! Invariants: a socket on which no whole head of a request comes in time is closed, so that whoever begins
//! one and never ends it keeps no place; when told to stop, nobody new is let in, and every request that is
//! there is answered.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::mpsc;
use troupe_runtime::CancellationToken;

use super::listening::{Bounded, Socket};

/// Serves until `stop`, and until the last request is answered.
pub(crate) async fn serve(
    mut listener: Bounded,
    router: Router,
    head_within: Duration,
    stop: CancellationToken,
) {
    // Nothing is ever sent: it closes when the last connection has let go of its end.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    loop {
        let (socket, _) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (router, stop, open) = (router.clone(), stop.clone(), open.clone());
        tokio::spawn(async move {
            speak(socket, router, head_within, stop).await;
            drop(open);
        });
    }
    drop((listener, open));
    let _ = all_closed.recv().await;
}

async fn speak(socket: Socket, router: Router, head_within: Duration, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_within);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "a connection ended");
    }
}
