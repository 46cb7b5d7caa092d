//! A real valkey-server, one per test.
//!
//! Invariant: `start` and `restart` return once this very process answers PING; the port and the
//! folder stay the same across restarts.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_blocking,
};

use crate::{eventually::try_eventually, ports::free_port, proc::Proc};

const READY_DEADLINE_SECONDS: u64 = 20;
const START_ATTEMPTS: usize = 5;
const PROBE_DEADLINE_MS: u64 = 1000;
const REPLY_MAX_BYTES: usize = 64 * 1024;

/// A running valkey-server; killed, and its folder removed, when dropped.
#[derive(Debug)]
pub struct ValkeyServer {
    // Before the folder, so that the server is dead when its folder goes.
    proc: Mutex<Proc>,
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
}

/// A valkey-server to be.
#[derive(Debug, Default)]
pub struct ValkeyBuilder {
    append_only: bool,
    arguments: Vec<String>,
}

impl ValkeyBuilder {
    /// Keeps an append-only file, synced every second, so that a restart finds the data again.
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Adds command line arguments, such as `["--maxmemory", "10mb"]`.
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Starts it, and waits until it answers.
    pub async fn start(self) -> Result<ValkeyServer> {
        let binary = spawn_blocking(troupe_parts::valkey_server).await??;
        let folder = tempfile::Builder::new().prefix("troupe-valkey-").tempdir()?;
        let append_only = if self.append_only { "yes" } else { "no" };
        let fixed = ["--appendonly", append_only, "--appendfsync", "everysec", "--save", ""];
        let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
        arguments.extend(self.arguments);

        let mut last = anyhow!("no attempt was made");
        for _ in 0..START_ATTEMPTS {
            // Somebody may take the port between the choice and the bind: then with another.
            let port = free_port();
            match launch(&binary, folder.path(), port, &arguments).await {
                Ok(proc) => {
                    return Ok(ValkeyServer {
                        proc: Mutex::new(proc),
                        binary,
                        folder,
                        port,
                        arguments,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl ValkeyServer {
    /// A server that keeps nothing on disk.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A server to be configured first.
    pub fn builder() -> ValkeyBuilder {
        ValkeyBuilder::default()
    }

    /// `redis://127.0.0.1:PORT`, the same across restarts.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of the process that runs now.
    pub fn pid(&self) -> u32 {
        self.proc.lock().pid()
    }

    /// SIGKILL, and waits for the end.
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

    /// Starts it again on the same port and folder, and waits until it answers. Kills it first if
    /// it still runs. Without [`append_only`](ValkeyBuilder::append_only) it comes back empty.
    pub async fn restart(&self) -> Result<()> {
        self.kill9()?;
        let deadline = Duration::from_secs(READY_DEADLINE_SECONDS);
        let last = Mutex::new(None);
        let proc = try_eventually("the port to be free again", deadline, || async {
            launch(&self.binary, self.folder.path(), self.port, &self.arguments)
                .await
                .map_err(|error| *last.lock() = Some(error))
                .ok()
        });
        match proc.await {
            Ok(proc) => *self.proc.lock() = proc,
            Err(timed_out) => return Err(last.into_inner().unwrap_or_else(|| timed_out.into())),
        }
        Ok(())
    }
}

/// Starts the server and waits until it answers; an error when it ends instead.
async fn launch(binary: &Path, folder: &Path, port: u16, arguments: &[String]) -> Result<Proc> {
    let proc = Proc::build("valkey-server", binary)
        .args(["--bind", "127.0.0.1", "--daemonize", "no", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .log_folder(folder)
        .start()?;
    let deadline = Duration::from_secs(READY_DEADLINE_SECONDS);
    let seen = try_eventually("valkey-server to answer", deadline, || async {
        if proc.ended().is_some() {
            return Some(false);
        }
        answers(port, proc.pid()).await.then_some(true)
    });
    match seen.await {
        Ok(true) => Ok(proc),
        Ok(false) => bail!("valkey-server ended\n{}", proc.quoted_output()),
        Err(error) => bail!("{error}\n{}", proc.quoted_output()),
    }
}

/// Whether the server with that process id answers, and has loaded its data.
async fn answers(port: u16, pid: u32) -> bool {
    let limit = Duration::from_millis(PROBE_DEADLINE_MS);
    let asked = tokio::time::timeout(limit, async {
        let info = ask(port, "INFO server\r\n").await?;
        let itself = info.lines().any(|line| line == format!("process_id:{pid}"));
        Ok::<_, std::io::Error>(itself && ask(port, "PING\r\n").await?.starts_with("+PONG"))
    });
    matches!(asked.await, Ok(Ok(true)))
}

/// Sends one inline command, and QUIT, so that the server ends the reply by closing.
async fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{command}QUIT\r\n").as_bytes()).await?;
    let mut reply = Vec::new();
    stream.take(REPLY_MAX_BYTES as u64).read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
