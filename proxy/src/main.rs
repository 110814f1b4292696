//! The binary `sigward`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sigward::cli::run()
}
