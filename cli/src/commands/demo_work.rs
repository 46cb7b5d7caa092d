//! What the agents of `troupe demo` run: a task on standard input, its result on standard output.

use std::process::ExitCode;

use anyhow::{Context, Result};
use troupe_domain::task::ClaimedTask;

use crate::{demo, output};

pub(crate) fn run() -> Result<ExitCode> {
    let claimed: ClaimedTask =
        serde_json::from_reader(std::io::stdin().lock()).context("standard input")?;
    output::json_line(&demo::steps::carry_out(&claimed)?)?;
    Ok(ExitCode::SUCCESS)
}
