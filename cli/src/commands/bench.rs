//! `troupe bench`: what Troupe reaches on this machine.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_bench::work::{WorkArgs, run as measure};

use crate::args::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure work distribution beside a raw JetStream baseline, on a stack of its own.
    Work(WorkArgs),
}

pub(crate) async fn run(global: &Global, command: BenchCommand) -> Result<ExitCode> {
    let BenchCommand::Work(mut args) = command;
    if global.json && args.output.is_none() {
        args.output = Some("-".into());
    }
    // It makes runtimes of its own, which a thread of this one must not wait for.
    tokio::task::spawn_blocking(move || measure(args)).await??;
    Ok(ExitCode::SUCCESS)
}
