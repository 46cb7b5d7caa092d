//! The work distribution service.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    troupe_runtime::main(
        troupe_work_distribution::NAME,
        troupe_work_distribution::VERSION,
        troupe_work_distribution::run,
    )
}
