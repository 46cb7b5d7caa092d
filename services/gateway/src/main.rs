//! The gateway.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_runtime::main(troupe_gateway::NAME, troupe_gateway::VERSION, troupe_gateway::run)
}
