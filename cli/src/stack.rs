//! The whole stack in one process: nats-server and valkey-server beside it, every service in it.
//!
//! Invariants: everything that is written is below one data folder, which one stack holds at a time;
//! a stop goes services first, servers last; the servers die with this process, however it ends.

pub(crate) mod address_file;
pub(crate) mod nats;
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod valkey;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;
use troupe_domain::agent::Timing;
use troupe_runtime::config::Common;
use troupe_runtime::telemetry::Telemetry;
use troupe_runtime::{Host, Signals};

use self::address_file::Addresses;
use self::server::Server;

/// How long the services may take to be ready; they read their logs first.
const READY_LIMIT_MS: u64 = 120_000;
/// How often readiness is looked at.
const READY_POLL_MS: u64 = 20;

/// What a stack is made of.
#[derive(Debug, Clone)]
pub(crate) struct StackOptions {
    pub(crate) data_dir: PathBuf,
    /// 0 is a free one, here and below.
    pub(crate) nats_port: u16,
    pub(crate) redis_port: u16,
    pub(crate) http_port: u16,
    pub(crate) mcp_port: u16,
    pub(crate) shards: Option<u16>,
    pub(crate) timing: Timing,
}

/// A stack that is ready.
pub(crate) struct Stack {
    pub(crate) addresses: Addresses,
    host: Host,
    nats: Server,
    valkey: Server,
    _held: File,
}

impl Stack {
    /// Starts everything, and waits until it is ready. What was started is stopped again if
    /// something does not start.
    pub(crate) async fn start(
        options: &StackOptions,
        telemetry: Telemetry,
        mut common: Common,
    ) -> Result<Self> {
        let folder = &options.data_dir;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let held = hold(folder)?;
        let (nats_server, valkey_server) = tokio::task::spawn_blocking(|| {
            (troupe_parts::nats_server(), troupe_parts::valkey_server())
        })
        .await?;
        let (nats_server, valkey_server) = (nats_server?, valkey_server?);
        let places = (folder.join("nats"), folder.join("valkey"));
        let (nats, valkey) = tokio::try_join!(
            nats::start(&nats_server, &places.0, options.nats_port),
            valkey::start(&valkey_server, &places.1, options.redis_port),
        )?;
        let nats_url = format!("nats://127.0.0.1:{}", nats.port);
        let redis_url = format!("redis://127.0.0.1:{}", valkey.port);
        services::point(&mut common, &nats_url, &redis_url, options.http_port)?;
        let host = Host::with_telemetry(telemetry, &common).await?;
        let mcp_url = services::add_all(&host, &common, options)?;
        let http_url = format!("http://{}", host.admin_address());
        let addresses = Addresses::new(nats_url, redis_url, http_url, mcp_url);
        let mut stack = Self { addresses, host, nats, valkey, _held: held };
        if let Err(error) = stack.until_ready().await {
            stack.host.supervisor().stop();
            // The error that stopped it is the one to tell.
            let _ = stack.run(Signals::none()).await;
            return Err(error);
        }
        Ok(stack)
    }

    async fn until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_millis(READY_LIMIT_MS);
        loop {
            let report = self.host.readiness().report();
            if report.ready {
                return Ok(());
            }
            if let Some(failure) = self.host.supervisor().failure() {
                bail!("{}: {}", failure.service, failure.reason);
            }
            if Instant::now() > deadline {
                bail!("not ready after {READY_LIMIT_MS} ms: {:?}", report.checks);
            }
            tokio::select! {
                error = server::ended(&mut self.nats, &mut self.valkey) => return Err(error),
                () = tokio::time::sleep(Duration::from_millis(READY_POLL_MS)) => {}
            }
        }
    }

    /// Asks a running stack to stop.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + 'static {
        let supervisor = self.host.supervisor().clone();
        move || supervisor.stop()
    }

    /// Runs until a signal, a stop, or the end of something that must not end; then stops all of it
    /// in order.
    pub(crate) async fn run(self, signals: Signals) -> Result<()> {
        let Self { host, mut nats, mut valkey, _held, .. } = self;
        let supervisor = host.supervisor().clone();
        let mut broken = None;
        let running = host.run(signals);
        tokio::pin!(running);
        let stopped = tokio::select! {
            stopped = &mut running => stopped,
            error = server::ended(&mut nats, &mut valkey) => {
                supervisor.stop();
                broken = Some(error);
                running.await
            }
        };
        let (first, second) = tokio::join!(nats.stop(), valkey.stop());
        if let Some(error) = broken {
            return Err(error);
        }
        stopped?;
        first.and(second)
    }
}

/// One stack at a time on one folder; the hold ends with the process.
fn hold(folder: &Path) -> Result<File> {
    let path = folder.join("dev.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "{} is in use by another stack (see {})",
            folder.display(),
            folder.join(address_file::NAME).display()
        ),
        Err(std::fs::TryLockError::Error(why)) => {
            Err(why).with_context(|| path.display().to_string())
        }
    }
}
