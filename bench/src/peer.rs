//! Peers, measured with harnesses of our own on the same machine and in the same run.
//!
//! Never part of the tests: a harness needs Node, and its packages from a registry.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use troupe_testkit::ValkeyServer;

use crate::processes;
use crate::work::report::Series;
use crate::work::shape::{BODY_BYTES, RESULT_BYTES};

/// Jobs that a peer has in flight, and its concurrency: what the comparison was agreed with.
const IN_FLIGHT: usize = 200;
const VALKEY: &str = "valkey-server";
const NODE: &str = "node";

/// A peer's result.
#[derive(Debug, Clone, Serialize)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Versions of what took part.
    pub versions: String,
    /// How durable an acknowledged job is.
    pub durability: &'static str,
    /// Jobs at once.
    pub in_flight: usize,
    /// Jobs that were added and processed.
    pub jobs: Series,
    /// What is and is not comparable.
    pub comparability: &'static str,
}

const COMPARABILITY: &str = "A job here is added, taken by a worker in the same Node process, and \
    completed; with priorities. A task of ours is also matched by role and capability, has a start of \
    its own, a lease, a fencing token, and events. Both are acknowledged before a sync to the disk \
    (theirs within a second, ours within two minutes), and both survive the end of any process. A \
    worker of theirs completes a job and takes the next one in one round trip; an agent of ours takes \
    two. Their client runs on one JavaScript thread, ours on as many as there are cores.";

/// What the harness says at the end.
#[derive(Debug, Deserialize)]
struct Told {
    jobs_per_s: f64,
    seconds: f64,
    versions: String,
    user_s: f64,
    system_s: f64,
}

/// BullMQ, ready to be measured.
#[derive(Debug)]
pub(crate) struct Bullmq {
    folder: PathBuf,
    valkey: ValkeyServer,
    seconds: u64,
    peer: Peer,
}

impl Bullmq {
    /// Fetches the packages that the lock file names, and starts the server.
    pub(crate) async fn start(peers: &Path, seconds: u64) -> Result<Self> {
        let folder = peers.join("bullmq");
        if !folder.join("package-lock.json").is_file() {
            bail!("{}: no harness there; name its folder with --peers", folder.display());
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        npm.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let fetched = npm.status().await.context("npm: is Node installed?")?;
        if !fetched.success() {
            bail!("npm ci in {}: {fetched}", folder.display());
        }
        let valkey = ValkeyServer::builder().append_only().start().await?;
        let peer = Peer {
            name: "bullmq",
            versions: String::new(),
            durability: "append-only file, synced every second",
            in_flight: IN_FLIGHT,
            jobs: Series::default(),
            comparability: COMPARABILITY,
        };
        Ok(Self { folder, valkey, seconds, peer })
    }

    /// Measures once.
    pub(crate) async fn measure(&mut self) -> Result<()> {
        let before = processes::used(&[(VALKEY, self.valkey.pid())]);
        let mut node = Command::new(NODE);
        node.arg("harness.mjs").current_dir(&self.folder).kill_on_drop(true);
        for (flag, value) in [
            ("--url", self.valkey.url()),
            ("--seconds", self.seconds.to_string()),
            ("--in-flight", IN_FLIGHT.to_string()),
            ("--body-bytes", BODY_BYTES.to_string()),
            ("--result-bytes", RESULT_BYTES.to_string()),
        ] {
            node.arg(flag).arg(value);
        }
        let output = node.stdin(Stdio::null()).output().await.context("node")?;
        if !output.status.success() {
            bail!("the harness: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        let told: Told = serde_json::from_slice(&output.stdout).context("the harness's answer")?;
        let after = processes::used(&[(VALKEY, self.valkey.pid())]);
        let mut used = processes::between(&before, &after);
        // What the server used while the harness warmed up is in it, too: a little too much.
        used.retain(|part, _| part == VALKEY);
        let node = processes::Used { user_s: told.user_s, system_s: told.system_s };
        used.insert(NODE.to_owned(), node);
        self.peer.jobs.add(told.jobs_per_s, told.seconds, &used);
        self.peer.versions = told.versions;
        Ok(())
    }

    /// The result.
    pub(crate) fn told(self) -> Peer {
        self.peer
    }
}
