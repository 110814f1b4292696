//! What several gateways on one log cost: how soon a revocation holds on all of them while sessions are being issued,
//! and how soon a new gateway knows what the log holds.
//!
//! `cargo run --release -p sigward-benches --example feed -- latency` (some 2 minutes), `-- catch-up` (some 8), or both
//! without a word. Needs `nats-server`, on the path or named by `NATS_SERVER`. Gateways are processes of this very
//! program, which runs the gateway's command line when its first argument is `serve`. Prints Markdown.

mod catch_up;
mod fleet;
mod latency;
mod sessions;
mod wire;

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// That of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// Where server and gateways keep their files for the time of the run.
    #[arg(long, default_value = ".", global = true)]
    directory: PathBuf,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// How soon a revocation holds on three gateways.
    Latency(latency::Options),
    /// How soon a new gateway is ready, and what it takes.
    CatchUp(catch_up::Options),
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return sigward::cli::run();
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "feed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let directory = arguments.directory;
    writeln!(stdout(), "Load of the machine before: {}\n", load()?)?;
    runtime.block_on(async {
        match arguments.what {
            Some(What::Latency(options)) => latency::run(&directory, &options).await,
            Some(What::CatchUp(options)) => catch_up::run(&directory, &options).await,
            None => {
                latency::run(&directory, &latency::Options::default()).await?;
                catch_up::run(&directory, &catch_up::Options::default()).await
            }
        }
    })?;
    writeln!(stdout(), "\nLoad of the machine after: {}", load()?)?;
    Ok(())
}

/// The load averages of 1, 5 and 15 minutes.
fn load() -> Result<String, Failure> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(", "))
}
