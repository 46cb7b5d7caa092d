//! `cargo xtask`: every check that CI runs, and the documents that are generated.
//!
//! Invariant: what CI runs is `cargo xtask test` and nothing else, so that a green run here is a
//! green run there. It needs Rust with clippy and rustfmt, git, and Python 3 with pip.

mod cargo;
mod contract;
mod edges;
mod manifests;
mod part;
mod sources;
mod spelling;
mod step;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The checks that CI runs, and what is generated.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that CI runs, in order, up to the first failure.
    Test(Selection),
    /// Everything that CI runs but the build and the tests.
    Lint(Selection),
    /// Rewrites docs/contract from the declarations.
    Contract {
        /// Only says whether it is up to date.
        #[arg(long)]
        check: bool,
    },
    /// Licences, advisories and sources of the dependencies, with cargo-deny. Not a part of CI.
    Deny,
}

#[derive(Args)]
struct Selection {
    /// Only this step; can be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Names the steps and runs none.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let Some(root) = Path::new(env!("CARGO_MANIFEST_DIR")).parent() else {
        eprintln!("xtask does not stand in a workspace");
        return ExitCode::FAILURE;
    };
    let outcome = match Arguments::parse().command {
        Command::Test(selection) => step::run(root, &selection.only, selection.list, |_| true),
        Command::Lint(selection) => step::run(root, &selection.only, selection.list, |s| s.lint),
        Command::Contract { check: true } => contract::check(root),
        Command::Contract { check: false } => contract::write(root),
        Command::Deny => cargo::deny(root),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nfailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
