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

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(<args::Cli as clap::Parser>::parse()).await {
        Ok(code) => code,
        Err(error) => exit::explain(&error),
    }
}
