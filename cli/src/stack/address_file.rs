//! `dev.json`: where a running stack listens. It is there, whole, once everything is ready.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use troupe_bus::port::{System, World};
use troupe_domain::Timestamp;

/// The file's name in the data folder.
pub(crate) const NAME: &str = "dev.json";

/// Where a stack listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// For every client.
    pub(crate) nats_url: String,
    /// The hot tier.
    pub(crate) redis_url: String,
    /// `/livez`, `/readyz`, `/metrics`.
    pub(crate) http_url: String,
    /// For agents that speak MCP.
    #[serde(default)]
    pub(crate) mcp_url: String,
    /// The process that runs the services.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
    /// When it was ready.
    pub(crate) started_at: Timestamp,
}

impl Addresses {
    pub(crate) fn new(
        nats_url: String,
        redis_url: String,
        http_url: String,
        mcp_url: String,
    ) -> Self {
        Self {
            nats_url,
            redis_url,
            http_url,
            mcp_url,
            pid: std::process::id(),
            version: crate::telemetry::VERSION.to_owned(),
            started_at: System.now(),
        }
    }
}

/// The file, removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct AddressFile {
    path: PathBuf,
}

impl AddressFile {
    /// Writes it in one step.
    pub(crate) fn write(folder: &Path, addresses: &Addresses) -> Result<Self> {
        let path = folder.join(NAME);
        let place = || path.display().to_string();
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(place)?;
        writeln!(file, "{}", serde_json::to_string_pretty(addresses)?).with_context(place)?;
        file.persist(&path).with_context(place)?;
        Ok(Self { path })
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_file(&self.path) {
            tracing::debug!(%why, "{}", self.path.display());
        }
    }
}
