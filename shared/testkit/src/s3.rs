//! A real S3 service (SeaweedFS, all of it in one process), one per test.
//!
//! Invariant: `start` and `restart` return once the bucket is there and requests for it are answered;
//! ports, folder and keys stay the same across restarts.

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

const READY_DEADLINE_SECONDS: u64 = 60;
const START_ATTEMPTS: usize = 3;
const PROBE_DEADLINE_MS: u64 = 2000;
const REPLY_MAX_BYTES: u64 = 64 * 1024;
/// A volume is a file; a bucket takes seven of them at first.
const VOLUME_MAX_MB: u16 = 64;
const VOLUMES_MAX: u16 = 64;

/// A running S3 service with one bucket; killed, and its folder removed, when dropped.
#[derive(Debug)]
pub struct S3Server {
    // Before the folder, so that the server is dead when its folder goes.
    proc: Mutex<Proc>,
    binary: PathBuf,
    folder: TempDir,
    ports: Ports,
}

/// Each of its four services has a port for HTTP and one for gRPC.
#[derive(Debug, Clone, Copy)]
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

impl S3Server {
    /// The bucket that is there.
    pub const BUCKET: &'static str = "troupe";
    /// The region that it says it is in.
    pub const REGION: &'static str = "us-east-1";
    /// The only one who may use it.
    pub const ACCESS_KEY_ID: &'static str = "troupe-test";
    /// The secret of that.
    pub const SECRET_ACCESS_KEY: &'static str = "of-no-other-use";

    /// Starts it, and waits until the bucket can be used.
    pub async fn start() -> Result<Self> {
        let binary = spawn_blocking(troupe_parts::seaweedfs).await??;
        let folder = tempfile::Builder::new().prefix("troupe-s3-").tempdir()?;
        std::fs::create_dir(folder.path().join("data"))?;
        std::fs::write(folder.path().join("s3.json"), identities())?;
        let mut last = anyhow!("no attempt was made");
        for _ in 0..START_ATTEMPTS {
            // Somebody may take a port between the choice and the bind: then with others.
            let ports = Ports::free();
            match launch(&binary, folder.path(), ports).await {
                Ok(proc) => return Ok(Self { proc: Mutex::new(proc), binary, folder, ports }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// `http://127.0.0.1:PORT`, the same across restarts.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.s3[0])
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

    /// Starts it again on the same ports and folder. Kills it first if it still runs.
    pub async fn restart(&self) -> Result<()> {
        self.kill9()?;
        let proc = launch(&self.binary, self.folder.path(), self.ports).await?;
        *self.proc.lock() = proc;
        Ok(())
    }
}

impl Ports {
    fn free() -> Self {
        let pair = || [free_port(), free_port()];
        Self { master: pair(), volume: pair(), filer: pair(), s3: pair() }
    }

    fn arguments(self) -> Vec<String> {
        let each = [
            ("master", self.master),
            ("volume", self.volume),
            ("filer", self.filer),
            ("s3", self.s3),
        ];
        each.into_iter()
            .flat_map(|(name, [http, grpc])| {
                [format!("-{name}.port={http}"), format!("-{name}.port.grpc={grpc}")]
            })
            .collect()
    }
}

/// Who may do what, in the service's own form.
fn identities() -> String {
    serde_json::json!({
        "identities": [{
            "name": "test",
            "credentials": [{
                "accessKey": S3Server::ACCESS_KEY_ID,
                "secretKey": S3Server::SECRET_ACCESS_KEY,
            }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]
    })
    .to_string()
}

/// Starts the server and waits until its bucket is there; an error when it ends instead.
async fn launch(binary: &Path, folder: &Path, ports: Ports) -> Result<Proc> {
    let proc = Proc::build("seaweedfs", binary)
        .args(["-logtostderr", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"])
        .arg(format!("-dir={}", folder.join("data").display()))
        .arg(format!("-s3.config={}", folder.join("s3.json").display()))
        .arg(format!("-master.volumeSizeLimitMB={VOLUME_MAX_MB}"))
        .arg(format!("-volume.max={VOLUMES_MAX}"))
        .args(["-master.telemetry=false", "-volume.minFreeSpace=1MiB"])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
        .args(ports.arguments())
        .current_dir(folder)
        .log_folder(folder)
        .start()?;
    let deadline = Duration::from_secs(READY_DEADLINE_SECONDS);
    let seen = try_eventually("the S3 service to answer", deadline, || async {
        if proc.ended().is_some() {
            return Some(false);
        }
        is_ready(ports).await.then_some(true)
    });
    match seen.await {
        Ok(true) => Ok(proc),
        Ok(false) => bail!("seaweedfs ended\n{}", proc.quoted_output()),
        Err(error) => bail!("{error}\n{}", proc.quoted_output()),
    }
}

/// Whether an object can be stored below the bucket, which makes the bucket, and requests for it are
/// answered: without a signature with a refusal.
async fn is_ready(ports: Ports) -> bool {
    // A bucket is a folder of the filer, which asks nobody on this machine for a signature.
    let object = format!("/buckets/{}/.ready", S3Server::BUCKET);
    let bucket = format!("/{}", S3Server::BUCKET);
    asks(ports.filer[0], "PUT", &object)
        .await
        .is_some_and(|reply| reply.starts_with("HTTP/1.1 201"))
        && asks(ports.s3[0], "GET", &bucket)
            .await
            .is_some_and(|reply| reply.starts_with("HTTP/1.1 403"))
}

/// Sends one request, and reads the reply to its end.
async fn asks(port: u16, method: &str, path: &str) -> Option<String> {
    let limit = Duration::from_millis(PROBE_DEADLINE_MS);
    let asked = tokio::time::timeout(limit, async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 5\r\n\
             Connection: close\r\n\r\nready"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.take(REPLY_MAX_BYTES).read_to_end(&mut reply).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&reply).into_owned())
    });
    asked.await.ok()?.ok()
}
