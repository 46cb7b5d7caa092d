//! `troupe-bench`: the same as `troupe bench`, without the rest; without a name it is `work`.

use clap::{Parser, Subcommand};
use troupe_bench::memory::{self, MemoryArgs};
use troupe_bench::progress::{self, ProgressArgs};
use troupe_bench::routing::{self, RoutingArgs};
use troupe_bench::work::{self, WorkArgs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    args: WorkArgs,
}

#[derive(Subcommand)]
enum What {
    /// Work distribution.
    Work(WorkArgs),
    /// Memories and how they are found.
    Memory(MemoryArgs),
    /// Reports and summaries.
    Progress(ProgressArgs),
    /// Messages and intents.
    Routing(Box<RoutingArgs>),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.what {
        None => work::run(cli.args),
        Some(What::Work(args)) => work::run(args),
        Some(What::Memory(args)) => memory::run(args),
        Some(What::Progress(args)) => progress::run(args),
        Some(What::Routing(args)) => routing::run(*args),
    }
}
