//! The semantic routing service.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_embedding::refuse_telemetry();
    troupe_runtime::main(
        troupe_semantic_routing::NAME,
        troupe_semantic_routing::VERSION,
        troupe_semantic_routing::run,
    )
}
