//! `sigward serve`

use std::time::Duration;

use super::{ConfigArgs, Failure};
use crate::config::{Config, Environment};
use crate::listen::Ending;
use crate::server;
use crate::telemetry;

/// How long a process that is done waits for what still reads files: a mount whose server is gone may never answer.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the gateway until it is told to stop.
pub(super) fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let file = args.config.file(environment);
    let loaded = Config::load_with_fingerprint(&file, environment)?;
    telemetry::init(&loaded.0.log).map_err(|error| Failure::Server(Box::new(error)))?;
    // The environment of a process does not change under it; the file and the secrets may.
    // Clients are served by the workers, each with a runtime of its own: this one is for everything else.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let reload = || Config::load_with_fingerprint(&file, environment);
    let ended = runtime.block_on(server::run(loaded, reload));
    runtime.shutdown_timeout(LINGER);
    match ended {
        Ok(Ending::Whole) => Ok(()),
        Ok(Ending::Cut) => Err(Failure::Cut),
        Err(error) => Err(Failure::Server(Box::new(error))),
    }
}
