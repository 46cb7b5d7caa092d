//! A real nats-server with JetStream, one per test.
//!
//! Invariant: `start` and `restart` return once this very process (not a namesake on the same
//! port) listens and JetStream answers; the port and the store stay the same across restarts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use async_nats::{Client, ConnectOptions, jetstream};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::{
    eventually::try_eventually,
    nats_config::{self, Choices, Place},
    proc::Proc,
};

const READY_DEADLINE_SECONDS: u64 = 20;
const PROBE_DEADLINE_MS: u64 = 1000;

/// A running nats-server; killed, and its folder removed, when dropped.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder, so that the server is dead when its folder goes.
    proc: Mutex<Proc>,
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    choices: Choices,
    login: ConnectOptions,
}

/// A nats-server to be.
#[derive(Debug, Default)]
pub struct NatsBuilder {
    choices: Choices,
    login: ConnectOptions,
}

impl NatsBuilder {
    /// Syncs every write to disk before it is acknowledged.
    pub fn sync_always(mut self) -> Self {
        self.choices.sync_always = true;
        self
    }

    /// Adds an `authorization` or `accounts` block, and the login with which the kit itself asks
    /// for JetStream's state (it must be allowed to).
    pub fn auth(mut self, block: impl Into<String>, login: ConnectOptions) -> Self {
        self.choices.auth = block.into();
        self.login = login;
        self
    }

    /// Adds any other configuration text.
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.choices.extra = text.into();
        self
    }

    pub(crate) fn cluster(mut self, place: Place) -> Self {
        self.choices.cluster = Some(place);
        self
    }

    /// Starts it, and waits until JetStream answers.
    pub async fn start(self) -> Result<NatsServer> {
        let server = self.launch().await?;
        server.ready().await?;
        Ok(server)
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn launch(self) -> Result<NatsServer> {
        let binary = spawn_blocking(troupe_parts::nats_server).await??;
        let folder = tempfile::Builder::new().prefix("troupe-nats-").tempdir()?;
        let proc = spawn(&binary, folder.path(), None, &self.choices)?;
        let port = listening(&proc, folder.path()).await?;
        let Self { choices, login } = self;
        Ok(NatsServer { proc: Mutex::new(proc), binary, folder, port, choices, login })
    }
}

impl NatsServer {
    /// A server with the defaults.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A server to be configured first.
    pub fn builder() -> NatsBuilder {
        NatsBuilder::default()
    }

    /// `nats://127.0.0.1:PORT`, the same across restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of the process that runs now.
    pub fn pid(&self) -> u32 {
        self.proc.lock().pid()
    }

    /// What the server has logged, over all its lives.
    pub fn log(&self) -> String {
        self.proc.lock().stderr()
    }

    /// A new connection, with the login that the builder was given.
    pub async fn connect(&self) -> Result<Client> {
        Ok(self.login.clone().connect(self.url()).await?)
    }

    /// SIGKILL, and waits for the end. The store keeps what it held.
    pub fn kill9(&self) -> Result<()> {
        self.proc.lock().kill9()
    }

    /// SIGSTOP: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.proc.lock().pause()
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.proc.lock().resume()
    }

    /// Starts it again after [`kill9`](Self::kill9), on the same port and store, and waits until
    /// JetStream answers. Kills it first if it still runs.
    pub async fn restart(&self) -> Result<()> {
        self.kill9()?;
        // The port was free a moment ago: a failure to bind is a lingering socket, and passes.
        let deadline = Duration::from_secs(READY_DEADLINE_SECONDS);
        let last = Mutex::new(None);
        let listens = try_eventually("the port to be free again", deadline, || async {
            self.relaunch().await.map_err(|error| *last.lock() = Some(error)).ok()
        });
        if let Err(timed_out) = listens.await {
            return Err(last.into_inner().unwrap_or_else(|| timed_out.into()));
        }
        self.ready().await
    }

    async fn relaunch(&self) -> Result<()> {
        let folder = self.folder.path();
        let proc = spawn(&self.binary, folder, Some(self.port), &self.choices)?;
        listening(&proc, folder).await?;
        *self.proc.lock() = proc;
        Ok(())
    }

    /// Waits until JetStream answers.
    pub(crate) async fn ready(&self) -> Result<()> {
        let deadline = Duration::from_secs(READY_DEADLINE_SECONDS);
        let last = Mutex::new(String::new());
        let ready = try_eventually("JetStream to answer", deadline, || async {
            self.probe().await.map_err(|error| *last.lock() = format!("{error:#}")).ok()
        });
        let outcome = ready.await;
        outcome.map_err(|error| {
            anyhow!("{error}: {}\n{}", last.lock(), self.proc.lock().quoted_output())
        })
    }

    async fn probe(&self) -> Result<()> {
        let limit = Duration::from_millis(PROBE_DEADLINE_MS);
        let options = self.login.clone().connection_timeout(limit);
        let client = options.connect(self.url()).await?;
        let mut context = jetstream::new(client);
        context.set_timeout(limit);
        context.query_account().await?;
        Ok(())
    }
}

fn spawn(binary: &Path, folder: &Path, port: Option<u16>, choices: &Choices) -> Result<Proc> {
    let config = folder.join("nats.conf");
    fs::write(&config, nats_config::text(folder, port, choices))?;
    Proc::build("nats-server", binary)
        .arg("-c")
        .arg(config)
        .envs(troupe_parts::nats_server_environment())
        .log_folder(folder)
        .start()
}

/// Waits for the file in which this process tells its ports, and reads the client port.
async fn listening(proc: &Proc, folder: &Path) -> Result<u16> {
    let file = folder.join(format!("nats-server_{}.ports", proc.pid()));
    let deadline = Duration::from_secs(READY_DEADLINE_SECONDS);
    let seen = try_eventually("nats-server to listen", deadline, || async {
        match fs::read_to_string(&file).ok().as_deref().and_then(client_port) {
            Some(port) => Some(Some(port)),
            None => proc.ended().map(|_| None),
        }
    });
    match seen.await {
        Ok(Some(port)) => Ok(port),
        Ok(None) => bail!("nats-server ended\n{}", proc.quoted_output()),
        Err(error) => Err(error).with_context(|| proc.quoted_output()),
    }
}

/// The first client URL's port, once the file is whole.
fn client_port(ports: &str) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(ports).ok()?;
    ports.get("nats")?.get(0)?.as_str()?.rsplit(':').next()?.parse().ok()
}
