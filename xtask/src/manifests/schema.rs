//! The manifests against the schemas of Kubernetes itself, with a pinned kubernetes-validate.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::document::Document;
use crate::cargo;

const LOCK: &str = include_str!("../../manifests.lock.txt");
const VERSION: &str = "1.37.0";
const PYTHON: &str = "python3";

/// Validates every file, strictly: a field that no schema knows is an error.
pub(super) fn check(root: &Path, documents: &[Document]) -> Result<()> {
    let folder = installed()?;
    let files: BTreeSet<_> = documents
        .iter()
        .map(|document| document.file.strip_prefix(root).unwrap_or(&document.file))
        .collect();
    cargo::run(
        Command::new(PYTHON)
            .args(["-m", "kubernetes_validate", "--strict", "--quiet"])
            .args(files)
            .env("PYTHONPATH", folder)
            .current_dir(root),
    )
}

/// The folder with the validator; fetched the first time, with the hashes of the lock file.
fn installed() -> Result<PathBuf> {
    let cache = troupe_parts::cache_folder().context("no cache folder: set TROUPE_CACHE_DIR")?;
    let folder = cache.join(format!("kubernetes-validate-{VERSION}-{}", python_tag()?));
    fs::create_dir_all(&cache)?;
    let lock =
        File::options().create(true).truncate(false).write(true).open(cache.join("pip.lock"))?;
    lock.lock()?;
    if folder.is_dir() {
        return Ok(folder);
    }
    println!("fetching kubernetes-validate {VERSION}");
    let workshop = cache.join(format!("kubernetes-validate.{}", std::process::id()));
    remove(&workshop)?;
    fs::create_dir_all(&workshop)?;
    let requirements = workshop.join("requirements.txt");
    fs::write(&requirements, LOCK)?;
    let target = workshop.join("site");
    let outcome = cargo::run(
        Command::new(PYTHON)
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--only-binary=:all:", "--require-hashes", "--no-deps", "--target"])
            .arg(&target)
            .arg("-r")
            .arg(&requirements)
            .stdin(Stdio::null()),
    )
    .and_then(|()| Ok(fs::rename(&target, &folder)?));
    remove(&workshop)?;
    outcome.context("kubernetes-validate cannot be fetched")?;
    Ok(folder)
}

/// What is installed for one Python does not serve another.
fn python_tag() -> Result<String> {
    let program = "import sys, platform; \
                   print(f'py{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}')";
    let output = Command::new(PYTHON).args(["-c", program]).output().context("no python3")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
