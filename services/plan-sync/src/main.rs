//! The plan sync service.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_embedding::refuse_telemetry();
    troupe_runtime::main(troupe_plan_sync::NAME, troupe_plan_sync::VERSION, troupe_plan_sync::run)
}
