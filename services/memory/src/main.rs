//! The memory service.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_runtime::main(troupe_memory::NAME, troupe_memory::VERSION, troupe_memory::run)
}
