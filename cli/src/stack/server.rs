//! A server that runs beside this process: its log in a file, its port, its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::process::Command;

use crate::agent::outcome::describe;
use crate::process::group::Group;

/// How long a server may take to listen.
pub(crate) const LISTEN_LIMIT_MS: u64 = 20_000;
/// How often it is looked at meanwhile.
pub(crate) const LISTEN_POLL_MS: u64 = 10;
/// How long a server may take to end in order.
const STOP_GRACE_MS: u64 = 10_000;
/// Lines of a server's log in an error.
const QUOTED_LINES: usize = 5;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    name: &'static str,
    log: PathBuf,
    group: Group,
}

impl Server {
    /// Starts it; its log goes to `<folder>/<name>.log`.
    pub(crate) async fn start(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let group = Group::start(command).await.with_context(|| format!("starting {name}"))?;
        Ok(Self { port: 0, name, log, group })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// Waits for an end that nobody asked for.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.group.ended().await {
            Ok(status) => self.error(status),
            Err(why) => why.into(),
        }
    }

    fn error(&self, status: ExitStatus) -> anyhow::Error {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n  ");
        anyhow!("{} ended: {}\n  {last}", self.name, describe(status))
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let grace = Duration::from_millis(STOP_GRACE_MS);
        self.group.stop(grace).await.with_context(|| format!("stopping {}", self.name))?;
        Ok(())
    }
}

/// Waits until one of them ends.
pub(crate) async fn ended(one: &mut Server, other: &mut Server) -> anyhow::Error {
    tokio::select! {
        error = one.failed() => error,
        error = other.failed() => error,
    }
}
