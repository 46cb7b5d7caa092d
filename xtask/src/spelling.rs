//! Spelling, with a pinned typos and the words of typos.toml.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use troupe_parts::Progress;

use crate::cargo;
use crate::part::TYPOS;

pub(crate) fn check(root: &Path) -> Result<()> {
    let program = troupe_parts::ensure(&TYPOS, Progress::Auto)?;
    cargo::run(Command::new(program).args(["--config", "typos.toml"]).current_dir(root))
}
