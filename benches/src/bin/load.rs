//! Puts load on a gateway and says what it costs: see [`Options`].
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it finds is what it is for")]

use std::process::ExitCode;

use clap::Parser;
use sigward_benches::load::{Options, hash_time, run};

fn main() -> ExitCode {
    let options = Options::parse();
    let json = options.json;
    if options.hash {
        println!("{:.0} ns", hash_time(options.size));
        return ExitCode::SUCCESS;
    }
    match run(options) {
        Ok(report) => {
            if json {
                println!("{}", report.json());
            } else {
                print!("{report}");
            }
            if report.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
