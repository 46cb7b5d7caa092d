//! The registry.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_runtime::main(troupe_registry::NAME, troupe_registry::VERSION, troupe_registry::run)
}
