//! The two signals that stop a process: the first drains it, the second aborts the drain.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT. Listen before anything else starts: until then they kill the process.
#[derive(Debug, Default)]
pub struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Listens from now on. Needs a running Tokio runtime.
    pub fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self(Some((terminate, interrupt))))
    }

    /// No signal ever comes: whoever embeds the process stops it by a method.
    pub fn none() -> Self {
        Self(None)
    }

    /// Waits for the next of them, and names it.
    pub async fn next(&mut self) -> &'static str {
        match &mut self.0 {
            None => std::future::pending().await,
            Some((terminate, interrupt)) => tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            },
        }
    }
}
