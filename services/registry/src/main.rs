//! The registry.

use std::process::ExitCode;

fn main() -> ExitCode {
    troupe_runtime::main(troupe_registry::NAME, troupe_registry::VERSION, troupe_registry::run)
}
