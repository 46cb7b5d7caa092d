//! `troupe`: the command line of a fleet, and the whole stack in one process.

mod agent;
mod args;
mod commands;
mod connection;
mod demo;
mod document;
mod exit;
mod follow;
mod graph_file;
mod output;
mod process;
mod stack;
mod telemetry;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = <args::Cli as clap::Parser>::parse();
    if cli.command.may_embed() {
        troupe_embedding::refuse_telemetry();
    }
    run(cli)
}

#[tokio::main]
async fn run(cli: args::Cli) -> ExitCode {
    match commands::run(cli).await {
        Ok(code) => code,
        Err(error) => exit::explain(&error),
    }
}
