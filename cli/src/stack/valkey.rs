//! valkey-server, for one machine: the hot tier, which can be lost at any moment.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::server::{LISTEN_LIMIT_MS, LISTEN_POLL_MS, Server};

/// Somebody may take a free port between the choice and the start; then another is chosen.
const PORT_ATTEMPTS: usize = 5;
/// How long one question may take.
const PROBE_LIMIT_MS: u64 = 1_000;
/// The most that an answer has.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Starts it on `port` (0 is a free one), and waits until it answers.
pub(crate) async fn start(binary: &Path, folder: &Path, port: u16) -> Result<Server> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    let mut last = None;
    for _ in 0..attempts {
        let port = if port == 0 { free_port()? } else { port };
        match start_on(binary, folder, port).await {
            Ok(server) => return Ok(server),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no attempt was made")?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn start_on(binary: &Path, folder: &Path, port: u16) -> Result<Server> {
    let mut command = Command::new(binary);
    command
        .args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", "everysec", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder);
    let mut server = Server::start("valkey-server", &mut command, folder).await?;
    let deadline = Instant::now() + Duration::from_millis(LISTEN_LIMIT_MS);
    loop {
        if answers(port, server.pid()).await {
            server.port = port;
            return Ok(server);
        }
        if Instant::now() > deadline {
            bail!("valkey-server does not answer after {LISTEN_LIMIT_MS} ms");
        }
        tokio::select! {
            error = server.failed() => return Err(error),
            () = sleep(Duration::from_millis(LISTEN_POLL_MS)) => {}
        }
    }
}

/// Whether this very server answers, and not a namesake on the same port.
async fn answers(port: u16, pid: u32) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"PING\r\nINFO server\r\nQUIT\r\n").await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match timeout(Duration::from_millis(PROBE_LIMIT_MS), asking).await {
        Ok(Ok(answer)) => {
            let pid = format!("process_id:{pid}");
            answer.starts_with("+PONG") && answer.lines().any(|line| line == pid)
        }
        _ => false,
    }
}
