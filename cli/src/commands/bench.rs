//! `troupe bench`: what Troupe reaches on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use troupe_bench::memory::{self, MemoryArgs};
use troupe_bench::plans::{self, PlansArgs};
use troupe_bench::progress::{self, ProgressArgs};
use troupe_bench::routing::{self, RoutingArgs};
use troupe_bench::work::{self, WorkArgs};

use crate::args::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure work distribution beside a raw JetStream baseline, on a stack of its own.
    Work(WorkArgs),
    /// Measure how well and how fast memories are found.
    Memory(MemoryArgs),
    /// Measure how fast plans converge, merge and take edits, on a stack of its own.
    Plans(PlansArgs),
    /// Measure reports and summaries beside raw publishes, on a stack of its own.
    Progress(ProgressArgs),
    /// Measure how well and how fast messages find who can act, on a stack of its own.
    Routing(Box<RoutingArgs>),
}

pub(crate) async fn run(global: &Global, command: BenchCommand) -> Result<ExitCode> {
    let json = |output: Option<PathBuf>| {
        if global.json { output.or_else(|| Some("-".into())) } else { output }
    };
    // They make runtimes of their own, which a thread of this one must not wait for.
    let measure: Box<dyn FnOnce() -> Result<()> + Send> = match command {
        BenchCommand::Work(mut args) => {
            args.output = json(args.output);
            Box::new(move || work::run(args))
        }
        BenchCommand::Memory(mut args) => {
            args.output = json(args.output);
            Box::new(move || memory::run(args))
        }
        BenchCommand::Plans(mut args) => {
            args.output = json(args.output);
            Box::new(move || plans::run(args))
        }
        BenchCommand::Progress(mut args) => {
            args.output = json(args.output);
            Box::new(move || progress::run(args))
        }
        BenchCommand::Routing(mut args) => {
            args.output = json(args.output);
            Box::new(move || routing::run(*args))
        }
    };
    tokio::task::spawn_blocking(measure).await??;
    Ok(ExitCode::SUCCESS)
}
