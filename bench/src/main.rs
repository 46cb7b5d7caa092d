//! `troupe-bench`: the same as `troupe bench work`, without the rest.

use clap::Parser;
use troupe_bench::work::{WorkArgs, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: WorkArgs,
}

fn main() -> anyhow::Result<()> {
    run(Cli::parse().args)
}
