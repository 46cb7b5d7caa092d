//! `troupe parts`: fetches the third-party files that Troupe needs and does not contain.
//!
//! They go to the cache folder (TROUPE_CACHE_DIR), each checked against its pinned hash. A machine that
//! has the folder needs no network: so an image is built.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use tokio::task::spawn_blocking;
use troupe_parts::{PARTS, Part, Progress};

use crate::args::Global;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct PartsArgs {
    /// Which parts [default: all].
    #[arg(value_parser = PossibleValuesParser::new(PARTS.iter().map(|part| part.name)))]
    names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Found {
    part: &'static str,
    version: &'static str,
    path: String,
}

/// The first part that cannot be had ends it.
pub(crate) async fn run(global: &Global, args: PartsArgs) -> Result<ExitCode> {
    let wanted =
        |part: &&Part| args.names.is_empty() || args.names.iter().any(|name| name == part.name);
    let parts: Vec<&'static Part> = PARTS.iter().filter(wanted).collect();
    let mut found = Vec::with_capacity(parts.len());
    for part in parts {
        let path = spawn_blocking(|| troupe_parts::ensure(part, Progress::Auto)).await??;
        let path = path.display().to_string();
        found.push(Found { part: part.name, version: part.version, path });
    }
    if global.json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |found: Found| vec![found.part.to_owned(), found.version.to_owned(), found.path];
    let rows = found.into_iter().map(row).collect();
    output::line(&output::table(&["part", "version", "path"], rows))?;
    Ok(ExitCode::SUCCESS)
}
