//! The progress service.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_runtime::main(troupe_progress::NAME, troupe_progress::VERSION, troupe_progress::run)
}
