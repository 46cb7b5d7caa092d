//! `cargo xtask`: every check that CI runs, and the documents that are generated.

mod contract;

use std::path::Path;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rewrites docs/contract from the declarations.
    Contract {
        /// Only says whether it is up to date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the root");
    match Arguments::parse().command {
        Command::Contract { check: true } => contract::check(root),
        Command::Contract { check: false } => contract::write(root),
    }
}
