//! The work distribution service.

use std::process::ExitCode;

fn main() -> ExitCode {
    troupe_runtime::main(
        troupe_work_distribution::NAME,
        troupe_work_distribution::VERSION,
        troupe_work_distribution::run,
    )
}
